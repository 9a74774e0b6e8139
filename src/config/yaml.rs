//! YAML text → value tree whose nodes know their line, in bounded memory and stack.
//!
//! The `config` crate's own reader loses lines, recurses as deep as the text nests and expands aliases without bound. This one drives
//! the same parser event by event and leaves the line in each value's origin. Scalars stay text: what is expected at a place decides
//! how it is read, so `site: no` is a label and `1.10` keeps its zero.

use std::collections::HashMap;

use config::{Value, ValueKind};
use yaml_rust2::Event;
use yaml_rust2::parser::Parser;
use yaml_rust2::scanner::{Marker, TScalarStyle};

use super::error::shown;
use super::reader::MAX_ERRORS;

/// Largest accepted document in bytes.
pub(super) const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Deepest nesting; the deepest key of the configuration is at 8.
const MAX_DEPTH: usize = 32;
/// Bytes the tree may take with aliases expanded, counting [`NODE`] for each node beside its text.
const MAX_COST: usize = 64 * 1024 * 1024;
const NODE: usize = 64;

/// A fault of the text: line, path, message.
pub(super) struct Fault {
    pub line: Option<u32>,
    pub path: String,
    pub message: String,
}

/// A finished node with what it costs to copy.
#[derive(Clone)]
struct Built {
    value: Value,
    cost: usize,
    height: usize,
}

struct Frame {
    line: u32,
    anchor: usize,
    cost: usize,
    height: usize,
    kind: FrameKind,
}

enum FrameKind {
    List(Vec<Value>),
    Table { entries: HashMap<String, Value>, lines: HashMap<String, u32>, key: Option<(String, u32)> },
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    anchors: HashMap<usize, Built>,
    cost: usize,
    root: Option<Value>,
    faults: Vec<Fault>,
}

/// The document's root; an empty text is `Nil`. Duplicate keys are all reported, any other fault ends the reading.
pub(super) fn parse(text: &str) -> Result<Value, Vec<Fault>> {
    let mut builder = Builder::default();
    match builder.run(text) {
        Ok(()) if builder.faults.is_empty() => Ok(builder.root.unwrap_or(Value::new(None, ValueKind::Nil))),
        Ok(()) => Err(builder.faults),
        Err(fault) => {
            builder.faults.push(fault);
            Err(builder.faults)
        }
    }
}

fn line_of(marker: &Marker) -> u32 {
    u32::try_from(marker.line()).unwrap_or(u32::MAX)
}

impl Builder {
    fn run(&mut self, text: &str) -> Result<(), Fault> {
        if text.len() > MAX_BYTES {
            return Err(self.fault(None, "the file is larger than 16 MiB"));
        }
        // The parser would take it for the end and drop what follows.
        if text.contains('\0') {
            return Err(self.fault(None, "not valid YAML: a NUL character"));
        }
        let mut parser = Parser::new_from_str(text);
        let mut documents = 0;
        loop {
            let (event, marker) = parser.next_token().map_err(|e| {
                let line = line_of(e.marker());
                self.fault(Some(line), &format!("not valid YAML: {}", e.info()))
            })?;
            let line = line_of(&marker);
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart => {
                    documents += 1;
                    if documents > 1 {
                        return Err(self.fault(Some(line), "expected one YAML document, found a second one"));
                    }
                }
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
                Event::Scalar(_, _, _, Some(_))
                | Event::SequenceStart(_, Some(_))
                | Event::MappingStart(_, Some(_)) => {
                    return Err(self.fault(Some(line), "YAML tags (!…) are not supported"));
                }
                Event::Scalar(text, style, anchor, None) => self.scalar(text, style, anchor, line)?,
                Event::Alias(anchor) => {
                    let Some(built) = self.anchors.get(&anchor).cloned() else {
                        return Err(self.fault(Some(line), "an alias may not stand inside what it refers to"));
                    };
                    self.attach(built, 0, line)?;
                }
                Event::SequenceStart(anchor, None) => self.open(line, anchor, FrameKind::List(Vec::new()))?,
                Event::MappingStart(anchor, None) => {
                    let kind = FrameKind::Table { entries: HashMap::new(), lines: HashMap::new(), key: None };
                    self.open(line, anchor, kind)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close()?,
            }
        }
    }

