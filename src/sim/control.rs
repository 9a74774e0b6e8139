//! Faults and statistics by HTTP.
//!
//! | request | answer |
//! |---|---|
//! | `GET /cameras`, `/cameras/{name}` | name, fault and counters |
//! | `PUT /cameras/{name}/fault` | body: a [`Fault`]; 200 and the camera. `*` is every camera and the port |
//! | `DELETE /cameras/{name}/fault` | the fault is over |
//! | `GET /stat` | what nginx-rtmp's statistics page would say of the cameras |

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::SimError;
use super::fault::Fault;
use super::origin::{ALL, Origin};
use super::statistics;

/// Clients at the same time.
const MAX_CLIENTS: usize = 64;

/// The routes above.
pub(super) fn router(origin: Arc<Origin>) -> Router {
    Router::new()
        .route("/cameras", get(list))
        .route("/cameras/{name}", get(one))
        .route("/cameras/{name}/fault", put(set).delete(clear))
        .route("/stat", get(page))
        .with_state(origin)
}

/// Serves `router` until cancelled.
pub(super) async fn serve(listener: TcpListener, router: Router) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
            accepted = listener.accept(), if clients.len() < MAX_CLIENTS => match accepted {
                Ok((tcp, _)) => {
                    let service = TowerToHyperService::new(router.clone());
                    clients.spawn(async move {
                        // Errors are a client's broken connection.
                        let _ = hyper::server::conn::http1::Builder::new()
                            .timer(TokioTimer::new())
                            .header_read_timeout(Duration::from_secs(30))
                            .serve_connection(TokioIo::new(tcp), service)
                            .await;
                    });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            },
        }
    }
}

fn view(origin: &Origin, name: &str) -> Option<Value> {
    if name == ALL {
        return Some(json!({ "name": ALL, "fault": origin.fault() }));
    }
    origin.stats(name).map(|(fault, stats)| json!({ "name": name, "fault": fault, "stats": stats }))
}

async fn list(State(origin): State<Arc<Origin>>) -> Json<Vec<Value>> {
    Json(origin.cameras().iter().filter_map(|c| view(&origin, c.name.as_str())).collect())
}

async fn one(State(origin): State<Arc<Origin>>, Path(name): Path<String>) -> Response {
    match view(&origin, &name) {
        Some(view) => Json(view).into_response(),
        None => refusal(&SimError::UnknownCamera),
    }
}

async fn page(State(origin): State<Arc<Origin>>) -> Response {
    ([(CONTENT_TYPE, "text/xml")], statistics::page(&origin)).into_response()
}

async fn set(State(origin): State<Arc<Origin>>, Path(name): Path<String>, Json(fault): Json<Fault>) -> Response {
    change(&origin, &name, &fault)
}

async fn clear(State(origin): State<Arc<Origin>>, Path(name): Path<String>) -> Response {
    change(&origin, &name, &Fault::None)
}

fn change(origin: &Origin, name: &str, fault: &Fault) -> Response {
    match origin.set_fault(name, fault) {
        Ok(_) => Json(view(origin, name)).into_response(),
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &SimError) -> Response {
    let status = match error {
        SimError::UnknownCamera => StatusCode::NOT_FOUND,
        SimError::ForAll | SimError::Value(_) => StatusCode::BAD_REQUEST,
    };
    (status, Json(json!({ "title": error.to_string() }))).into_response()
}
