//! A certificate that is trusted because it, or its key, is the one that was named.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use crate::model::spec::Pin;

/// Takes exactly one end-entity certificate or public key, whoever signed it, whatever its name and dates say: an origin with a
/// certificate of its own making. That the server holds the key is verified as always.
#[derive(Debug)]
pub(super) struct Pinned {
    pin: Pin,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    pub(super) fn new(pin: Pin, provider: &CryptoProvider) -> Arc<Self> {
        Arc::new(Self { pin, algorithms: provider.signature_verification_algorithms })
    }
}

fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().try_into().ok()
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (_, certificate) =
            x509_parser::parse_x509_certificate(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        let found = [sha256(end_entity), sha256(certificate.public_key().raw)];
        if found.contains(&Some(self.pin.0)) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General("the certificate is not the one of pin_sha256".into()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
