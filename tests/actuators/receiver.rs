//! A receiver of webhooks that can be down, slow or out of order.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

#[derive(Debug, Clone)]
pub struct Request {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What it does with the next requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mood {
    Fine,
    /// Takes the request and does not answer until it is fine again.
    Slow,
    Status(u16),
    /// Takes it and breaks the connection instead of answering.
    Rude,
}

pub struct Receiver {
    pub address: SocketAddr,
    mood: Arc<Mutex<Mood>>,
    taken: Arc<Mutex<Vec<(Mood, Request)>>>,
    gone: Arc<AtomicBool>,
}

impl Receiver {
    pub fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap())
    }

    /// At an address that a receiver had that has gone.
    pub fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (mood, taken, gone) = (Arc::new(Mutex::new(Mood::Fine)), Arc::default(), Arc::new(AtomicBool::new(false)));
        let receiver = Self { address, mood, taken, gone };
        let (mood, taken, gone) = (Arc::clone(&receiver.mood), Arc::clone(&receiver.taken), Arc::clone(&receiver.gone));
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                if gone.load(Ordering::SeqCst) {
                    return;
                }
                let (mood, taken) = (Arc::clone(&mood), Arc::clone(&taken));
                // A client that goes away is its own business.
                std::thread::spawn(move || serve(socket, &mood, &taken));
            }
        });
        receiver
    }

    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Requests taken in this mood.
    pub fn taken(&self, mood: Mood) -> Vec<Request> {
        self.taken.lock().unwrap().iter().filter(|(m, _)| *m == mood).map(|(_, request)| request.clone()).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
        // Wakes the listener, so that the port is free.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(mut socket: TcpStream, mood: &Mutex<Mood>, taken: &Mutex<Vec<(Mood, Request)>>) -> Option<()> {
    let mut reader = BufReader::new(socket.try_clone().ok()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let mut headers = Vec::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            headers.push((name.to_owned(), value.to_owned()));
        }
        let mut request = Request { line: line.trim_end().to_owned(), headers, body: String::new() };
        let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        request.body = String::from_utf8(body).unwrap();
        let now = *mood.lock().unwrap();
        taken.lock().unwrap().push((now, request));
        let status = match now {
            Mood::Rude => return None,
            Mood::Fine => 204,
            Mood::Status(status) => status,
            Mood::Slow => {
                while *mood.lock().unwrap() == Mood::Slow {
                    std::thread::sleep(Duration::from_millis(5));
                }
                return None;
            }
        };
        socket.write_all(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").as_bytes()).ok()?;
    }
}
