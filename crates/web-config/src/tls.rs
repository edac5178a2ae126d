//! Certificates, versions, suites and curves, for rustls.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring::{self, cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SignatureAlgorithm, SupportedCipherSuite, SupportedProtocolVersion};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};
use x509_cert::time::Validity;

use crate::clients::{self, Clients, Policy};
use crate::file::{self, Mistake, Text};

/// The suites of TLS 1.2 by Go's names, in the order of preference of rustls.
const SUITES: &[(&str, SupportedCipherSuite)] = &[
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (HTTP2_SUITES[0], cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    (HTTP2_SUITES[1], cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// Suites of which HTTP/2 needs one with TLS 1.2, by RFC 9113.
const HTTP2_SUITES: [&str; 2] =
    ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"];

/// The suites of TLS 1.3, which are always on, as in Go.
const TLS13_SUITES: &[(&str, SupportedCipherSuite)] = &[
    ("TLS_AES_256_GCM_SHA384", cipher_suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_AES_128_GCM_SHA256", cipher_suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_CHACHA20_POLY1305_SHA256", cipher_suite::TLS13_CHACHA20_POLY1305_SHA256),
];

/// Curves by Go's names, in the order of preference of rustls.
const CURVES: &[(&str, &dyn SupportedKxGroup)] = &[
    ("X25519", kx_group::X25519),
    ("CurveP256", kx_group::SECP256R1),
    ("CurveP384", kx_group::SECP384R1),
];

/// A name and a version.
type Version = (&'static str, &'static SupportedProtocolVersion);

/// Versions by the names of exporter-toolkit, oldest first.
const VERSIONS: &[Version] = &[("TLS12", &TLS12), ("TLS13", &TLS13)];

/// What is wrong with PEM that cannot be decoded.
const DAMAGED: &str =
    "is damaged; copy it again, from -----BEGIN to the end of the line with -----END";

/// How connections are encrypted.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) config: Arc<ServerConfig>,
    /// Names of the versions, oldest first.
    pub(crate) versions: Vec<&'static str>,
    pub(crate) clients: Policy,
    pub(crate) allowed_names: Vec<String>,
    /// Names in the certificate, and when it is valid.
    pub(crate) names: Vec<String>,
    pub(crate) validity: Validity,
}

/// Reads the section `tls_server_config`.
pub(crate) struct Reader<'a> {
    pub(crate) section: &'a file::Tls,
    /// Where relative paths start.
    pub(crate) folder: &'a Path,
    pub(crate) has_http2: bool,
    /// Takes the names of files that it names, read or not.
    pub(crate) files: &'a mut Vec<PathBuf>,
    /// Takes what is accepted but is probably a mistake.
    pub(crate) warnings: &'a mut Vec<String>,
}

/// Certificates or a key, and where they are from.
struct Pem<'a> {
    key: &'static str,
    at: &'a Text,
    /// The file, or how the text is given.
    from: String,
    bytes: Vec<u8>,
}

impl Pem<'_> {
    fn mistake(&self, what: impl std::fmt::Display) -> Mistake {
        Mistake::new(self.at, self.key, format!("{} {what}", self.from))
    }

    /// All certificates; at least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Mistake> {
        let all: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        let all = all.map_err(|_| self.mistake(DAMAGED))?;
        match all.is_empty() {
            true => Err(self
                .mistake("has no certificate; it should begin with -----BEGIN CERTIFICATE-----")),
            false => Ok(all),
        }
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, Mistake> {
        PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|error| match error {
            _ if contains(&self.bytes, b"ENCRYPTED") => self.mistake(
                "is encrypted; write a key without a password, which `openssl pkey` makes of it",
            ),
            pem::Error::NoItemsFound => {
                self.mistake("has no key; it should begin with -----BEGIN PRIVATE KEY-----")
            }
            _ => self.mistake(DAMAGED),
        })
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

