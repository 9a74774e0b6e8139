//! What endpoints and services have in common: state, issues, looks.

use crate::model::health::DownCause;
use crate::model::snapshot::{Snapshot, TargetView};
use crate::model::target::{CheckKind, enabled_causes};
use crate::model::target_report::{BlindCause, CheckPhase, Facts, TargetReport};
use crate::model::{Cause, DegradedCause, Health, TargetClass};
use crate::serve::judged::Judged;
use crate::serve::moment::Moment;

use super::catalogue::Scope;
use super::exposition::base_labels;
use super::moments::{unix_seconds, wall_seconds};
use super::rows::{Page, Row};
use super::{endpoints, services};

/// One endpoint or service, prepared for being visited once per family.
pub struct TargetRow<'s> {
    view: &'s TargetView,
    health: Health,
    labels: String,
    report: Option<&'s TargetReport>,
    /// Present while the report may stand for the present.
    fresh: Option<&'s TargetReport>,
    /// Of the newest successful look, however long ago.
    pub facts: &'s Facts,
    /// Those that may stand for the present.
    pub facts_now: &'s Facts,
}

impl Row for TargetRow<'_> {
    fn labels(&self) -> &str {
        &self.labels
    }
}

impl<'s> TargetRow<'s> {
    fn new(view: &'s TargetView, moment: &Moment, snapshot: &Snapshot) -> Self {
        let scope = match view.spec.id.class {
            TargetClass::Endpoint => Scope::Endpoint,
            TargetClass::Service => Scope::Service,
        };
        let report = view.report.as_deref();
        let current = report.filter(|_| moment.is_fresh(snapshot));
        Self {
            view,
            health: Judged::from(view).health(snapshot, moment),
            labels: base_labels(scope, view.spec.id.name.as_str(), &view.spec.labels),
            report,
            fresh: current.filter(|r| moment.stands(r)),
            facts: report.map_or(&Facts::None, |r| &r.facts),
            facts_now: current.and_then(|r| moment.standing_facts(r)).unwrap_or(&Facts::None),
        }
    }

    fn kind(&self) -> CheckKind {
        self.view.spec.check.check.kind()
    }

    /// Whether the cause's series is there: always where it can be expected, else once it has been seen.
    fn shows(&self, cause: Cause) -> bool {
        let (totals, policy) = (&self.view.totals, &self.view.spec.policy);
        let expect = &policy.expect;
        match cause {
            Cause::Down(DownCause::Role) if expect.role.is_some() => true,
            Cause::Down(DownCause::Lag) if expect.lag_max.is_some() || expect.lag_bytes_max.is_some() => true,
            Cause::Down(DownCause::NotLive) if expect.live => true,
            Cause::Down(DownCause::CanaryFailed) if self.kind() == CheckKind::Canary => true,
            Cause::Down(cause) => totals.down_causes_seen.get(cause as usize).copied().unwrap_or(false),
            Cause::Degraded(cause) => totals.causes_seen.union(enabled_causes(self.kind(), policy)).contains(cause),
        }
    }

    fn applies(&self, cause: Cause) -> bool {
        let verdict = &self.view.verdict;
        self.health != Health::Unknown
            && match cause {
                Cause::Down(cause) => verdict.down == Some(cause),
                Cause::Degraded(cause) => verdict.degraded.contains(cause),
            }
    }
}

type Targets<'r, 'o> = Page<'r, 'o, TargetRow<'r>>;

/// Appends the families of all endpoints and services in `snapshot` to `out`.
pub fn render(snapshot: &Snapshot, moment: &Moment, out: &mut String) {
    for class in TargetClass::ALL.iter().copied() {
        let rows: Vec<_> =
            snapshot.targets_of(class).iter().map(|view| TargetRow::new(view, moment, snapshot)).collect();
        let mut page = Page { rows: &rows, out };
        let name = |family: &str| format!("hmonitor_{class}_{family}");
        state(&mut page, &name);
        looks(&mut page, &name, class, moment);
        match class {
            TargetClass::Endpoint => endpoints::facts(&mut page),
            TargetClass::Service => services::facts(&mut page),
        }
    }
}

fn state(page: &mut Targets, name: &dyn Fn(&str) -> String) {
    page.family(&name("up"), |r, w| {
        let up = match r.health {
            Health::Up | Health::Degraded => true,
            Health::Down => false,
            Health::Unknown | Health::Idle => return,
        };
        w.series(&r.labels, &[r.kind().as_str()], up);
    });
    page.one_hot(&name("health"), Health::ALL.iter().map(|h| h.as_str()), |r| Some(r.health.as_str()));
    let causes = || {
        let down = DownCause::ALL.iter().copied().map(Cause::Down);
        down.chain(DegradedCause::ALL.iter().copied().map(Cause::Degraded))
    };
    page.family(&name("issue"), |r, w| {
        for cause in causes().filter(|c| r.shows(*c) || r.applies(*c)) {
            w.series(&r.labels, &[cause.as_str()], r.applies(cause));
        }
    });
    page.family(&name("state_changes_total"), |r, w| {
        for (to, count) in Health::ALL.iter().zip(r.view.totals.changes).filter(|(_, count)| *count > 0) {
            w.series(&r.labels, &[to.as_str()], count);
        }
    });
    page.single(&name("outages_total"), |r| Some(r.view.totals.outages));
    page.single(&name("outage_seconds_total"), |r| Some(r.view.totals.outage_seconds));
    page.single(&name("last_change_timestamp_seconds"), |r| unix_seconds(r.view.verdict.since));
}

fn looks(page: &mut Targets, name: &dyn Fn(&str) -> String, class: TargetClass, moment: &Moment) {
    page.single(&name("checks_total"), |r| r.report.map(|r| r.looks));
    page.single(&name("checks_failed_total"), |r| r.report.map(|r| r.failures.iter().sum::<u64>()));
    let failures = |report: &TargetReport| {
        let counted = DownCause::ALL.iter().map(|c| c.as_str()).zip(report.failures);
        counted.filter(|(_, count)| *count > 0)
    };
    let blind = |report: &TargetReport| BlindCause::ALL.iter().map(|c| c.as_str()).zip(report.blind);
    match class {
        TargetClass::Endpoint => {
            page.family(&name("failures_total"), |r, w| {
                for (cause, count) in r.report.into_iter().flat_map(failures) {
                    w.series(&r.labels, &[cause], count);
                }
            });
            page.family(&name("blind_total"), |r, w| {
                for (cause, count) in r.report.into_iter().flat_map(blind) {
                    w.series(&r.labels, &[cause], count);
                }
            });
        }
        TargetClass::Service => page.family(&name("errors_total"), |r, w| {
            for (cause, count) in r.report.into_iter().flat_map(|report| failures(report).chain(blind(report))) {
                w.series(&r.labels, &[r.kind().as_str(), cause], count);
            }
        }),
    }
    page.family(&name("duration_seconds"), |r, w| {
        for (phase, duration) in r.fresh.into_iter().flat_map(|r| CheckPhase::ALL.iter().zip(r.phases)) {
            if let Some(duration) = duration {
                w.series(&r.labels, &[phase.as_str()], duration.as_secs_f64());
            }
        }
    });
    page.single(&name("check_duration_seconds"), |r| r.fresh?.duration.map(|d| d.as_secs_f64()));
    page.single(&name("last_success_timestamp_seconds"), |r| wall_seconds(moment, r.report?.last_success?));
    page.single(&name("tls_expiry_timestamp_seconds"), |r| unix_seconds(r.report?.certificate_expiry?));
}
