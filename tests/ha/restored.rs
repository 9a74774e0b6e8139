//! How soon streams play again.

use std::time::Duration;

use crate::balancer::Method;
use crate::trial::{Fault, run};

#[test]
fn plain() {
    for fault in [Fault::Unplugged; 8] {
        eprintln!("{fault:?} {:?}", run(fault, Method::Tcp, Duration::from_secs(20)));
    }
}
