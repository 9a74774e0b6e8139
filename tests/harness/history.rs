//! What the monitor says has happened to a stream, from its event history.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{Monitor, eventually};

/// A change of judgement.
#[derive(Debug, Clone)]
pub struct Judged {
    pub at: SystemTime,
    pub health: String,
    pub causes: Vec<String>,
}

/// An outage that is over.
#[derive(Debug, Clone)]
pub struct Outage {
    pub from: SystemTime,
    pub to: SystemTime,
    /// In order.
    pub causes: Vec<String>,
}

impl Monitor {
    /// Changes of health and of causes, oldest first.
    pub fn judgements(&self, stream: &str) -> Vec<Judged> {
        let answer = self.get(&format!("/api/v1/streams/{stream}/events")).json();
        let events = answer["events"].as_array().unwrap_or_else(|| panic!("no events in {answer}"));
        let mut found: Vec<_> = events
            .iter()
            .filter(|event| event["kind"] == "state" || event["kind"] == "cause")
            .map(|event| {
                let causes = event["causes"].as_array().unwrap().iter();
                let judged = Judged {
                    at: moment(event["at"].as_str().unwrap()),
                    health: event["to"].as_str().unwrap().to_owned(),
                    causes: causes.map(|c| c.as_str().unwrap().to_owned()).collect(),
                };
                (event["id"].as_u64().unwrap(), judged)
            })
            .collect();
        found.sort_by_key(|(id, _)| *id);
        found.into_iter().map(|(_, judged)| judged).collect()
    }

    /// The causes of every degradation there has been.
    pub fn degraded(&self, stream: &str) -> Vec<String> {
        self.judgements(stream).into_iter().filter(|j| j.health == "degraded").flat_map(|j| j.causes).collect()
    }

    /// The outages that are over, oldest first.
    pub fn outages(&self, stream: &str) -> Vec<Outage> {
        let mut outages = Vec::new();
        let mut open: Option<Outage> = None;
        for judged in self.judgements(stream) {
            if judged.health == "down" {
                let outage = open.get_or_insert(Outage { from: judged.at, to: judged.at, causes: Vec::new() });
                outage.causes.extend(judged.causes);
            } else if let Some(mut outage) = open.take() {
                outage.to = judged.at;
                outages.push(outage);
            }
        }
        outages
    }

    /// The only outage there has been, which is over; the counter agrees.
    pub fn only_outage(&self, stream: &str) -> Outage {
        let mut outages = self.outages(stream);
        assert_eq!(outages.len(), 1, "{:?}", self.judgements(stream));
        assert_eq!(self.stream_metric("hmonitor_stream_outages_total", stream), Some(1.0));
        outages.remove(0)
    }

    /// Waits until every rate of the stream has been measured over a whole window; gives the stream.
    pub fn measured(&self, stream: &str) -> Value {
        eventually("rates over a whole window", Duration::from_secs(20), || {
            let document = self.stream(stream);
            let media = &document["media"];
            let (video, audio) = (&media["video"], &media["audio"]);
            let rates = [&video["frames_per_second"], &video["bitrate_bps"], &audio["bitrate_bps"]];
            let whole = media["warm"] == true && rates.iter().all(|rate| rate.is_f64());
            whole.then_some(document)
        })
    }

    /// The value of a family with one series a stream.
    pub fn stream_metric(&self, family: &str, stream: &str) -> Option<f64> {
        self.metric(family, &[&format!("stream=\"{stream}\"")])
    }
}

/// A moment as the API writes it.
pub fn moment(text: &str) -> SystemTime {
    text.parse::<jiff::Timestamp>().unwrap_or_else(|e| panic!("{e}: {text}")).into()
}

/// From one moment to another; fails if the order is wrong beyond the rounding of shown times.
pub fn between(from: SystemTime, to: SystemTime) -> Duration {
    let late = to.duration_since(from);
    late.unwrap_or_else(|e| {
        assert!(e.duration() < Duration::from_millis(2), "{:?} too early", e.duration());
        Duration::ZERO
    })
}
