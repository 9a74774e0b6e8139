//! Groups and failovers: how they stand, and what has been decided.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::Health;
use crate::model::failover::{FailoverView, SuppressReason, SwitchReason};
use crate::model::group::{GroupView, MaintenanceState};
use crate::model::snapshot::Snapshot;
use crate::serve::controllers::Heard;
use crate::serve::documents::group_health;
use crate::serve::moment::Moment;

use super::catalogue::{Family, Scope};
use super::exposition::{FamilyWriter, base_labels};
use super::moments::unix_seconds;
use super::rows::{Page, Row};

struct Labelled<'s, V> {
    view: &'s V,
    labels: String,
}

impl<V> Row for Labelled<'_, V> {
    fn labels(&self) -> &str {
        &self.labels
    }
}

/// Appends the families of all groups and failovers in `snapshot` to `out`.
pub fn render(snapshot: &Snapshot, moment: &Moment, out: &mut String) {
    let fresh = moment.is_fresh(snapshot);
    let groups = snapshot.decisions.groups.iter().map(|view| Labelled {
        view: &**view,
        labels: base_labels(Scope::Group, view.spec.name.as_str(), &view.spec.labels),
    });
    let groups: Vec<_> = groups.collect();
    render_groups(&mut Page { rows: &groups, out }, fresh);
    let failovers = snapshot.decisions.failovers.iter().map(|view| Labelled {
        view: &**view,
        labels: base_labels(Scope::Failover, view.spec.name.as_str(), &view.spec.labels),
    });
    let failovers: Vec<_> = failovers.collect();
    render_failovers(&mut Page { rows: &failovers, out }, fresh);
}

fn render_groups<'r>(page: &mut Page<'r, '_, Labelled<'r, GroupView>>, fresh: bool) {
    let states = Health::ALL.iter().map(|h| h.as_str());
    page.one_hot("hmonitor_group_health", states, |r| Some(group_health(r.view, fresh).as_str()));
    page.single("hmonitor_group_eligible", |r| r.view.eligible.filter(|_| fresh));
    page.single("hmonitor_group_serving", |r| r.view.serving.filter(|_| fresh));
    page.single("hmonitor_group_weight_ratio", |r| fresh.then_some(r.view.weight));
    page.family("hmonitor_group_members", |r, w| {
        let members = r.view.members;
        let counts = [
            ("expected", members.expected),
            ("healthy", members.healthy),
            ("unknown", members.unknown),
            ("idle", members.idle),
        ];
        for (state, count) in counts.into_iter().filter(|_| fresh) {
            w.series(&r.labels, &[state], count);
        }
    });
    page.family("hmonitor_group_issue", |r, w| {
        for cause in r.view.causes.iter().filter(|_| fresh) {
            w.series(&r.labels, &[cause.as_str()], true);
        }
    });
    page.single("hmonitor_group_held", |r| Some(r.view.held));
    page.single("hmonitor_group_last_change_timestamp_seconds", |r| unix_seconds(r.view.since));
    page.family("hmonitor_group_maintenance", |r, w| {
        let asked = r.view.maintenance.as_ref().map(|m| m.state);
        for state in MaintenanceState::ALL {
            w.series(&r.labels, &[state.as_str()], asked == Some(*state));
        }
    });
}

fn render_failovers<'r>(page: &mut Page<'r, '_, Labelled<'r, FailoverView>>, fresh: bool) {
    page.family("hmonitor_failover_active", |r, w| {
        for (index, candidate) in r.view.spec.candidates.iter().enumerate() {
            w.series(&r.labels, &[candidate.group.as_str()], r.view.active == Some(index));
        }
    });
    page.family("hmonitor_failover_candidate_eligible", |r, w| {
        for (candidate, seen) in r.view.spec.candidates.iter().zip(r.view.candidates.iter()) {
            if let Some(eligible) = seen.eligible.filter(|_| fresh) {
                w.series(&r.labels, &[candidate.group.as_str()], eligible);
            }
        }
    });
    page.single("hmonitor_failover_epoch", |r| Some(r.view.epoch));
    page.family("hmonitor_failover_switches_total", |r, w| {
        for (reason, count) in SwitchReason::ALL.iter().zip(r.view.totals.switches) {
            w.series(&r.labels, &[reason.as_str()], count);
        }
    });
    page.single("hmonitor_failover_last_switch_timestamp_seconds", |r| {
        r.view.active.and_then(|_| unix_seconds(r.view.since))
    });
    page.family("hmonitor_failover_last_switch_info", |r, w| {
        if let Some(active) = r.view.active_candidate() {
            let from = r.view.previous.as_ref().map_or("", |group| group.as_str());
            w.series(&r.labels, &[from, active.group.as_str(), r.view.reason.as_str()], true);
        }
    });
    page.family("hmonitor_failover_suppressed", |r, w| {
        for reason in SuppressReason::ALL.iter().filter(|_| fresh) {
            w.series(&r.labels, &[reason.as_str()], r.view.suppressed == Some(*reason));
        }
    });
    page.family("hmonitor_failover_suppressed_total", |r, w| {
        for (reason, count) in SuppressReason::ALL.iter().zip(r.view.totals.suppressed) {
            w.series(&r.labels, &[reason.as_str()], count);
        }
    });
    page.single("hmonitor_failover_pinned", |r| Some(r.view.pinned.is_some()));
}

/// Appends how long load balancers have not done what they were told.
pub fn render_controllers(heard: &[Heard], out: &mut String) {
    let Some(family) = Family::named("hmonitor_controller_disagreement_seconds") else { return };
    let mut longest: BTreeMap<&str, Duration> = BTreeMap::new();
    for h in heard {
        let of_object = longest.entry(&h.object).or_default();
        *of_object = h.disagreement().max(*of_object);
    }
    let mut writer = FamilyWriter::new(family, out);
    for (object, disagreement) in longest {
        writer.series("", &[object], disagreement.as_secs_f64());
    }
}
