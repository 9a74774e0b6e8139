//! What operators ask: streams, silences, maintenance of groups, pins of failovers. One word after the other, each on disk before it is
//! answered.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;

use super::handle::{Command, ControlError, Reply};
use super::{Control, answer, invalid};
use crate::model::Name;
use crate::model::failover::FailoverPin;
use crate::model::group::Maintenance;
use crate::model::snapshot::Silence;
use crate::state::{StateError, StateFile};

impl Control {
    /// Heeds one word. The lane of words is free.
    pub(super) fn heed(&mut self, word: Command) {
        match word {
            Command::AddStream { definition, reply } => self.add_stream(definition, reply),
            Command::RemoveStream { name, reply } => self.remove_stream(name, reply),
            Command::Silence { name, reason, until, reply } => {
                let silence = Silence { reason, until, created: SystemTime::now() };
                self.silence(name, silence, reply);
            }
            Command::Unsilence { name, reply } => answer(reply, self.unsilence(&name)),
            Command::Maintain { group, state, reason, until, reply } => {
                let maintenance = Maintenance { state, reason, until, created: SystemTime::now() };
                self.maintain(group, maintenance, reply);
            }
            Command::EndMaintenance { group, reply } => self.end_maintenance(group, reply),
            Command::Pin { failover, group, reason, until, reply } => {
                self.pin(failover, FailoverPin { group, reason, until, created: SystemTime::now() }, reply);
            }
            Command::Unpin { failover, reply } => self.unpin(failover, reply),
            Command::Reload { reply } => self.ask_reload(reply),
            Command::Probe { target, module, reply } => self.probe(target, &module, reply),
        }
    }

    fn add_stream(&mut self, definition: Value, reply: Reply<Name>) {
        let (config, posted) = (Arc::clone(&self.config), definition.clone());
        let read_by = Arc::clone(&config);
        // It may name files.
        self.words.begin(
            move || config.stream_from_json(posted),
            |control, read| {
                let spec = read.map_err(storage).and_then(|read| read.map_err(|errors| invalid(&errors)));
                let spec = match spec {
                    Ok(spec) if control.is_wanted(&spec.name) => {
                        return answer(reply, Err(ControlError::Exists(spec.name)));
                    }
                    Ok(spec) => spec,
                    Err(error) => return answer(reply, Err(error)),
                };
                let (name, of) = (spec.name.clone(), spec.name.clone());
                control.keep(
                    move |state| state.add_stream(&of, definition),
                    move |control, written| {
                        // A reload meanwhile may have found it; one that has not reads it with what is configured now.
                        match written {
                            Ok(()) => drop(control.added.entry(name.clone()).or_insert(spec)),
                            Err(_) => drop(control.added.remove(&name)),
                        }
                        if !Arc::ptr_eq(&read_by, &control.config) {
                            control.reloads.get_or_insert_default();
                        }
                        control.apply();
                        answer(reply, written.map(|()| name));
                    },
                );
            },
        );
    }

    fn remove_stream(&mut self, name: Name, reply: Reply<()>) {
        let Some(spec) = self.added.get(&name).cloned() else {
            let known = self.is_wanted(&name);
            let error = if known { ControlError::NotRemovable } else { ControlError::NotFound };
            return answer(reply, Err(error(name)));
        };
        let of = name.clone();
        self.keep(
            move |state| state.remove_added_stream(&of),
            move |control, written| {
                if written.is_ok() {
                    control.added.remove(&name);
                    if control.silences.remove(&name).is_some() {
                        // It was about this stream, not about a later one of the same name.
                        control.state.remove_silence(&name);
                    }
                } else {
                    // A reload meanwhile may have missed it.
                    control.added.entry(name).or_insert(spec);
                }
                control.apply();
                answer(reply, written);
            },
        );
    }

    fn silence(&mut self, name: Name, silence: Silence, reply: Reply<Arc<Silence>>) {
        if !self.is_wanted(&name) {
            return answer(reply, Err(ControlError::NotFound(name)));
        }
        let silence = Arc::new(silence);
        let (kept, of) = (Arc::clone(&silence), name.clone());
        self.keep(
            move |state| state.add_silence(&of, &kept),
            move |control, written| {
                if written.is_ok() {
                    control.silences.insert(name, Arc::clone(&silence));
                    control.apply();
                }
                answer(reply, written.map(|()| silence));
            },
        );
    }

    fn unsilence(&mut self, name: &Name) -> Result<(), ControlError> {
        if self.silences.remove(name).is_none() {
            return Err(ControlError::NotFound(name.clone()));
        }
        self.state.remove_silence(name);
        self.apply();
        Ok(())
    }

    fn maintain(&mut self, group: Name, maintenance: Maintenance, reply: Reply<Arc<Maintenance>>) {
        if !self.config.groups.iter().any(|g| g.name == group) {
            return answer(reply, Err(ControlError::NoGroup(group)));
        }
        let maintenance = Arc::new(maintenance);
        let (kept, of) = (Arc::clone(&maintenance), group.clone());
        self.keep(
            move |file| file.set_maintenance(&of, Some(&kept)),
            move |control, written| {
                if written.is_ok() {
                    control.intents.maintain(group, Arc::clone(&maintenance));
                    control.apply();
                }
                answer(reply, written.map(|()| maintenance));
            },
        );
    }

    fn end_maintenance(&mut self, group: Name, reply: Reply<()>) {
        if let Err(error) = self.intents.end_maintenance(&group) {
            return answer(reply, Err(error));
        }
        self.apply();
        self.keep(move |file| file.set_maintenance(&group, None), |_, written| answer(reply, written));
    }

    fn pin(&mut self, failover: Name, pin: FailoverPin, reply: Reply<Arc<FailoverPin>>) {
        let Some(spec) = self.config.failovers.iter().find(|f| f.name == failover) else {
            return answer(reply, Err(ControlError::NoFailover(failover)));
        };
        if !spec.candidates.iter().any(|candidate| candidate.group == pin.group) {
            return answer(reply, Err(ControlError::NoCandidate(pin.group)));
        }
        let pin = Arc::new(pin);
        let (kept, of) = (Arc::clone(&pin), failover.clone());
        self.keep(
            move |file| file.set_pin(&of, Some(&kept)),
            move |control, written| {
                if written.is_ok() {
                    control.intents.pin(failover, Arc::clone(&pin));
                    control.apply();
                }
                answer(reply, written.map(|()| pin));
            },
        );
    }

    fn unpin(&mut self, failover: Name, reply: Reply<()>) {
        if let Err(error) = self.intents.unpin(&failover) {
            return answer(reply, Err(error));
        }
        self.apply();
        self.keep(move |file| file.set_pin(&failover, None), |_, written| answer(reply, written));
    }

    /// Writes to the state file; `then` is what follows.
    fn keep(
        &mut self,
        write: impl FnOnce(&StateFile) -> Result<(), StateError> + Send + 'static,
        then: impl FnOnce(&mut Self, Result<(), ControlError>) + Send + 'static,
    ) {
        let state = Arc::clone(&self.state);
        self.words.begin(
            move || write(&state),
            |control, written| {
                then(control, written.map_err(storage).and_then(|written| written.map_err(storage)));
            },
        );
    }
}

fn storage(error: impl ToString) -> ControlError {
    ControlError::Storage(error.to_string())
}
