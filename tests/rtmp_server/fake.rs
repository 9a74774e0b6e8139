//! A web server that answers what a test wants, over real sockets.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// What was asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET /path?query`.
    pub line: String,
    pub authorization: Option<String>,
}

impl Request {
    /// A number of the query, or 0.
    pub fn number(&self, name: &str) -> usize {
        let query = self.line.split_once('?').map_or("", |(_, query)| query);
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub enum Reply {
    Json(String),
    Status(u16, String),
    /// Every byte of it, head and all; then the connection is closed.
    Raw(Vec<u8>),
    /// As many bytes of a body without an end.
    Flood(usize),
}

pub struct Fake {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
    over: Arc<AtomicBool>,
}

impl Fake {
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, end) = (Arc::clone(&asked), Arc::clone(&over));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                // The other side may go away at any time.
                let _ = stream.and_then(|stream| serve(stream, &answer, &log));
            }
        });
        Self { address, asked, over }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lines of all requests so far.
    pub fn lines(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|request| request.line.clone()).collect()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&Request) -> Reply, log: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let Some(first) = lines.next().transpose()? else { return Ok(()) };
    let line = first.rsplit_once(' ').map_or(first.clone(), |(line, _)| line.to_owned());
    let mut request = Request { line, authorization: None };
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("authorization: ") {
            request.authorization = Some(value.to_owned());
        }
    }
    let reply = answer(&request);
    log.lock().unwrap().push(request);
    let whole = |status: u16, body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nDate: Sun, 04 Jan 2026 10:00:03 GMT\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .into_bytes()
    };
    match reply {
        Reply::Json(body) => stream.write_all(&whole(200, &body)),
        Reply::Status(status, body) => stream.write_all(&whole(status, &body)),
        Reply::Raw(bytes) => stream.write_all(&bytes),
        Reply::Flood(bytes) => {
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").as_bytes())?;
            let block = vec![b'<'; 1 << 16];
            (0..bytes >> 16).try_for_each(|_| stream.write_all(&block))
        }
    }
}
