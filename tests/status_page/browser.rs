//! Headless Chromium, driven through `driver.py`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::program;

/// Enough for a browser on a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(20);

/// One browser for all tests, one test at a time: each is several processes, which take their time to start, and some tests look at times.
static SHARED: Mutex<Option<Driver>> = Mutex::new(None);

/// How a page is looked at.
#[derive(Debug, Clone)]
pub struct Window {
    pub width: u32,
    pub height: u32,
    pub scheme: &'static str,
    pub bypass_csp: bool,
    /// By path, what is added to JSON answers (`each_stream`: by name, to the streams).
    pub merge: Value,
}

pub const DESKTOP: Window = Window { width: 1440, height: 900, scheme: "light", bypass_csp: false, merge: Value::Null };
pub const PHONE: Window = Window { width: 360, height: 740, ..DESKTOP };

/// The program that drives Chromium. It ends with its input, and so with this process, and Chromium with it.
struct Driver {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Driver {
    fn start() -> Self {
        let chromium = program("chromium", "chromium");
        let python = root().join("target/browser-reference/bin/python");
        assert!(python.exists(), "playwright is missing: .ci/install test");
        let mut command = Command::new(python);
        command.arg(root().join("tests/status_page/driver.py")).arg(chromium);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { commands: child.stdin.take(), child, answers }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _ = self.child.wait();
    }
}

/// A browser with at most one page.
pub struct Browser {
    driver: MutexGuard<'static, Option<Driver>>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

impl Browser {
    pub fn start() -> Self {
        let mut browser = Self { driver: SHARED.lock().unwrap_or_else(PoisonError::into_inner) };
        browser.ask(&json!({ "do": "forget" }));
        browser
    }

    fn ask(&mut self, command: &Value) -> Value {
        let Driver { commands, answers, .. } = self.driver.get_or_insert_with(Driver::start);
        writeln!(commands.as_mut().unwrap(), "{command}").unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let mut answer: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
        assert!(answer.get("error").is_none(), "{command}: {}", answer["error"].as_str().unwrap_or_default());
        answer["ok"].take()
    }

    pub fn open(&mut self, url: &str, window: &Window) {
        let Window { width, height, scheme, bypass_csp, merge } = window;
        self.ask(&json!({
            "do": "open", "url": url, "width": width, "height": height, "scheme": scheme, "bypass_csp": bypass_csp,
            "merge": merge,
        }));
    }

    pub fn reload(&mut self) {
        self.ask(&json!({ "do": "reload" }));
    }

    pub fn eval(&mut self, script: &str) -> Value {
        self.ask(&json!({ "do": "eval", "script": script }))
    }

    pub fn text(&mut self, selector: &str) -> String {
        let text = self.eval(&format!("document.querySelector({selector:?})?.innerText ?? ''"));
        text.as_str().unwrap().to_owned()
    }

    /// Waits until `script` gives something true.
    pub fn until(&mut self, script: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let value = self.eval(script);
            if !matches!(&value, Value::Null | Value::Bool(false)) && value != json!(0) && value != json!("") {
                return value;
            }
            if Instant::now() >= end {
                let page = self.eval("[document.visibilityState, location.hash, document.body.innerText]");
                // What it should be showing.
                let monitor = self.eval(
                    "fetch('/api/v1/status').then((reply) => reply.json()).then((status) => status.streams.map((s) => `${s.name} ${s.health} ${s.causes} since ${s.since}`)).catch(String)",
                );
                let seen = self.ask(&json!({ "do": "seen" }));
                panic!("not within {PATIENCE:?}: {script}\n{page:#}\n{monitor:#}\n{seen:#}");
            }
            std::thread::sleep(LOOK);
        }
    }

    pub fn press(&mut self, keys: &[&str]) {
        self.ask(&json!({ "do": "press", "keys": keys }));
    }

    pub fn type_text(&mut self, text: &str) {
        self.ask(&json!({ "do": "type", "text": text }));
    }

    pub fn click(&mut self, selector: &str) {
        self.ask(&json!({ "do": "click", "selector": selector }));
    }

    pub fn select(&mut self, selector: &str, value: &str) {
        self.ask(&json!({ "do": "select", "selector": selector, "value": value }));
    }

    /// Takes a picture of the page for people: `target/status-page/NAME.png`.
    pub fn picture(&mut self, name: &str) {
        let directory = root().join("target/status-page");
        std::fs::create_dir_all(&directory).unwrap();
        self.ask(&json!({ "do": "picture", "path": directory.join(format!("{name}.png")) }));
    }

    /// Accessibility rules (axe-core) that the page breaks. Needs a window without a content security policy.
    pub fn broken_rules(&mut self) -> Vec<String> {
        serde_json::from_value(self.ask(&json!({ "do": "axe" }))).unwrap()
    }

    /// Processor seconds of the page's main thread so far.
    pub fn busy_seconds(&mut self) -> f64 {
        self.ask(&json!({ "do": "figures" }))["TaskDuration"].as_f64().unwrap()
    }

    /// Paths asked for by the page, in order.
    pub fn requests(&mut self) -> Vec<String> {
        serde_json::from_value(self.ask(&json!({ "do": "seen" }))["requests"].take()).unwrap()
    }

    /// Fails if the console has errors or warnings, a script failed, or anything was asked of another host.
    pub fn assert_quiet(&mut self) {
        let seen = self.ask(&json!({ "do": "seen" }));
        assert_eq!(seen["troubles"], json!([]));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Whatever state it is in: the next test gets another one.
            *self.driver = None;
        }
    }
}

/// A file beside the tests.
pub fn fixture(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/status_page").join(name);
    assert!(path.exists(), "{}", path.display());
    path
}
