//! Where paths are broken, and what they carry.

use crate::model::path::PathView;
use crate::model::snapshot::Snapshot;
use crate::serve::moment::Moment;

use super::catalogue::Scope;
use super::exposition::base_labels;
use super::rows::{Page, Row};

struct PathRow<'s> {
    view: &'s PathView,
    labels: String,
}

impl<'s> PathRow<'s> {
    fn new(view: &'s PathView) -> Self {
        Self { view, labels: base_labels(Scope::Path, view.spec.name.as_str(), &view.spec.labels) }
    }
}

impl Row for PathRow<'_> {
    fn labels(&self) -> &str {
        &self.labels
    }
}

/// Appends the families of all paths in `snapshot` to `out`; none when it is too old, for all of them tell of the present.
pub fn render(snapshot: &Snapshot, moment: &Moment, out: &mut String) {
    if !moment.is_fresh(snapshot) {
        return;
    }
    let rows: Vec<_> = snapshot.paths.iter().map(|view| PathRow::new(view)).collect();
    let mut page = Page { rows: &rows, out };
    page.family("hmonitor_path_fault", |r, w| {
        let fault = r.view.fault.map(|f| f.hop);
        for (i, hop) in r.view.spec.hops.iter().enumerate() {
            w.series(&r.labels, &[&hop.to_string()], fault == Some(i));
        }
    });
    page.single("hmonitor_path_fault_certain", |r| r.view.fault.map(|f| f.certain));
    page.family("hmonitor_path_consequence", |r, w| {
        for (hop, view) in r.view.spec.hops.iter().zip(r.view.hops.iter()) {
            w.series(&r.labels, &[&hop.to_string()], view.consequence);
        }
    });
    page.single("hmonitor_link_receive_ratio", |r| r.view.link.ratio());
    page.single("hmonitor_link_received_bytes_per_second", |r| r.view.link.received);
    page.single("hmonitor_link_expected_bytes_per_second", |r| r.view.link.expected);
}
