//! Reading the configuration again, when asked to and when its files change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::handle::{ControlError, QUEUE, Reloaded, Reply};
use super::vantage::Vantage;
use super::{Control, ReloadReason, answer, invalid};
use crate::config::{self, Config, ConfigErrors};
use crate::model::Name;
use crate::model::spec::StreamSpec;

/// A whole configuration, and what the definitions in the state file mean with it.
struct Read {
    config: Config,
    /// Names of the definitions that were read.
    defined: BTreeSet<String>,
    added: BTreeMap<Name, StreamSpec>,
}

impl Control {
    /// Looks whether files have changed. The lane of files is free.
    pub(super) fn look_at_files(&mut self) {
        let mut fingerprint = self.fingerprint.clone();
        let libav = Arc::clone(&self.shared.libav);
        let decodes = self.desired.borrow().streams.iter().any(|stream| stream.policy.content.is_on());
        let look = move || (fingerprint.changed(), fingerprint, decodes && !libav.is_available());
        self.files.begin(look, |control, looked| {
            let Ok((changed, fingerprint, blind)) = looked else { return };
            control.fingerprint = fingerprint;
            if blind && !control.said_blind {
                let program = control.shared.libav.program();
                tracing::warn!(program = %program.display(), "content cannot be checked and there are no thumbnails: the program that decodes is not there");
            }
            control.said_blind = blind;
            if changed {
                control.reload(ReloadReason::FileChange);
            }
        });
    }

    /// Reloads as soon as the files can be read. All who ask before it begins are answered by one.
    pub(super) fn ask_reload(&mut self, reply: Reply<Reloaded>) {
        let waiting = self.reloads.get_or_insert_default();
        waiting.retain(|reply| !reply.is_closed());
        match waiting.len() < QUEUE {
            true => waiting.push(reply),
            false => answer(reply, Err(ControlError::Busy)),
        }
    }

    /// Reads everything again; applies it only when all of it is right. The lane of files is free.
    pub(super) fn reload(&mut self, reason: ReloadReason) {
        let replies = self.reloads.take().unwrap_or_default();
        let (path, environment) = (self.path.clone(), self.environment.clone());
        let (state, mut fingerprint) = (Arc::clone(&self.state), self.fingerprint.clone());
        let read = move || {
            // Marked before they are read: a change in between is a change still to come.
            fingerprint.accept_present();
            let read = config::load(&path, &environment).map(|loaded| {
                fingerprint.follow(&loaded.watched_files);
                let definitions = state.added_streams();
                let defined = names(&definitions);
                let added = added_streams(&loaded.config, definitions);
                Read { config: loaded.config, defined, added }
            });
            (fingerprint, read)
        };
        self.files.begin(read, move |control, read| {
            let outcome = match read {
                Ok((fingerprint, read)) => {
                    control.fingerprint = fingerprint;
                    control.take_over(reason, read)
                }
                Err(error) => Err(ControlError::Storage(error.to_string())),
            };
            // It is logged and shown in the metrics, whoever waits.
            replies.into_iter().for_each(|reply| answer(reply, outcome.clone()));
        });
    }

    fn take_over(&mut self, reason: ReloadReason, read: Result<Read, ConfigErrors>) -> Result<Reloaded, ControlError> {
        let Read { config, defined, added } = match read {
            Ok(read) => read,
            Err(errors) => {
                for line in errors.lines() {
                    tracing::error!(%reason, "{line}");
                }
                tracing::error!(%reason, errors = errors.0.len(), "configuration not reloaded; the running one stays");
                self.status.note_reload(false);
                return Err(invalid(&errors));
            }
        };
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        self.warn_of_what_needs_a_restart(&config);
        self.config = Arc::new(config);
        self.vantage = Vantage::of(&self.config, &self.shared.env);
        self.server.send_replace(Arc::new(self.config.server.clone()));
        self.actions.send_replace(Arc::new(self.config.actions.clone()));
        // Operators' words do not wait for this: what came and went meanwhile is as they have it.
        let present = names(&self.state.added_streams());
        self.added.retain(|name, _| !defined.contains(name.as_str()));
        self.added.extend(added);
        self.added.retain(|name, _| present.contains(name.as_str()));
        self.discovery.follow(&self.config.discover, |source| self.state.kept_lists(source));
        self.state.keep_lists_of(&self.discovery.keys());
        let done = self.apply();
        self.status.note_reload(true);
        let Reloaded { started, stopped, restarted, unchanged } = done;
        tracing::info!(%reason, started, stopped, restarted, unchanged, "configuration reloaded");
        Ok(done)
    }

    fn warn_of_what_needs_a_restart(&self, new: &Config) {
        let (old, new_server) = (&self.config.server, &new.server);
        let differs = [
            ("server.listen", old.listen != new_server.listen),
            ("server.health_listen", old.health_listen != new_server.health_listen),
            ("server.agent_listen", old.agent_listen != new_server.agent_listen),
            ("server.unix_listen", old.unix_listen != new_server.unix_listen),
            ("state_file", self.config.state_file != new.state_file),
            ("log", self.config.log != new.log),
            ("supervisor", self.config.supervisor != new.supervisor),
            ("libav", self.config.libav != new.libav),
        ];
        for (key, _) in differs.into_iter().filter(|(_, differs)| *differs) {
            tracing::warn!(key, "this change takes effect at the next start");
        }
    }
}

/// Names of definitions.
fn names(definitions: &[Value]) -> BTreeSet<String> {
    definitions.iter().filter_map(|definition| Some(definition.get("name")?.as_str()?.to_owned())).collect()
}

/// Specs of the definitions in the state file, with the defaults of `config`.
pub fn added_streams(config: &Config, definitions: Vec<Value>) -> BTreeMap<Name, StreamSpec> {
    let mut added = BTreeMap::new();
    for definition in definitions {
        match config.stream_from_json(definition) {
            Ok(spec) => drop(added.insert(spec.name.clone(), spec)),
            Err(errors) => {
                for line in errors.lines() {
                    tracing::error!("a stream added by the API cannot be watched any more: {line}");
                }
            }
        }
    }
    added
}
