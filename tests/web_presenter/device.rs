//! A device over real sockets: REST and notifications on one port, the text protocol on another. It does what its script says, and
//! records every byte that it is sent.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rtmp_hmonitor::model::address::WebUrl;
use rtmp_hmonitor::model::spec::TlsSpec;
use rtmp_hmonitor::model::target::{DeviceTransport, WebPresenterCheck};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

pub const EVENTS: &str = "/control/api/v1/event/websocket?token=S3cretOfEvents";
pub const PRELUDE: &str = include_str!("prelude_1_2.txt");
pub const PRELUDE_1_0: &str = include_str!("prelude_1_0.txt");

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// 200.
    Json(String),
    Status(u16),
    /// 200, promising more than there is; then the connection is closed.
    Cut(String),
    /// These bytes, and nothing after them.
    Raw(Vec<u8>),
    /// The first, and then the second without an end.
    Endless(&'static str, &'static str),
    After(Duration, String),
    Never,
    Close,
    Reset,
}

#[derive(Debug)]
pub struct Script {
    pub livestream: Answer,
    pub product: Answer,
    pub active_platform: Answer,
    pub platform: Answer,
    /// What the text protocol says first.
    pub prelude: Answer,
    /// What it answers each question with.
    pub text: Answer,
    /// Status of the WebSocket handshake; 101: it is there.
    pub websocket: u16,
    /// What it answers the subscription with.
    pub subscribed: String,
}

/// What has come in.
#[derive(Debug, Default, Clone)]
pub struct Received {
    /// Heads of requests.
    pub requests: Vec<String>,
    pub text: Vec<u8>,
    pub messages: Vec<Message>,
    pub text_connections: usize,
}

#[derive(Debug)]
struct Shared {
    script: Mutex<Script>,
    received: Mutex<Received>,
    /// Unasked, to all who are connected.
    pushes: broadcast::Sender<Push>,
}

#[derive(Debug, Clone)]
enum Push {
    Text(String),
    Notice(String),
    HangUp,
}

#[derive(Debug)]
pub struct Device {
    shared: Arc<Shared>,
    rest_port: u16,
    text_port: u16,
    rest: Option<JoinSet<()>>,
    text: Option<JoinSet<()>>,
}

pub fn livestream(status: &str, bitrate: u64, duration: u64) -> Answer {
    Answer::Json(format!(
        r#"{{"status":"{status}","bitrate":{bitrate},"effectiveVideoFormat":"1920x1080p29.97","duration":{duration},"cache":3,
            "novelty":{{"a":[1]}}}}"#
    ))
}

pub fn state(status: &str, bitrate: u64, duration: &str) -> Answer {
    Answer::Raw(
        format!("ACK\n\nSTREAM STATE:\nStatus: {status}\nBitrate: {bitrate}\nDuration: {duration}\nCache Used: 3\n\n")
            .into(),
    )
}

pub fn json(text: &str) -> Answer {
    Answer::Json(text.to_owned())
}

impl Script {
    /// A device in good health that streams, with secrets wherever there may be some.
    pub fn healthy() -> Self {
        Self {
            livestream: livestream("Streaming", 6_012_345, 754),
            product: json(
                r#"{"deviceName":"Hall A","productName":"Blackmagic Streaming Encoder HD","softwareVersion":"3.4"}"#,
            ),
            active_platform: json(
                r#"{"platform":"X (Twitter)","server":"Custom","quality":"Streaming High","key":"S3cretKey","passphrase":"S3cretPhrase",
                    "url":"rtmp://u:S3cretPassword@192.0.2.10/S3cretApp"}"#,
            ),
            platform: json(
                r#"{"platform":"X (Twitter)","key":"S3cretKey","servers":[{"server":"Default","url":"rtmps://S3cretHost/S3cretApp",
                    "srtExtensions":[{"streamid":"S3cretExtension"}]}],
                    "credentials":{"username":"S3cretUser","password":"S3cretPassword"},
                    "profiles":[{"profile":"Streaming Low","lowLatency":false,"configs":[
                        {"resolution":"1080p","fps":"30","bitrate":3000000,"videoCodecs":["H264"]}]},
                    {"profile":"Streaming High","lowLatency":false,"configs":[
                        {"resolution":"720p","fps":"30","bitrate":4000000},
                        {"resolution":"1080p","fps":"30","bitrate":6000000,"audioBitrate":128000,"keyFrameInterval":2}]}],
                    "defaultProfile":"Streaming High","customizableUrlEnabled":false}"#,
            ),
            prelude: Answer::Raw(PRELUDE.into()),
            text: state("Streaming", 6_012_345, "00:00:12:34"),
            websocket: 101,
            subscribed: r#"{"type":"response","id":1,"data":{"action":"subscribe","properties":["/livestreams/0"],"success":true,
                "values":{"/livestreams/0":{"status":"Streaming","bitrate":1,"effectiveVideoFormat":"1920x1080p30"}}}}"#
                .to_owned(),
        }
    }
}

