//! Whether a TCP port takes connections.

use super::check::{BoxFuture, Checker, Look, LookError};
use crate::model::target::TcpCheck;
use crate::model::target_report::Facts;

/// Connects and hangs up.
#[derive(Debug)]
pub struct TcpChecker {
    check: TcpCheck,
}

impl TcpChecker {
    pub fn new(check: &TcpCheck) -> Self {
        Self { check: check.clone() }
    }
}

impl Checker for TcpChecker {
    fn look<'a>(&'a mut self, look: &'a mut Look<'_>) -> BoxFuture<'a, Result<Facts, LookError>> {
        Box::pin(async move { look.connect(&self.check.address).await.map(|_| Facts::None) })
    }
}
