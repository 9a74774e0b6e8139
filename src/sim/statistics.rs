//! The cameras as nginx-rtmp's statistics page (`ngx_rtmp_stat_module.c`) would show them, so that what reads it can be tried.

use std::fmt::Write as _;

use super::fault::Fault;
use super::origin::Origin;

/// Names of cameras need no escaping: see [`crate::model::Name`].
pub(super) fn page(origin: &Origin) -> String {
    let (mut streams, mut bytes_in, mut bytes_out) = (String::new(), 0, 0);
    for camera in origin.cameras() {
        let (fault, stats) = camera.stats(origin.now());
        bytes_in += stats.bytes_published;
        bytes_out += stats.bytes_sent;
        if fault.is_absence() || fault == Fault::NotFound {
            continue;
        }
        // Writing to a string cannot fail.
        let _ = write!(
            streams,
            "<stream><name>{}</name><bytes_in>{}</bytes_in><bytes_out>{}</bytes_out><nclients>{}</nclients><publishing/></stream>\r\n",
            camera.name,
            stats.bytes_published,
            stats.bytes_sent,
            stats.players + 1,
        );
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\" ?>\r\n<rtmp><nginx_rtmp_version>simulated</nginx_rtmp_version>\
         <uptime>{}</uptime><bytes_in>{bytes_in}</bytes_in><bytes_out>{bytes_out}</bytes_out>\r\n\
         <server><application><name>live</name><live>\r\n{streams}</live></application></server></rtmp>\r\n",
        origin.now() / 1_000_000,
    )
}
