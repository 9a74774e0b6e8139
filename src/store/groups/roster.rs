//! Who belongs to which group: names and labels resolved against what is wanted.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::Name;
use crate::model::event::{Subject, SubjectClass};
use crate::model::failover::FailoverSpec;
use crate::model::group::{Clause, GroupSpec, Quorum, Requirement, Selection};
use crate::model::spec::{Desired, Labels, StreamSpec};

/// One clause with its members.
#[derive(Debug, Clone)]
pub struct Listed {
    pub class: SubjectClass,
    pub members: Vec<Subject>,
    pub need: Quorum,
    /// They are the streams that follow the failover, not the candidate's own.
    pub followers: bool,
}

/// The clauses of one group, with their members.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    pub eligible: Vec<Listed>,
    pub serving: Vec<Listed>,
    pub up: Vec<Listed>,
    /// Failovers of which the group is a candidate.
    pub failovers: Vec<Name>,
}

impl Roster {
    pub fn new(spec: &GroupSpec, desired: &Desired) -> Self {
        let is_candidate = |failover: &&Arc<FailoverSpec>| failover.candidates.iter().any(|c| c.group == spec.name);
        let failovers: Vec<Name> = desired.failovers.iter().filter(is_candidate).map(|f| f.name.clone()).collect();
        let list = |requirement: &Requirement| {
            let clauses = [
                (SubjectClass::Stream, &requirement.streams),
                (SubjectClass::Endpoint, &requirement.endpoints),
                (SubjectClass::Service, &requirement.services),
            ];
            let listed = clauses.into_iter().filter_map(|(class, clause)| {
                let clause = clause.as_ref()?;
                Some(Listed {
                    class,
                    members: members(class, clause, desired, &failovers),
                    need: clause.need,
                    followers: clause.members == Selection::Followers,
                })
            });
            listed.collect()
        };
        Self {
            eligible: list(&spec.eligible_while),
            serving: list(&spec.serving_while),
            up: list(&spec.up_while),
            failovers,
        }
    }

    pub fn is_candidate(&self) -> bool {
        !self.failovers.is_empty()
    }

    /// The streams that follow a failover.
    pub fn followers(&self) -> impl Iterator<Item = &Name> {
        let clauses = self.eligible.iter().chain(&self.serving).filter(|listed| listed.followers);
        clauses.flat_map(|listed| &listed.members).map(|subject| &subject.name)
    }

    fn all(&self) -> impl Iterator<Item = &Subject> {
        self.eligible.iter().chain(&self.serving).chain(&self.up).flat_map(|listed| &listed.members)
    }

    /// The streams that are expected only while it is the group's turn.
    pub fn own_streams(&self) -> impl Iterator<Item = &Name> {
        let own = self.serving.iter().filter(|l| l.class == SubjectClass::Stream && !l.followers);
        own.flat_map(|listed| &listed.members).map(|subject| &subject.name)
    }
}

/// The groups that each thing counts for.
#[derive(Debug, Default)]
pub struct Index {
    groups: HashMap<Subject, BTreeSet<Name>>,
    /// The streams of each camera.
    films: HashMap<Subject, Vec<Subject>>,
}

impl Index {
    pub fn new<'r>(rosters: impl Iterator<Item = (&'r Name, &'r Roster)>, desired: &Desired) -> Self {
        let mut index = Self::default();
        for (group, roster) in rosters {
            for subject in roster.all() {
                index.groups.entry(subject.clone()).or_default().insert(group.clone());
                let spec = Some(subject).filter(|s| s.class == SubjectClass::Stream);
                let spec = spec.and_then(|s| stream(desired, &s.name));
                if let Some(camera) = spec.and_then(|spec| spec.camera.clone()) {
                    let camera = Subject { class: SubjectClass::Endpoint, name: camera };
                    index.films.entry(camera).or_default().push(subject.clone());
                }
            }
        }
        index
    }

    /// The streams whose camera this is.
    pub fn films(&self, camera: &Subject) -> &[Subject] {
        self.films.get(camera).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn groups_of(&self, subject: &Subject) -> impl Iterator<Item = &Name> {
        self.groups.get(subject).into_iter().flatten()
    }

    pub fn knows(&self, subject: &Subject) -> bool {
        self.groups.contains_key(subject)
    }
}

fn members(class: SubjectClass, clause: &Clause, desired: &Desired, failovers: &[Name]) -> Vec<Subject> {
    let subject = |name: &Name| Subject { class, name: name.clone() };
    match &clause.members {
        Selection::Named(names) => names.iter().map(subject).collect(),
        Selection::Followers => {
            let follows =
                |spec: &&Arc<StreamSpec>| spec.follow.as_ref().is_some_and(|f| failovers.contains(&f.failover));
            desired.streams.iter().filter(follows).map(|spec| subject(&spec.name)).collect()
        }
        Selection::Labelled(wanted) => match class {
            SubjectClass::Stream => {
                desired.streams.iter().filter(|s| has(&s.labels, wanted)).map(|s| subject(&s.name)).collect()
            }
            _ => desired
                .targets
                .iter()
                .filter(|t| Subject::target(&t.id).class == class && has(&t.labels, wanted))
                .map(|t| subject(&t.id.name))
                .collect(),
        },
    }
}

fn has(labels: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(k, v)| labels.get(k) == Some(v))
}

fn stream<'d>(desired: &'d Desired, name: &Name) -> Option<&'d Arc<StreamSpec>> {
    desired.streams.binary_search_by(|s| s.name.cmp(name)).ok().and_then(|i| desired.streams.get(i))
}
