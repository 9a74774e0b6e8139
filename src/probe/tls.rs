//! Whether a TLS server shows a certificate that holds, and until when.

use super::check::{BoxFuture, Checker, Look, LookError};
use crate::model::target::TlsCheck;
use crate::model::target_report::Facts;

/// Shakes hands and hangs up. Every look sees the certificate of that moment.
#[derive(Debug)]
pub struct TlsChecker {
    check: TlsCheck,
}

impl TlsChecker {
    pub fn new(check: &TlsCheck) -> Self {
        Self { check: check.clone() }
    }
}

impl Checker for TlsChecker {
    fn look<'a>(&'a mut self, look: &'a mut Look<'_>) -> BoxFuture<'a, Result<Facts, LookError>> {
        Box::pin(async move {
            let TlsCheck { address, tls } = &self.check;
            look.open(address, Some(tls)).await.map(|_| Facts::None)
        })
    }
}
