//! A TCP server whose manners change while it stands: the same address is faulty, and well again.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

type Manners = Arc<dyn Fn(TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

pub struct Door {
    pub address: SocketAddr,
    manners: Arc<Mutex<Manners>>,
    pub connections: Arc<AtomicUsize>,
    /// What clients have sent, one text for each request head.
    pub heads: Arc<Mutex<Vec<String>>>,
    task: JoinSet<()>,
}

impl Door {
    /// Says nothing, at first.
    pub async fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let manners: Manners = Arc::new(|socket| Box::pin(silence(socket)));
        let mut door = Self {
            address: listener.local_addr().unwrap(),
            manners: Arc::new(Mutex::new(manners)),
            connections: Arc::default(),
            heads: Arc::default(),
            task: JoinSet::new(),
        };
        door.accept(listener);
        door
    }

    fn accept(&mut self, listener: TcpListener) {
        let (manners, connections) = (Arc::clone(&self.manners), Arc::clone(&self.connections));
        self.task.spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::Relaxed);
                let manners = Arc::clone(&*manners.lock().unwrap());
                clients.spawn(manners(socket));
            }
        });
    }

    /// Nobody listens, and all connections are gone.
    pub async fn shut(&mut self) {
        self.task.shutdown().await;
    }

    pub async fn reopen(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.accept(listener);
    }

    /// New connections are treated like this from now on.
    pub fn treat<F: Future<Output = ()> + Send + 'static>(
        &self,
        with: impl Fn(TcpStream) -> F + Send + Sync + 'static,
    ) {
        *self.manners.lock().unwrap() = Arc::new(move |socket| Box::pin(with(socket)));
    }

    /// Every request gets these bytes, then the end.
    pub fn answer(&self, bytes: impl Into<Vec<u8>>) {
        let (bytes, heads) = (bytes.into(), Arc::clone(&self.heads));
        self.treat(move |mut socket| {
            let (bytes, heads) = (bytes.clone(), Arc::clone(&heads));
            async move {
                if let Some(head) = request_head(&mut socket).await {
                    heads.lock().unwrap().push(head);
                    finish(socket, &bytes).await;
                }
            }
        });
    }

    pub fn last_head(&self) -> String {
        self.heads.lock().unwrap().last().unwrap().clone()
    }
}

/// Reads up to the empty line.
pub async fn request_head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// Sends and ends the connection in an orderly way: closing with unread bytes would be a reset.
pub async fn finish(mut socket: TcpStream, bytes: &[u8]) {
    if socket.write_all(bytes).await.is_ok() && socket.shutdown().await.is_ok() {
        silence(socket).await;
    }
}

/// Reads on until the client goes.
pub async fn silence(mut socket: TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    while socket.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
}

/// Ends the connection with a reset.
pub async fn reset(socket: TcpStream) {
    SockRef::from(&socket).set_linger(Some(std::time::Duration::ZERO)).unwrap();
}