impl Device {
    /// Both interfaces, in good health.
    pub async fn start() -> Self {
        let shared = Shared {
            script: Mutex::new(Script::healthy()),
            received: Mutex::default(),
            pushes: broadcast::channel(16).0,
        };
        let mut device = Self { shared: Arc::new(shared), rest_port: 0, text_port: 0, rest: None, text: None };
        device.serve_rest().await;
        device.serve_text().await;
        device
    }

    pub async fn serve_rest(&mut self) {
        let (listener, port) = bind(self.rest_port).await;
        self.rest_port = port;
        let shared = Arc::clone(&self.shared);
        self.rest = Some(serve(listener, move |socket| rest_connection(Arc::clone(&shared), socket)));
    }

    pub async fn serve_text(&mut self) {
        let (listener, port) = bind(self.text_port).await;
        self.text_port = port;
        let shared = Arc::clone(&self.shared);
        self.text = Some(serve(listener, move |socket| text_connection(Arc::clone(&shared), socket)));
    }

    /// Refused from now on; what is open is cut.
    pub async fn stop_rest(&mut self) {
        if let Some(mut tasks) = self.rest.take() {
            tasks.shutdown().await;
        }
    }

    pub async fn stop_text(&mut self) {
        if let Some(mut tasks) = self.text.take() {
            tasks.shutdown().await;
        }
    }

    pub fn check(&self, transport: DeviceTransport) -> WebPresenterCheck {
        WebPresenterCheck {
            rest: WebUrl::parse(&format!("http://admin:S3cretLogin@127.0.0.1:{}/", self.rest_port)).unwrap(),
            tls: TlsSpec::default(),
            transport,
            ethernet_port: self.text_port,
            events: None,
        }
    }

    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script.lock().unwrap()
    }

    pub fn heal(&self) {
        *self.script() = Script::healthy();
    }

    pub fn received(&self) -> Received {
        self.shared.received.lock().unwrap().clone()
    }

    /// The text protocol says this unasked.
    pub fn push_text(&self, text: &str) {
        self.shared.pushes.send(Push::Text(text.to_owned())).ok();
    }

    /// The WebSocket says this unasked.
    pub fn notify(&self, text: &str) {
        self.shared.pushes.send(Push::Notice(text.to_owned())).ok();
    }

    /// The text protocol's connections are closed.
    pub fn hang_up(&self) {
        self.shared.pushes.send(Push::HangUp).ok();
    }
}

async fn bind(port: u16) -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else { panic!("not IPv4") };
    (listener, address.port())
}

fn serve<F>(listener: TcpListener, connection: impl Fn(TcpStream) -> F + Send + 'static) -> JoinSet<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            connections.spawn(connection(socket));
        }
    });
    tasks
}