impl<'a> Reader<'a> {
    /// `None` if nothing of it asks for TLS.
    pub(crate) fn read(mut self) -> Result<Option<Tls>, Mistake> {
        // Even without a certificate, all values have to be right.
        let section = self.section;
        let versions = self.versions()?;
        let provider = self.provider(versions)?;
        let prefers_own = section.prefer_server_cipher_suites.as_ref();
        let prefers_own = file::boolean("prefer_server_cipher_suites", prefers_own, true)?;
        let policy = match filled(&section.client_auth_type) {
            Some(text) => file::one_of("client_auth_type", text, clients::POLICIES)?,
            None => Policy::default(),
        };
        let certificate = self.pem("cert_file", &section.cert_file, "cert", &section.cert)?;
        let key = self.pem("key_file", &section.key_file, "key", &section.key)?;
        let ca =
            self.pem("client_ca_file", &section.client_ca_file, "client_ca", &section.client_ca)?;
        let asks = [
            certificate.as_ref().map(|pem| (pem.key, pem.at)),
            key.as_ref().map(|pem| (pem.key, pem.at)),
            ca.as_ref().map(|pem| (pem.key, pem.at)),
            filled(&section.client_auth_type).map(|text| ("client_auth_type", text)),
        ];
        let Some((asking, at)) = asks.into_iter().flatten().next() else {
            let warning = "tls_server_config has no certificate, so connections are not encrypted";
            self.warnings.push(warning.to_owned());
            return Ok(None);
        };
        let missing = |what: &str| {
            let what = format!("TLS also needs {what}; write {what}_file with a path");
            Mistake::new(at, asking, what)
        };
        let certificate = certificate.ok_or_else(|| missing("cert"))?;
        let key = key.ok_or_else(|| missing("key"))?;
        let (certified, leaf) = certified(&certificate, &key, &provider)?;
        self.assert_suites_fit(versions, &provider, &certified)?;
        let clients = self.clients(policy, ca, &provider)?;
        let allowed_names = clients.as_ref().map(|it| it.allowed.clone()).unwrap_or_default();

        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&versions.iter().map(|(_, it)| *it).collect::<Vec<_>>())
            .map_err(|error| certificate.mistake(error))?
            .with_client_cert_verifier(match clients {
                Some(clients) => Arc::new(clients),
                None => WebPkiClientVerifier::no_client_auth(),
            })
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.ignore_client_order = prefers_own;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let protocols: &[&str] = if self.has_http2 { &["h2", "http/1.1"] } else { &["http/1.1"] };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Some(Tls {
            config: Arc::new(config),
            versions: versions.iter().map(|(name, _)| *name).collect(),
            clients: policy,
            allowed_names,
            names: clients::names(&leaf),
            validity: *leaf.tbs_certificate().validity(),
        }))
    }

    /// A file, or the text itself; exporter-toolkit prefers the file.
    fn pem(
        &mut self,
        file_key: &'static str,
        file: &'a Option<Text>,
        text_key: &'static str,
        text: &'a Option<Text>,
    ) -> Result<Option<Pem<'a>>, Mistake> {
        let (file, text) = (filled(file), filled(text));
        let Some(at) = file else {
            return Ok(text.map(|at| Pem {
                key: text_key,
                at,
                from: "the text".to_owned(),
                bytes: at.value.clone().into_bytes(),
            }));
        };
        if text.is_some() {
            let warning = format!("{text_key} has no effect, because {file_key} is there too");
            self.warnings.push(warning);
        }
        let path: PathBuf = self.folder.join(&at.value);
        // Named, even if it is not there yet.
        self.files.push(path.clone());
        let bytes = file::read_file(&path).map_err(|why| {
            Mistake::new(at, file_key, format!("cannot read {}: {why}", path.display()))
        })?;
        let from = path.display().to_string();
        Ok(Some(Pem { key: file_key, at, from, bytes }))
    }

    fn versions(&self) -> Result<&'static [Version], Mistake> {
        let index = |key, text: &Option<Text>, default| match text {
            Some(text) => version(key, text),
            None => Ok(default),
        };
        let min = index("min_version", &self.section.min_version, 0)?;
        let max = index("max_version", &self.section.max_version, VERSIONS.len() - 1)?;
        match &self.section.max_version {
            Some(at) if max < min => {
                let what = "it is below min_version; write TLS13, or leave it out";
                Err(Mistake::new(at, "max_version", what))
            }
            _ => Ok(VERSIONS.get(min..=max).unwrap_or(VERSIONS)),
        }
    }

    /// Suites and curves.
    fn provider(&self, versions: &[Version]) -> Result<CryptoProvider, Mistake> {
        let mut provider = ring::default_provider();
        if let Some(names) = filled_list(&self.section.cipher_suites) {
            provider.cipher_suites = self.suites(names, versions)?;
        }
        if let Some(names) = filled_list(&self.section.curve_preferences) {
            let curves = names.iter().map(|name| file::one_of("curve_preferences", name, CURVES));
            provider.kx_groups = curves.collect::<Result<_, _>>()?;
        }
        Ok(provider)
    }

    /// The suites of TLS 1.3, and those of the list.
    fn suites(
        &self,
        names: &[Text],
        versions: &[Version],
    ) -> Result<Vec<SupportedCipherSuite>, Mistake> {
        let is_new = |name: &&Text| TLS13_SUITES.iter().any(|(known, _)| *known == name.value);
        let old: Vec<_> =
            names.iter().filter(|name| !is_new(name)).map(suite).collect::<Result<_, _>>()?;
        let is_on = |name: &str| versions.iter().any(|(version, _)| *version == name);
        if let Some(first) = names.first().filter(|_| is_on("TLS12")) {
            let needed = HTTP2_SUITES.join(" or ");
            let is_named = |name: &Text| HTTP2_SUITES.contains(&name.value.as_str());
            if self.has_http2 && !names.iter().any(is_named) {
                let what =
                    format!("HTTP/2 with TLS 1.2 needs {needed}; add one, or write http2: false");
                return Err(Mistake::new(first, "cipher_suites", what));
            }
            if old.is_empty() && !is_on("TLS13") {
                let what = format!("no suite of TLS 1.2 is listed; add {needed}");
                return Err(Mistake::new(first, "cipher_suites", what));
            }
        }
        Ok(TLS13_SUITES.iter().map(|(_, suite)| *suite).chain(old).collect())
    }

    /// Without TLS 1.3, a suite has to fit the certificate's key, or no client gets in.
    fn assert_suites_fit(
        &self,
        versions: &[Version],
        provider: &CryptoProvider,
        certified: &CertifiedKey,
    ) -> Result<(), Mistake> {
        let fits = |suite: &SupportedCipherSuite| match suite {
            SupportedCipherSuite::Tls12(suite) => certified.key.choose_scheme(suite.sign).is_some(),
            SupportedCipherSuite::Tls13(_) => false,
        };
        let has_new = versions.iter().any(|(name, _)| *name == "TLS13");
        if has_new || provider.cipher_suites.iter().any(fits) {
            return Ok(());
        }
        let Some(first) = filled_list(&self.section.cipher_suites).and_then(<[Text]>::first) else {
            return Ok(());
        };
        let (kind, name) = match certified.key.algorithm() {
            SignatureAlgorithm::RSA => ("RSA", HTTP2_SUITES[1]),
            _ => ("ECDSA", HTTP2_SUITES[0]),
        };
        let what = format!(
            "no suite fits the certificate, whose key needs suites with {kind}, so no client gets in; \
             add {name}"
        );
        Err(Mistake::new(first, "cipher_suites", what))
    }

    /// `None` if clients are not asked for certificates.
    fn clients(
        &mut self,
        policy: Policy,
        ca: Option<Pem<'_>>,
        provider: &CryptoProvider,
    ) -> Result<Option<Clients>, Mistake> {
        let key = "client_auth_type";
        let allowed = self.allowed_names(policy)?;
        let Some(at) = filled(&self.section.client_auth_type).filter(|_| policy.asks) else {
            let what = "a CA is of no use without client_auth_type; write client_auth_type: RequireAndVerifyClientCert";
            return ca.map_or(Ok(None), |ca| Err(Mistake::new(ca.at, ca.key, what)));
        };
        if policy.verifies && ca.is_none() {
            let what = "there is no CA to verify clients with; write client_ca_file with a path";
            return Err(Mistake::new(at, key, what));
        }
        if !(policy.requires && policy.verifies) {
            let warning =
                format!("{} keeps no client out; RequireAndVerifyClientCert does", at.value);
            self.warnings.push(warning);
        }
        let roots = ca.as_ref().map(Pem::certificates).transpose()?.unwrap_or_default();
        let clients = Clients::new(policy, roots, allowed, provider);
        clients.map(Some).map_err(|why| match &ca {
            Some(ca) => ca.mistake(why),
            None => Mistake::new(at, key, why),
        })
    }

    fn allowed_names(&self, policy: Policy) -> Result<Vec<String>, Mistake> {
        let Some(list) = &self.section.client_allowed_sans else { return Ok(Vec::new()) };
        let what = match policy.requires {
            false => {
                "it needs a certificate of each client; write client_auth_type: RequireAndVerifyClientCert"
            }
            true if list.value.is_empty() => {
                "an empty list admits no client; write a name, or leave it out"
            }
            true => return Ok(list.value.clone()),
        };
        Err(Mistake::new(list, "client_allowed_sans", what))
    }
}

