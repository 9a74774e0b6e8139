//! Filters of lists. All kinds must pass; of one kind given several times, `state` and `cause` any, `label` all.

use crate::model::snapshot::Snapshot;
use crate::model::spec::Labels;
use crate::model::{Cause, DegradedCause, DownCause, Health};
use crate::serve::judged::Judged;
use crate::serve::moment::Moment;
use crate::serve::query::Query;
use crate::serve::reply::Problem;

pub struct Filter<'q> {
    states: Vec<Health>,
    causes: Vec<&'q str>,
    labels: Vec<(&'q str, &'q str)>,
    part: Option<&'q str>,
}

impl<'q> Filter<'q> {
    pub fn parse(query: &'q Query) -> Result<Self, Problem> {
        query.only(&["state", "label", "cause", "q"])?;
        Self::read(query)
    }

    /// In a query that has keys of its own, too, and has been checked for others.
    pub fn read(query: &'q Query) -> Result<Self, Problem> {
        let state = |text| {
            Health::from_text(text)
                .ok_or_else(|| Problem::bad_request("state must be unknown, up, degraded, down or idle"))
        };
        let cause = |text| {
            let known = DownCause::from_text(text).is_some() || DegradedCause::from_text(text).is_some();
            known.then_some(text).ok_or_else(|| Problem::bad_request("there is no cause of this name"))
        };
        let label =
            |text: &'q str| text.split_once(':').ok_or_else(|| Problem::bad_request("label must be name:value"));
        Ok(Self {
            states: query.all("state").map(state).collect::<Result<_, _>>()?,
            causes: query.all("cause").map(cause).collect::<Result<_, _>>()?,
            labels: query.all("label").map(label).collect::<Result<_, _>>()?,
            part: query.one("q")?,
        })
    }

    /// Whether this stream, endpoint or service is wanted.
    pub fn wants(&self, judged: Judged<'_>, snapshot: &Snapshot, moment: &Moment) -> bool {
        let causes = judged.causes(snapshot, moment).chain(judged.noted(snapshot, moment)).map(Cause::as_str);
        self.passes(judged.name.as_str(), judged.health(snapshot, moment), causes, judged.labels)
    }

    /// Whether something of this name, health, causes and labels is wanted.
    pub fn passes(
        &self,
        name: &str,
        health: Health,
        causes: impl IntoIterator<Item = &'static str>,
        labels: &Labels,
    ) -> bool {
        (self.states.is_empty() || self.states.contains(&health))
            && (self.causes.is_empty() || causes.into_iter().any(|c| self.causes.contains(&c)))
            && self.is_about(name, labels)
    }

    /// Whether something of this name and labels is wanted, whatever its health.
    pub fn is_about(&self, name: &str, labels: &Labels) -> bool {
        self.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
            && self.part.is_none_or(|part| name.contains(part))
    }
}
