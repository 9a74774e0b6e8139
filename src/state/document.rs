//! The state file's format: JSON, version 1. Unknown members are ignored, so that an older monitor reads a newer file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::health::{FailoverMemory, Remembered, SuspectMemory};
use crate::model::event::{Subject, SubjectClass};
use crate::model::failover::{FailoverPin, SwitchReason};
use crate::model::group::{Maintenance, MaintenanceState};
use crate::model::snapshot::Silence;
use crate::model::{DownCause, Health, Name};

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
pub struct Document {
    version: u32,
    #[serde(default)]
    streams: Memories,
    #[serde(default)]
    endpoints: Memories,
    #[serde(default)]
    services: Memories,
    #[serde(default)]
    groups: Memories,
    #[serde(default)]
    failovers: BTreeMap<String, DecisionMemory>,
    /// Definitions as they were posted.
    #[serde(default)]
    pub added: BTreeMap<String, Value>,
    /// What discovery sources last gave, by source.
    #[serde(default)]
    pub lists: BTreeMap<String, Vec<TargetList>>,
    #[serde(default)]
    silences: BTreeMap<String, SilenceMemory>,
    /// Operators' words on groups.
    #[serde(default)]
    maintenance: BTreeMap<String, MaintenanceMemory>,
    /// Operators' words on failovers.
    #[serde(default)]
    pins: BTreeMap<String, PinMemory>,
}

/// Judgements by name.
type Memories = BTreeMap<String, Memory>;

/// One target list as it was read.
#[derive(Clone, Serialize, Deserialize)]
pub struct TargetList {
    /// File name or URL without path, for error messages.
    pub origin: String,
    pub text: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    health: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    /// Unix time in milliseconds.
    since_ms: u64,
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthy_answer: Option<bool>,
}

