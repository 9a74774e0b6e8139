//! What plays at a candidate speaks for it, whatever looks at it say: a frame proves that its machine, the way there and the program that
//! sent it live.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::super::paths::Known;
use super::roster::{Listed, Roster};
use super::standing::{Turn, Witnesses, shows_every, target};
use crate::model::event::{Subject, SubjectClass};
use crate::model::snapshot::StreamView;
use crate::model::spec::{EvidenceSource, Watch};
use crate::model::target::Check;
use crate::model::url::Host;
use crate::model::{Health, StreamUrl};

/// A stream that has not shown itself for so many times its usual time no longer plays.
const SHOWS_WITHIN: u32 = 2;
/// How long looks at the program may fail while streams play: an origin that keeps the sessions it has and accepts none is no good.
const EXCUSED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(15));
/// What a stream has shown is known so much later: it reports twice a second.
const TOLD_WITHIN: Duration = Duration::from_millis(600);
/// How often that is asked for meanwhile.
const ASK: Duration = Duration::from_millis(50);

/// Failing looks at a candidate, and those of them that are proved wrong by what plays there, or may yet be.
#[derive(Debug, Default)]
pub struct Proof {
    /// Canaries that count as well: what plays shows better than any canary that the candidate relays.
    pub refuted: BTreeSet<Subject>,
    /// Looks that count for nobody.
    pub excused: BTreeSet<Subject>,
    /// A canary has failed, and nothing speaks against it.
    pub canary_failed: bool,
    /// When it would be another one although no member had changed.
    pub again: Option<Instant>,
}

/// A look that has failed.
enum Failing<'k> {
    /// Since when it is known to.
    Canary(Instant),
    /// Since when none has succeeded. `until`: the longest that it may be excused.
    Look { since: Instant, timeout: Duration, until: Option<Instant>, host: &'k Host, port: Option<u16> },
}

/// A stream that is played at the candidate.
struct Player<'k> {
    url: &'k StreamUrl,
    last_frame: Instant,
    observed_at: Instant,
    has_ended: bool,
    /// How often it shows itself.
    every: Duration,
    always: bool,
}

impl Proof {
    pub fn read(roster: &Roster, turn: Turn, now: Instant, witnesses: &Witnesses, known: &impl Known) -> Self {
        let mut proof = Self::default();
        let listed = || roster.eligible.iter().chain(&roster.serving).chain(&roster.up);
        let failing = |subject: &Subject| Some((subject.clone(), failing(subject, witnesses, known)?));
        let failing: Vec<_> = listed().flat_map(|listed| &listed.members).filter_map(failing).collect();
        if failing.is_empty() {
            return proof;
        }
        // Of a candidate whose turn it is not nothing is played. They are asked for only where it matters: there may be a thousand.
        let players = match turn {
            Turn::No if roster.is_candidate() => Vec::new(),
            _ => players(listed(), witnesses, known),
        };
        for (subject, failing) in failing {
            match failing {
                Failing::Canary(since) => proof.weigh_canary(subject, since, &players, now),
                Failing::Look { since, timeout, until, host, port } => {
                    let is_there =
                        |p: &&Player<'_>| p.url.host() == host && port.is_none_or(|port| port == p.url.port());
                    let there = players.iter().filter(|p| p.always).filter(is_there);
                    if until.is_none_or(|until| now < until)
                        && let Some(again) = excused_until(there, since, timeout, now)
                    {
                        proof.excused.insert(subject);
                        proof.look_again(until.map_or(again, |until| until.min(again)));
                    }
                }
            }
        }
        proof
    }

    /// A canary that fails while others play (a password that has changed, a name that is taken) counts as well, until it has succeeded.
    fn weigh_canary(&mut self, canary: Subject, since: Instant, players: &[Player<'_>], now: Instant) {
        if players.iter().any(|p| p.last_frame > since) {
            self.refuted.insert(canary);
            return;
        }
        let may_show = players.iter().map(|p| (p.last_frame, SHOWS_WITHIN * p.every));
        let may_show = may_show.filter(|(at, within)| *at + *within > since).map(|(_, within)| since + within);
        match may_show.max().filter(|until| *until > now) {
            Some(until) => {
                self.refuted.insert(canary);
                self.look_again(until);
            }
            None => self.canary_failed = true,
        }
    }

    fn look_again(&mut self, at: Instant) {
        self.again = self.again.into_iter().chain([at]).min();
    }
}

/// Until when looks of which none has succeeded since `since` prove nothing, because of what has come `there` meanwhile, or may have and is
/// not known yet. A machine that is gone sends nothing for as long as a look takes.
fn excused_until<'p>(
    there: impl Iterator<Item = &'p Player<'p>>,
    since: Instant,
    timeout: Duration,
    now: Instant,
) -> Option<Instant> {
    let excuse = |player: &Player<'_>| {
        let shows_until = player.last_frame + SHOWS_WITHIN * player.every;
        let recent = !player.has_ended && shows_until > since;
        let untold = recent && player.observed_at < since + timeout && now < since + timeout + TOLD_WITHIN;
        match () {
            () if player.last_frame > since && shows_until > now => Some(shows_until),
            () if untold => Some(now + ASK),
            () => None,
        }
    };
    there.filter_map(excuse).max()
}

fn players<'k, K: Known>(
    listed: impl Iterator<Item = &'k Listed>,
    witnesses: &Witnesses,
    known: &'k K,
) -> Vec<Player<'k>> {
    let streams = listed.flat_map(|listed| &listed.members).filter(|member| member.class == SubjectClass::Stream);
    let player = |view: &'k StreamView| {
        let probe = &view.spec.probe;
        let report = view.report.as_ref()?;
        // What a server's statistics count has come in; whether it goes out only those see who play it. And who was sent elsewhere is there.
        let is_played = matches!(probe.evidence, EvidenceSource::Play | EvidenceSource::Demux(_));
        let last_frame = witnesses.played_at(view).filter(|_| is_played && !report.transport.redirected)?;
        Some(Player {
            url: &probe.url,
            last_frame,
            observed_at: report.observed_at,
            has_ended: report.fault.is_some(),
            every: shows_every(probe),
            always: matches!(probe.watch, Watch::Always),
        })
    };
    streams.filter_map(|stream| known.stream(&stream.name)).filter_map(player).collect()
}

fn failing<'k>(subject: &Subject, witnesses: &Witnesses, known: &'k impl Known) -> Option<Failing<'k>> {
    let view = target(subject.class, &subject.name, known).filter(|view| view.verdict.health == Health::Down)?;
    let since = view.report.as_ref()?.fault.as_ref()?.since;
    let spec = &view.spec.check;
    let looks = (spec.timeout + spec.second_look()).saturating_mul(spec.down_after.saturating_mul(2));
    let until = Some(since + looks.clamp(EXCUSED.0, EXCUSED.1));
    let look = |host, port, until| Failing::Look { since, timeout: spec.timeout, until, host, port };
    Some(match &spec.check {
        Check::Canary(_) => Failing::Canary(witnesses.failing_since(subject).unwrap_or(since)),
        // A host that sends frames is there, whether or not it answers pings.
        Check::Icmp(check) => look(&check.host, None, None),
        Check::Tcp(check) => look(&check.address.host, Some(check.address.port), until),
        Check::Rtmp(check) => look(&check.address.host, Some(check.address.port), until),
        _ => return None,
    })
}