/// A text that is not empty.
fn filled(text: &Option<Text>) -> Option<&Text> {
    text.as_ref().filter(|text| !text.value.is_empty())
}

fn filled_list(list: &Option<Vec<Text>>) -> Option<&[Text]> {
    list.as_deref().filter(|list| !list.is_empty())
}

/// The index of a version.
fn version(key: &str, text: &Text) -> Result<usize, Mistake> {
    let name = text.value.as_str();
    VERSIONS.iter().position(|(known, _)| *known == name).ok_or_else(|| {
        let what = match name {
            "TLS10" | "TLS11" => {
                format!("{name} is broken and not supported; write TLS12 or TLS13")
            }
            _ => format!("`{name}` is no version of TLS; write TLS12 or TLS13"),
        };
        Mistake::new(text, key, what)
    })
}

fn suite(text: &Text) -> Result<SupportedCipherSuite, Mistake> {
    let name = text.value.as_str();
    if let Some((_, suite)) = SUITES.iter().find(|(known, _)| *known == name) {
        return Ok(*suite);
    }
    let why = match name {
        _ if name.starts_with("TLS_RSA_WITH_") => "exchanges keys by RSA, which is not supported",
        _ if name.contains("_CBC_") => "is a CBC suite, which is not supported",
        _ => "is no suite that is supported",
    };
    let names: Vec<&str> = SUITES.iter().map(|(name, _)| *name).collect();
    let what = format!("{name} {why}; write one of {}", names.join(", "));
    Err(Mistake::new(text, "cipher_suites", what))
}

/// The certificate with its key, and its content.
fn certified(
    certificate: &Pem<'_>,
    key: &Pem<'_>,
    provider: &CryptoProvider,
) -> Result<(CertifiedKey, Certificate), Mistake> {
    let chain = certificate.certificates()?;
    let leaf = chain.first().and_then(|der| Certificate::from_der(der).ok());
    let leaf = leaf
        .ok_or_else(|| certificate.mistake("begins with no certificate of X.509; make it again"))?;
    let signing = provider.key_provider.load_private_key(key.key()?).map_err(|_| {
        key.mistake(
            "has no key that is supported; make one of RSA with 2048 to 4096 bits, ECDSA with P-256 or P-384, or Ed25519",
        )
    })?;
    let public = leaf.tbs_certificate().subject_public_key_info().to_der().unwrap_or_default();
    if signing.public_key().is_some_and(|spki| spki.as_ref() != public) {
        let what = format!(
            "is not the key of the certificate in {}; write the one that it was made with",
            certificate.from
        );
        return Err(key.mistake(what));
    }
    Ok((CertifiedKey::new(chain, signing), leaf))
}