/// A failover's last decision.
#[derive(Debug, Serialize, Deserialize)]
struct DecisionMemory {
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    epoch: u64,
    since_ms: u64,
    reason: String,
    #[serde(default)]
    suspects: BTreeMap<String, SuspicionMemory>,
    /// Candidates that did not serve since one last did, and the streams that each of them missed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    trials: BTreeMap<String, BTreeSet<u64>>,
    /// Candidates that answered healthy.
    #[serde(default)]
    healthy: BTreeSet<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SuspicionMemory {
    lost_ms: u64,
    strikes: u32,
    not_serving: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct SilenceMemory {
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ms: Option<u64>,
    created_ms: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct MaintenanceMemory {
    state: String,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ms: Option<u64>,
    created_ms: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct PinMemory {
    group: String,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ms: Option<u64>,
    created_ms: u64,
}

/// Without the text: it holds URLs.
impl std::fmt::Debug for TargetList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TargetList").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// Without the content: definitions and lists hold URLs.
impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Default for Document {
    fn default() -> Self {
        Self {
            version: VERSION,
            streams: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            services: BTreeMap::new(),
            groups: BTreeMap::new(),
            failovers: BTreeMap::new(),
            added: BTreeMap::new(),
            lists: BTreeMap::new(),
            silences: BTreeMap::new(),
            maintenance: BTreeMap::new(),
            pins: BTreeMap::new(),
        }
    }
}

impl Document {
    pub fn from_json(text: &[u8]) -> Result<Self, String> {
        let document: Self = serde_json::from_slice(text).map_err(|e| describe(&e))?;
        if document.version == VERSION {
            Ok(document)
        } else {
            Err(format!("version {} is not known", document.version))
        }
    }

    pub fn to_json(&self) -> Vec<u8> {
        // Plain maps of strings and numbers always serialise.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    fn memories(&self, class: SubjectClass) -> Option<&Memories> {
        match class {
            SubjectClass::Stream => Some(&self.streams),
            SubjectClass::Endpoint => Some(&self.endpoints),
            SubjectClass::Service => Some(&self.services),
            SubjectClass::Group => Some(&self.groups),
            SubjectClass::Path | SubjectClass::Failover | SubjectClass::Monitor => None,
        }
    }

    fn memories_mut(&mut self, class: SubjectClass) -> Option<&mut Memories> {
        match class {
            SubjectClass::Stream => Some(&mut self.streams),
            SubjectClass::Endpoint => Some(&mut self.endpoints),
            SubjectClass::Service => Some(&mut self.services),
            SubjectClass::Group => Some(&mut self.groups),
            SubjectClass::Path | SubjectClass::Failover | SubjectClass::Monitor => None,
        }
    }

    pub fn judgement(&self, subject: &Subject) -> Option<Remembered> {
        self.memories(subject.class)?.get(subject.name.as_str())?.read()
    }

    /// All subjects whose names are still names.
    pub fn judgements(&self) -> Vec<(Subject, Remembered)> {
        let all = SubjectClass::ALL.iter().flat_map(|class| {
            let memories = self.memories(*class).into_iter().flatten();
            memories.map(move |(name, memory)| (*class, name, memory))
        });
        all.filter_map(|(class, name, memory)| Some((Subject { class, name: Name::new(name).ok()? }, memory.read()?)))
            .collect()
    }

    pub fn set_judgement(&mut self, subject: &Subject, judgement: &Remembered) {
        if let Some(memories) = self.memories_mut(subject.class) {
            memories.insert(subject.name.to_string(), Memory::of(judgement));
        }
    }

    /// Also a failover's decision.
    pub fn remove_judgement(&mut self, subject: &Subject) {
        if subject.class == SubjectClass::Failover {
            self.failovers.remove(subject.name.as_str());
        }
        if let Some(memories) = self.memories_mut(subject.class) {
            memories.remove(subject.name.as_str());
        }
    }

    /// All decisions whose names are still names.
    pub fn decisions(&self) -> Vec<(Name, FailoverMemory)> {
        self.failovers.iter().filter_map(|(name, memory)| Some((Name::new(name).ok()?, memory.read()?))).collect()
    }

    pub fn set_decision(&mut self, failover: &Name, decision: &FailoverMemory) {
        self.failovers.insert(failover.to_string(), DecisionMemory::of(decision));
    }

    pub fn silences(&self) -> Vec<(Name, Arc<Silence>)> {
        let silences = self.silences.iter().filter_map(|(name, memory)| {
            let silence = Silence {
                reason: memory.reason.clone(),
                until: memory.until_ms.map(from_ms),
                created: from_ms(memory.created_ms),
            };
            Some((Name::new(name).ok()?, Arc::new(silence)))
        });
        silences.collect()
    }

    /// Sets or lifts a silence. Gives the one before.
    pub fn set_silence(&mut self, name: &Name, silence: Option<SilenceMemory>) -> Option<SilenceMemory> {
        match silence {
            Some(silence) => self.silences.insert(name.to_string(), silence),
            None => self.silences.remove(name.as_str()),
        }
    }
}

impl Document {
    pub fn maintenance(&self) -> Vec<(Name, Arc<Maintenance>)> {
        let all = self.maintenance.iter().filter_map(|(name, memory)| {
            let maintenance = Maintenance {
                state: MaintenanceState::from_text(&memory.state)?,
                reason: memory.reason.clone(),
                until: memory.until_ms.map(from_ms),
                created: from_ms(memory.created_ms),
            };
            Some((Name::new(name).ok()?, Arc::new(maintenance)))
        });
        all.collect()
    }

    /// Sets or ends the maintenance of a group. Gives the one before.
    pub fn set_maintenance(&mut self, group: &Name, to: Option<MaintenanceMemory>) -> Option<MaintenanceMemory> {
        match to {
            Some(memory) => self.maintenance.insert(group.to_string(), memory),
            None => self.maintenance.remove(group.as_str()),
        }
    }

    /// Drops maintenance and pins whose time is over.
    pub fn drop_over(&mut self, wall: SystemTime) {
        let now = to_ms(wall);
        let is_over = |until: Option<u64>| until.is_some_and(|until| until <= now);
        self.maintenance.retain(|_, memory| !is_over(memory.until_ms));
        self.pins.retain(|_, memory| !is_over(memory.until_ms));
    }

    pub fn pins(&self) -> Vec<(Name, Arc<FailoverPin>)> {
        let all = self.pins.iter().filter_map(|(name, memory)| {
            let pin = FailoverPin {
                group: Name::new(&memory.group).ok()?,
                reason: memory.reason.clone(),
                until: memory.until_ms.map(from_ms),
                created: from_ms(memory.created_ms),
            };
            Some((Name::new(name).ok()?, Arc::new(pin)))
        });
        all.collect()
    }

    /// Pins or unpins a failover. Gives the pin before.
    pub fn set_pin(&mut self, failover: &Name, to: Option<PinMemory>) -> Option<PinMemory> {
        match to {
            Some(memory) => self.pins.insert(failover.to_string(), memory),
            None => self.pins.remove(failover.as_str()),
        }
    }
}

impl From<&Maintenance> for MaintenanceMemory {
    fn from(maintenance: &Maintenance) -> Self {
        Self {
            state: maintenance.state.to_string(),
            reason: maintenance.reason.clone(),
            until_ms: maintenance.until.map(to_ms),
            created_ms: to_ms(maintenance.created),
        }
    }
}

impl From<&FailoverPin> for PinMemory {
    fn from(pin: &FailoverPin) -> Self {
        Self {
            group: pin.group.to_string(),
            reason: pin.reason.clone(),
            until_ms: pin.until.map(to_ms),
            created_ms: to_ms(pin.created),
        }
    }
}

impl From<&Silence> for SilenceMemory {
    fn from(silence: &Silence) -> Self {
        Self { reason: silence.reason.clone(), until_ms: silence.until.map(to_ms), created_ms: to_ms(silence.created) }
    }
}

impl Memory {
    fn of(judgement: &Remembered) -> Self {
        Self {
            health: judgement.health.to_string(),
            cause: judgement.down.map(|c| c.to_string()),
            since_ms: to_ms(judgement.since),
            epoch: judgement.epoch,
            healthy_answer: judgement.healthy_answer,
        }
    }

    fn read(&self) -> Option<Remembered> {
        Some(Remembered {
            health: Health::from_text(&self.health)?,
            down: self.cause.as_deref().and_then(DownCause::from_text),
            since: from_ms(self.since_ms),
            epoch: self.epoch,
            healthy_answer: self.healthy_answer,
        })
    }
}

impl DecisionMemory {
    fn of(decision: &FailoverMemory) -> Self {
        let suspicion = |suspect: &SuspectMemory| SuspicionMemory {
            lost_ms: to_ms(suspect.lost_at),
            strikes: suspect.strikes,
            not_serving: suspect.not_serving,
        };
        Self {
            active: decision.active.as_ref().map(ToString::to_string),
            previous: decision.previous.as_ref().map(ToString::to_string),
            epoch: decision.epoch,
            since_ms: to_ms(decision.since),
            reason: decision.reason.to_string(),
            suspects: decision.suspects.iter().map(|(name, s)| (name.to_string(), suspicion(s))).collect(),
            trials: decision.trials.iter().map(|(name, missed)| (name.to_string(), missed.clone())).collect(),
            healthy: decision.healthy.iter().map(ToString::to_string).collect(),
        }
    }

    fn read(&self) -> Option<FailoverMemory> {
        let suspect = |memory: &SuspicionMemory| SuspectMemory {
            lost_at: from_ms(memory.lost_ms),
            strikes: memory.strikes,
            not_serving: memory.not_serving,
        };
        let suspects = self.suspects.iter().filter_map(|(name, m)| Some((Name::new(name).ok()?, suspect(m))));
        let trials = self.trials.iter().filter_map(|(name, missed)| Some((Name::new(name).ok()?, missed.clone())));
        Some(FailoverMemory {
            active: self.active.as_deref().and_then(|name| Name::new(name).ok()),
            previous: self.previous.as_deref().and_then(|name| Name::new(name).ok()),
            epoch: self.epoch,
            since: from_ms(self.since_ms),
            reason: SwitchReason::from_text(&self.reason)?,
            suspects: suspects.collect(),
            trials: trials.collect(),
            healthy: self.healthy.iter().filter_map(|name| Name::new(name).ok()).collect(),
        })
    }
}

/// Where, and of which kind. The error's own words quote values, and those may be secret.
fn describe(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let kind = match error.classify() {
        Category::Io => "cannot be read",
        Category::Syntax => "is not JSON",
        Category::Data => "has a value of the wrong type",
        Category::Eof => "ends too early",
    };
    format!("it {kind} at line {} column {}", error.line(), error.column())
}

fn to_ms(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

fn from_ms(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(SystemTime::UNIX_EPOCH)
}
