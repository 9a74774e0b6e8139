//! What has to happen so that what runs is what is wanted: a pure difference.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::Name;
use crate::model::spec::{ProbeSpec, StreamSpec};

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    Start(Arc<StreamSpec>),
    Stop(Name),
    /// The probe's own settings changed: the old session ends before the new one begins.
    Restart(Arc<StreamSpec>),
}

/// Compares `desired` (sorted by name) with the probes that run. Thresholds and labels are no reason to touch a probe.
pub fn plan(desired: &[Arc<StreamSpec>], running: &BTreeMap<Name, Arc<ProbeSpec>>) -> Vec<Action> {
    let is_wanted = |name: &Name| desired.binary_search_by(|s| s.name.cmp(name)).is_ok();
    let stops = running.keys().filter(|name| !is_wanted(name)).cloned().map(Action::Stop);
    let others = desired.iter().filter_map(|spec| match running.get(&spec.name) {
        None => Some(Action::Start(Arc::clone(spec))),
        Some(probe) if **probe != *spec.probe => Some(Action::Restart(Arc::clone(spec))),
        Some(_) => None,
    });
    stops.chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StreamUrl;
    use crate::model::spec::{EvidenceSource, Labels, PhaseTimeouts, SpecSource, StreamPolicy, TlsSpec, Watch};
    use std::time::Duration;

    fn spec(name: &str, url: &str, stall_seconds: u64) -> Arc<StreamSpec> {
        Arc::new(StreamSpec {
            name: Name::new(name).unwrap(),
            probe: Arc::new(ProbeSpec {
                url: StreamUrl::parse(url).unwrap(),
                timeouts: PhaseTimeouts::default(),
                tls: TlsSpec::default(),
                watch: Watch::Always,
                evidence: EvidenceSource::Play,
            }),
            policy: Arc::new(StreamPolicy {
                stall_timeout: Duration::from_secs(stall_seconds),
                ..StreamPolicy::default()
            }),
            labels: Labels::default(),
            server: None,
            follow: None,
            camera: None,
            source: SpecSource::File,
        })
    }

    #[test]
    fn only_what_differs_is_touched() {
        let running = |specs: &[&Arc<StreamSpec>]| -> BTreeMap<_, _> {
            specs.iter().map(|s| (s.name.clone(), Arc::clone(&s.probe))).collect()
        };
        let (a, b) = (spec("a", "rtmp://h/live/a", 2), spec("b", "rtmp://h/live/b", 2));
        let a_moved = spec("a", "rtmp://h2/live/a", 2);
        let a_tuned = spec("a", "rtmp://h/live/a", 9);
        #[rustfmt::skip]
        let table = [
            ("nothing runs", vec![&a, &b], vec![], vec![Action::Start(a.clone()), Action::Start(b.clone())]),
            ("nothing changed", vec![&a, &b], vec![&a, &b], vec![]),
            ("one gone", vec![&b], vec![&a, &b], vec![Action::Stop(a.name.clone())]),
            ("other URL", vec![&a_moved, &b], vec![&a, &b], vec![Action::Restart(a_moved.clone())]),
            ("other thresholds", vec![&a_tuned, &b], vec![&a, &b], vec![]),
            ("all gone", vec![], vec![&a], vec![Action::Stop(a.name.clone())]),
        ];
        for (case, desired, before, expected) in table {
            let desired: Vec<_> = desired.into_iter().cloned().collect();
            assert_eq!(plan(&desired, &running(&before)), expected, "{case}");
        }
    }
}
