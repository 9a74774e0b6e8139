//! Where Alertmanager delivers: a webhook that keeps what came, and when.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// One alert of one message.
#[derive(Debug, Clone)]
pub struct Told {
    pub at: Instant,
    /// `firing` or `resolved`.
    pub status: String,
    pub labels: Value,
    pub summary: String,
}

impl Told {
    pub fn alert(&self) -> &str {
        self.label("alertname")
    }

    pub fn label(&self, name: &str) -> &str {
        self.labels[name].as_str().unwrap_or("")
    }
}

#[derive(Debug, Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Receiver {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let receiver = Self { address: listener.local_addr().unwrap(), told: Arc::default() };
        let shared = receiver.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let shared = shared.clone();
                // A connection that breaks is Alertmanager's to repeat.
                std::thread::spawn(move || shared.serve(socket));
            }
        });
        receiver
    }

    fn serve(&self, mut socket: TcpStream) -> std::io::Result<()> {
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut reader = BufReader::new(socket.try_clone()?);
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? <= 2 {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        let message: Value = serde_json::from_slice(&body)?;
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let alerts = message["alerts"].as_array().cloned().unwrap_or_default().into_iter().map(|alert| Told {
            at: Instant::now(),
            status: text(&alert["status"]),
            summary: text(&alert["annotations"]["summary"]),
            labels: alert["labels"].clone(),
        });
        self.told.lock().unwrap().extend(alerts);
        Ok(())
    }

    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }
}
