//! Log lines as documents of the Elastic Common Schema 8.11: one JSON object a line, dotted names (ecs-logging's convention).
//!
//! What the schema has no place for is under `hmonitor.`; the index template in `compose/elk` lists every field with its type.

use std::fmt;
use std::sync::LazyLock;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

const ECS_VERSION: &str = "8.11.0";

/// This machine's name; a container's is its own.
static HOST: LazyLock<Option<String>> = LazyLock::new(|| {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
});

/// Formats events as ECS documents.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ecs;

impl<S, N> FormatEvent<S, N> for Ecs
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut document = Document::default();
        let metadata = event.metadata();
        document.set("@timestamp", format!("{:.3}", jiff::Timestamp::now()));
        document.set("ecs.version", ECS_VERSION);
        document.set("log.level", metadata.level().as_str().to_ascii_lowercase());
        document.set("log.logger", metadata.target());
        document.set("service.name", "rtmp-hmonitor");
        document.set("service.type", "rtmp-hmonitor");
        document.set("service.version", env!("CARGO_PKG_VERSION"));
        document.set("process.pid", std::process::id());
        if let Some(name) = HOST.as_deref() {
            document.set("host.name", name);
        }
        document.set("event.dataset", dataset(metadata.target()));
        // Libraries open spans. Their fields are text by now.
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>().filter(|f| !f.is_empty()) {
                document.set("hmonitor.span", format!("{} {fields}", span.name()));
            }
        }
        let own = metadata.target().starts_with("rtmp_hmonitor") || metadata.target() == "audit";
        document.foreign = (!own).then(Map::new);
        event.record(&mut document);
        if let Some(foreign) = document.foreign.take().filter(|foreign| !foreign.is_empty()) {
            document.set("hmonitor.foreign", foreign);
        }
        let text = serde_json::to_string(&document.fields).map_err(|_| fmt::Error)?;
        writeln!(writer, "{text}")
    }
}

/// Changes of what is watched, what operators have asked for, and the rest.
fn dataset(target: &str) -> &'static str {
    match target {
        "rtmp_hmonitor::store::journal" => "rtmp-hmonitor.events",
        "audit" => "rtmp-hmonitor.audit",
        _ => "rtmp-hmonitor.log",
    }
}

/// Where a field of an event goes, if the schema has a place for it.
fn place(field: &str) -> Option<&'static str> {
    Some(match field {
        "message" => "message",
        "error" => "error.message",
        "backtrace" => "error.stack_trace",
        "thread" => "process.thread.name",
        "action" => "event.action",
        "reason" => "event.reason",
        "peer" => "client.address",
        "at" => "event.created",
        "log.target" => "log.logger",
        "log.file" => "log.origin.file.name",
        "log.line" => "log.origin.file.line",
        "log.module_path" => "log.origin.function",
        _ => return None,
    })
}

#[derive(Default)]
struct Document {
    fields: Map<String, Value>,
    /// Of a library's event: what only it knows, as text, for a field of the type `flattened`.
    foreign: Option<Map<String, Value>>,
}

impl Document {
    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }

    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        match (place(name), &mut self.foreign) {
            (Some(place), _) => self.set(place, value),
            (None, Some(foreign)) => {
                let text = if let Value::String(text) = value { text } else { value.to_string() };
                foreign.insert(name.to_owned(), text.into());
            }
            (None, None) => self.set(&format!("hmonitor.{name}"), value),
        }
    }

    fn put_text(&mut self, field: &Field, text: &str) {
        match field.name() {
            _ if text.is_empty() => {}
            // Written as JSON by the journal: the schema has a place for them.
            "labels" if self.foreign.is_none() => {
                self.set("labels", serde_json::from_str(text).unwrap_or(Value::Null));
            }
            "causes" if self.foreign.is_none() => self.set("hmonitor.causes", text.split(',').collect::<Vec<_>>()),
            _ => self.put(field, text.into()),
        }
    }
}

impl Visit for Document {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, &format!("{value:?}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}
