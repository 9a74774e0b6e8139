//! A private certificate authority, and servers with certificates of it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn write(&self, path: &Path) {
        std::fs::write(path, self.0.pem()).unwrap();
    }

    /// What a server needs to be `name`, or all of several with spaces between.
    pub fn serve(&self, name: &str) -> Arc<rustls::ServerConfig> {
        self.serve_until(name, SystemTime::now() + Duration::from_secs(90 * 86_400))
    }

    /// The same with a certificate that expires (or has expired) then.
    pub fn serve_until(&self, name: &str, end: SystemTime) -> Arc<rustls::ServerConfig> {
        let (certificate, key) = self.certify(name, end);
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap());
        Arc::new(config.unwrap())
    }

    /// Certificate and key as PEM files, for programs.
    pub fn write_certificate(&self, name: &str, certificate: &Path, key: &Path) {
        let (signed, private) = self.certify(name, SystemTime::now() + Duration::from_secs(86_400));
        std::fs::write(certificate, signed.pem()).unwrap();
        std::fs::write(key, private.serialize_pem()).unwrap();
    }

    fn certify(&self, name: &str, end: SystemTime) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(name.split(' ').map(str::to_owned).collect::<Vec<_>>()).unwrap();
        params.not_after = end.into();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }
}