    fn scalar(&mut self, text: String, style: TScalarStyle, anchor: usize, line: u32) -> Result<(), Fault> {
        let cost = NODE + text.len();
        let empty = style == TScalarStyle::Plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
        let is_key = matches!(self.stack.last(), Some(Frame { kind: FrameKind::Table { key: None, .. }, .. }));
        let kind = if empty && !is_key { ValueKind::Nil } else { ValueKind::String(text) };
        let value = Value::new(Some(&line.to_string()), kind);
        self.attach(Built { value, cost, height: 0 }, anchor, line)
    }

    fn open(&mut self, line: u32, anchor: usize, kind: FrameKind) -> Result<(), Fault> {
        if let Some(Frame { kind: FrameKind::Table { key: None, .. }, .. }) = self.stack.last() {
            return Err(self.fault(Some(line), "a key must be a single word"));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(self.too_deep(line));
        }
        self.stack.push(Frame { line, anchor, cost: NODE, height: 1, kind });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let kind = match frame.kind {
            FrameKind::List(items) => ValueKind::Array(items),
            FrameKind::Table { entries, .. } => ValueKind::Table(entries),
        };
        // The content was charged when it was attached.
        self.cost = self.cost.saturating_sub(frame.cost - NODE);
        let value = Value::new(Some(&frame.line.to_string()), kind);
        self.attach(Built { value, cost: frame.cost, height: frame.height }, frame.anchor, frame.line)
    }

    /// Puts a finished node where it belongs: as a key, a value, an item or the root.
    fn attach(&mut self, built: Built, anchor: usize, line: u32) -> Result<(), Fault> {
        self.cost += built.cost;
        if anchor > 0 {
            self.cost += built.cost;
            self.anchors.insert(anchor, built.clone());
        }
        if self.cost > MAX_COST {
            return Err(self.fault(Some(line), "the document is too large once its aliases are expanded"));
        }
        if self.stack.len() + built.height > MAX_DEPTH {
            return Err(self.too_deep(line));
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(built.value);
            return Ok(());
        };
        frame.cost += built.cost;
        frame.height = frame.height.max(built.height + 1);
        let mut twice = None;
        match &mut frame.kind {
            FrameKind::List(items) => items.push(built.value),
            FrameKind::Table { entries, lines, key } => match key.take() {
                // A value stands where its key does: that is the line to look at.
                Some((name, line)) => {
                    entries.insert(name, Value::new(Some(&line.to_string()), built.value.kind));
                }
                None => {
                    let ValueKind::String(name) = built.value.kind else {
                        return Err(self.fault(Some(line), "a key must be a single word"));
                    };
                    twice = lines.insert(name.clone(), line);
                    *key = Some((name, line));
                }
            },
        }
        if let Some(first) = twice.filter(|_| self.faults.len() < MAX_ERRORS) {
            let message = format!("the key is given twice, first at line {first}");
            self.faults.push(Fault { line: Some(line), path: self.path(), message });
        }
        Ok(())
    }

    fn too_deep(&self, line: u32) -> Fault {
        self.fault(Some(line), &format!("nested deeper than {MAX_DEPTH} levels"))
    }

    fn fault(&self, line: Option<u32>, message: &str) -> Fault {
        Fault { line, path: String::new(), message: message.to_owned() }
    }

    /// Where the innermost open node stands.
    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.stack {
            match &frame.kind {
                FrameKind::List(items) => path.push_str(&format!("[{}]", items.len())),
                FrameKind::Table { key: Some((key, _)), .. } => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(shown(key));
                }
                FrameKind::Table { key: None, .. } => {}
            }
        }
        path
    }
}
