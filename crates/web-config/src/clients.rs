//! Client certificates, as Go's `crypto/tls` takes them.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use x509_cert::Certificate;
use x509_cert::der::{Decode, oid::db::rfc5280};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{ExtendedKeyUsage, SubjectAltName};

/// What is asked of clients.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Policy {
    /// To send a certificate if they have one.
    pub(crate) asks: bool,
    /// To send one.
    pub(crate) requires: bool,
    /// That a CA has signed what they send.
    pub(crate) verifies: bool,
}

/// Policies by Go's names. `RequireClientCert` is a former name.
pub(crate) const POLICIES: &[(&str, Policy)] = &[
    ("NoClientCert", Policy { asks: false, requires: false, verifies: false }),
    ("RequestClientCert", Policy { asks: true, requires: false, verifies: false }),
    ("RequireAnyClientCert", Policy { asks: true, requires: true, verifies: false }),
    ("RequireClientCert", Policy { asks: true, requires: true, verifies: false }),
    ("VerifyClientCertIfGiven", Policy { asks: true, requires: false, verifies: true }),
    ("RequireAndVerifyClientCert", Policy { asks: true, requires: true, verifies: true }),
];

/// Verifies client certificates.
#[derive(Debug)]
pub(crate) struct Clients {
    policy: Policy,
    roots: Vec<CertificateDer<'static>>,
    /// Subjects of the CAs: clients with several certificates choose by them.
    hints: Vec<DistinguishedName>,
    chain: Option<Arc<dyn ClientCertVerifier>>,
    /// Names of which a certificate needs one; empty for any name.
    pub(crate) allowed: Vec<String>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Clients {
    /// # Errors
    ///
    /// What is wrong with the CAs.
    pub(crate) fn new(
        policy: Policy,
        roots: Vec<CertificateDer<'static>>,
        allowed: Vec<String>,
        provider: &CryptoProvider,
    ) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        for (index, root) in roots.iter().enumerate() {
            store.add(root.clone()).map_err(|_| {
                format!("is wrong in certificate {}; make that again, or leave it out", index + 1)
            })?;
        }
        let hints = store.subjects();
        let algorithms = provider.signature_verification_algorithms;
        let (store, provider) = (Arc::new(store), Arc::new(provider.clone()));
        let chain = policy
            .verifies
            .then(|| WebPkiClientVerifier::builder_with_provider(store, provider).build())
            .transpose()
            .map_err(|error| format!("cannot be used: {error}"))?;
        Ok(Self { policy, roots, hints, chain, allowed, algorithms })
    }

    /// Whether a certificate is itself one of the CAs, which Go accepts and webpki does not: many small
    /// sites trust one self-signed certificate.
    ///
    /// # Errors
    ///
    /// It is not valid now, or not for clients.
    fn is_root(&self, der: &CertificateDer<'_>, now: UnixTime) -> Result<bool, Error> {
        if !self.roots.contains(der) {
            return Ok(false);
        }
        let certificate = parse(der)?;
        let validity = certificate.tbs_certificate().validity();
        let now = now.as_secs();
        if now < validity.not_before.to_unix_duration().as_secs() {
            return Err(CertificateError::NotValidYet.into());
        }
        if now > validity.not_after.to_unix_duration().as_secs() {
            return Err(CertificateError::Expired.into());
        }
        let usage = certificate.tbs_certificate().get_extension::<ExtendedKeyUsage>();
        let is_for_clients = |usage: &ExtendedKeyUsage| {
            usage.0.contains(&rfc5280::ID_KP_CLIENT_AUTH)
                || usage.0.contains(&rfc5280::ANY_EXTENDED_KEY_USAGE)
        };
        match usage.map_err(|_| CertificateError::BadEncoding)? {
            Some((_, usage)) if !is_for_clients(&usage) => {
                Err(CertificateError::InvalidPurpose.into())
            }
            _ => Ok(true),
        }
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.policy.requires
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(chain) = &self.chain
            && !self.is_root(end_entity, now)?
        {
            chain.verify_client_cert(end_entity, intermediates, now)?;
        }
        let is_allowed = |name: &String| self.allowed.contains(name);
        if !self.allowed.is_empty() && !names(&parse(end_entity)?).iter().any(is_allowed) {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn parse(der: &CertificateDer<'_>) -> Result<Certificate, Error> {
    Certificate::from_der(der).map_err(|_| CertificateError::BadEncoding.into())
}

/// The subject alternative names of a certificate: DNS names, addresses of e-mail, IP addresses, URIs.
pub(crate) fn names(certificate: &Certificate) -> Vec<String> {
    let extension = certificate.tbs_certificate().get_extension::<SubjectAltName>();
    let Ok(Some((_, SubjectAltName(names)))) = extension else { return Vec::new() };
    names.iter().filter_map(name).collect()
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(text)
        | GeneralName::Rfc822Name(text)
        | GeneralName::UniformResourceIdentifier(text) => Some(text.to_string()),
        GeneralName::IpAddress(bytes) => ip(bytes.as_bytes()).map(|ip| ip.to_string()),
        _ => None,
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        // Go writes IPv4 addresses in IPv6 as IPv4 addresses.
        16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| IpAddr::from(bytes).to_canonical()),
        _ => None,
    }
}