/// `false`: the connection is over.
async fn give(socket: &mut TcpStream, answer: Answer) -> bool {
    let whole = |length: usize, body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
    match answer {
        Answer::Json(body) => socket.write_all(whole(body.len(), &body).as_bytes()).await.is_ok(),
        Answer::After(wait, body) => {
            tokio::time::sleep(wait).await;
            socket.write_all(whole(body.len(), &body).as_bytes()).await.is_ok()
        }
        Answer::Status(status) => {
            let body = "S3cretKey in an error";
            let head = format!("HTTP/1.1 {status} S3cretReason\r\nX-Key: S3cretKey\r\nLocation: /S3cretPath\r\n");
            socket.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.is_ok()
        }
        Answer::Cut(body) => {
            socket.write_all(whole(body.len() + 100, &body).as_bytes()).await.ok();
            false
        }
        Answer::Raw(bytes) => socket.write_all(&bytes).await.is_ok(),
        Answer::Endless(first, rest) => {
            socket.write_all(first.as_bytes()).await.ok();
            while socket.write_all(rest.as_bytes()).await.is_ok() {}
            false
        }
        Answer::Never => std::future::pending().await,
        Answer::Close => false,
        Answer::Reset => {
            SockRef::from(&*socket).set_linger(Some(Duration::ZERO)).unwrap();
            false
        }
    }
}

async fn rest_connection(shared: Arc<Shared>, mut socket: TcpStream) {
    loop {
        // Looked at before it is taken: the WebSocket's handshake is for the library to read.
        let mut buffer = vec![0; 4096];
        let head = loop {
            let Ok(length @ 1..) = socket.peek(&mut buffer).await else { return };
            let head = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if let Some(end) = head.find("\r\n\r\n") {
                break head[..end + 4].to_owned();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        shared.received.lock().unwrap().requests.push(head.clone());
        let path = head.split(' ').nth(1).unwrap_or_default();
        let script = |pick: fn(&Script) -> Answer| pick(&shared.script.lock().unwrap());
        let websocket = shared.script.lock().unwrap().websocket;
        let answer = match path {
            EVENTS if websocket == 101 => return websocket_connection(shared, socket).await,
            EVENTS => Answer::Status(websocket),
            "/control/api/v1/livestreams/0" => script(|s| s.livestream.clone()),
            "/control/api/v1/system/product" => script(|s| s.product.clone()),
            "/control/api/v1/livestreams/0/activePlatform" => script(|s| s.active_platform.clone()),
            "/control/api/v1/livestreams/platforms/X%20%28Twitter%29" => script(|s| s.platform.clone()),
            _ => Answer::Status(404),
        };
        socket.read_exact(&mut vec![0; head.len()]).await.unwrap();
        if !give(&mut socket, answer).await {
            return;
        }
    }
}

async fn websocket_connection(shared: Arc<Shared>, socket: TcpStream) {
    let mut pushes = shared.pushes.subscribe();
    let Ok(mut socket) = tokio_tungstenite::accept_async(socket).await else { return };
    socket.send(Message::text(r#"{"type":"event","data":{"action":"websocketOpened"}}"#)).await.ok();
    loop {
        tokio::select! {
            message = socket.next() => {
                let Some(Ok(message)) = message else { return };
                shared.received.lock().unwrap().messages.push(message);
                let answer = shared.script.lock().unwrap().subscribed.clone();
                socket.send(Message::text(answer)).await.ok();
            }
            push = pushes.recv() => match push {
                Ok(Push::Notice(text)) => drop(socket.send(Message::text(text)).await),
                Ok(_) => {}
                Err(_) => return,
            },
        }
    }
}

async fn text_connection(shared: Arc<Shared>, mut socket: TcpStream) {
    let mut pushes = shared.pushes.subscribe();
    shared.received.lock().unwrap().text_connections += 1;
    let prelude = shared.script.lock().unwrap().prelude.clone();
    if !give(&mut socket, prelude).await {
        return;
    }
    let (mut buffer, mut answered) = ([0; 1024], 0);
    let mut asked = Vec::new();
    loop {
        tokio::select! {
            length = socket.read(&mut buffer) => {
                let Ok(length @ 1..) = length else { return };
                asked.extend_from_slice(&buffer[..length]);
                shared.received.lock().unwrap().text.extend_from_slice(&buffer[..length]);
                while asked.windows(2).filter(|w| *w == b"\n\n").count() > answered {
                    answered += 1;
                    let answer = shared.script.lock().unwrap().text.clone();
                    if !give(&mut socket, answer).await {
                        return;
                    }
                }
            }
            push = pushes.recv() => match push {
                Ok(Push::Text(text)) => drop(socket.write_all(text.as_bytes()).await),
                Ok(Push::HangUp) | Err(_) => return,
                Ok(Push::Notice(_)) => {}
            },
        }
    }
}
