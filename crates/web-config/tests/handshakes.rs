//! Real handshakes between a client of rustls and the server that a file describes, in memory.

mod site;

use std::sync::Arc;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    AlertDescription, CipherSuite, ClientConfig, ClientConnection, Error, NamedGroup,
    ProtocolVersion, RootCertStore, ServerConnection, SupportedProtocolVersion, version,
};
use site::{Site, ca, dns, key, params};
use web_config::Access;

const TLS: &str = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";

/// Lists of versions.
static TLS12: &[&SupportedProtocolVersion] = &[&version::TLS12];
static TLS13: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// A certificate of a client with its key.
type Identity = Arc<CertifiedKey>;

/// What a client sends and accepts.
struct Client {
    identity: Option<Identity>,
    versions: &'static [&'static SupportedProtocolVersion],
    provider: CryptoProvider,
    alpn: Vec<Vec<u8>>,
}

impl Default for Client {
    fn default() -> Self {
        let versions = rustls::ALL_VERSIONS;
        Self { identity: None, versions, provider: ring::default_provider(), alpn: Vec::new() }
    }
}

/// Both ends of a connection that has not begun.
fn ends(site: &Site, access: &Access, client: Client) -> (ClientConnection, ServerConnection) {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(site.path("ca.pem")).expect("a CA");
    roots.add(ca).expect("a CA");
    let builder = ClientConfig::builder_with_provider(Arc::new(client.provider))
        .with_protocol_versions(client.versions)
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match client.identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(
            CertifiedKey::clone(&identity),
        ))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = client.alpn;
    let name = "localhost".try_into().expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).expect("a client");
    (client, ServerConnection::new(access.tls().expect("TLS is on").config).expect("a server"))
}

/// The server's error if there is one, else the client's.
fn shake(client: &mut ClientConnection, server: &mut ServerConnection) -> Result<(), Error> {
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).expect("to memory");
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).expect("from memory");
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).expect("to memory");
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).expect("from memory");
            client.process_new_packets()?;
        }
    }
    Ok(())
}

fn connect(site: &Site, access: &Access, client: Client) -> Result<ServerConnection, Error> {
    let (mut client, mut server) = ends(site, access, client);
    shake(&mut client, &mut server)?;
    Ok(server)
}

fn access(site: &Site, text: &str) -> Arc<Access> {
    Access::new(site.load(text).unwrap_or_else(|error| panic!("{error}")))
}

fn identity(site: &Site, params: CertificateParams) -> Identity {
    signed(&site.ca, params)
}

fn signed(ca: &Issuer<'static, KeyPair>, params: CertificateParams) -> Identity {
    let key = key();
    with_key(&params.signed_by(&key, ca).expect("a certificate"), &key)
}

fn with_key(certificate: &rcgen::Certificate, key: &KeyPair) -> Identity {
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let signing = ring::default_provider().key_provider.load_private_key(key).expect("a key");
    Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signing))
}

/// Certificates of clients, with their names in the table below.
fn identities(site: &Site) -> Vec<(&'static str, Option<Identity>)> {
    let good = [dns("prometheus")];
    let expired = || {
        let mut params = params(&good);
        params.not_after = rcgen::date_time_ymd(2025, 2, 1);
        params
    };
    let server_only = || {
        let mut params = params(&good);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params
    };
    vec![
        ("none", None),
        ("good", Some(identity(site, params(&good)))),
        ("no name", Some(identity(site, params(&[])))),
        ("wrong name", Some(identity(site, params(&[dns("prometheus.example")])))),
        ("other CA", Some(signed(&ca("other").0, params(&good)))),
        ("expired", Some(identity(site, expired()))),
        ("for servers", Some(identity(site, server_only()))),
    ]
}

/// For each policy, without and with `client_allowed_sans: [prometheus]`, the identities that are let in.
const POLICIES: &[(&str, &str, &[&str])] = &[
    ("", "", &["none", "good", "no name", "wrong name", "other CA", "expired", "for servers"]),
    (
        "NoClientCert",
        "",
        &["none", "good", "no name", "wrong name", "other CA", "expired", "for servers"],
    ),
    (
        "RequestClientCert",
        "",
        &["none", "good", "no name", "wrong name", "other CA", "expired", "for servers"],
    ),
    (
        "RequireAnyClientCert",
        "",
        &["good", "no name", "wrong name", "other CA", "expired", "for servers"],
    ),
    ("RequireAnyClientCert", "[prometheus]", &["good", "other CA", "expired", "for servers"]),
    ("VerifyClientCertIfGiven", "", &["none", "good", "no name", "wrong name"]),
    ("RequireAndVerifyClientCert", "", &["good", "no name", "wrong name"]),
    ("RequireAndVerifyClientCert", "[prometheus]", &["good"]),
    ("RequireAndVerifyClientCert", "[x, prometheus.example]", &["wrong name"]),
];

#[test]
fn each_policy_lets_in_the_clients_that_go_lets_in() {
    let site = Site::new();
    let identities = identities(&site);
    for (policy, names, expected) in POLICIES {
        let mut text = TLS.to_owned();
        if !policy.is_empty() {
            text += &format!("  client_auth_type: {policy}\n");
        }
        if policy.contains("Verify") {
            text += "  client_ca_file: ca.pem\n";
        }
        if !names.is_empty() {
            text += &format!("  client_allowed_sans: {names}\n");
        }
        let access = access(&site, &text);
        for versions in [TLS12, TLS13] {
            let is_let_in = |(name, identity): &(&'static str, Option<Identity>)| {
                let client = Client { identity: identity.clone(), versions, ..Client::default() };
                connect(&site, &access, client).is_ok().then_some(*name)
            };
            let let_in: Vec<&str> = identities.iter().filter_map(is_let_in).collect();
            assert_eq!(let_in, *expected, "{policy} {names} {versions:?}");
        }
        let tls = access.tls().expect("TLS is on");
        assert_eq!(tls.verifies_clients, policy.contains("Verify"), "{policy}");
    }
}

#[test]
fn names_of_every_kind_are_compared_exactly() {
    let site = Site::new();
    let kinds = [
        (dns("Node-1.example"), "Node-1.example", "node-1.example"),
        (dns("*.example"), "'*.example'", "a.example"),
        (SanType::IpAddress([10, 0, 0, 1].into()), "10.0.0.1", "10.0.0.10"),
        (
            SanType::IpAddress("2001:db8::1".parse().expect("an IP")),
            "'2001:db8::1'",
            "'2001:db8::2'",
        ),
        (
            SanType::IpAddress("::ffff:10.0.0.1".parse().expect("an IP")),
            "10.0.0.1",
            "'::ffff:10.0.0.1'",
        ),
        (SanType::Rfc822Name("me@example".try_into().expect("IA5")), "me@example", "example"),
        (SanType::URI("spiffe://a/b".try_into().expect("IA5")), "spiffe://a/b", "spiffe://a"),
    ];
    for (name, right, wrong) in kinds {
        // A second name in the certificate and in the list change nothing.
        let names = [dns("first.example"), name];
        let identity = identity(&site, params(&names));
        for (listed, expected) in [(right, true), (wrong, false)] {
            let text = format!(
                "{TLS}  client_auth_type: RequireAnyClientCert\n  client_allowed_sans: [x, {listed}]\n"
            );
            let client = Client { identity: Some(Arc::clone(&identity)), ..Client::default() };
            let result = connect(&site, &access(&site, &text), client);
            assert_eq!(result.is_ok(), expected, "{listed} {result:?}");
        }
    }
}

/// As with `openssl req -x509`, whose certificates are CAs.
#[test]
fn a_self_signed_certificate_that_is_listed_is_accepted_while_it_is_valid() {
    let site = Site::new();
    let text = format!(
        "{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: self.pem\n"
    );
    let year_ago = rcgen::date_time_ymd(2025, 2, 1);
    let next_year = rcgen::date_time_ymd(2034, 2, 1);
    let cases = [(None, None, true), (Some(year_ago), None, false), (None, Some(next_year), false)];
    for (end, begin, expected) in cases {
        let mut params = params(&[]);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.not_after = end.unwrap_or(params.not_after);
        params.not_before = begin.unwrap_or(params.not_before);
        let key = key();
        let certificate = params.self_signed(&key).expect("a certificate");
        site.write("self.pem", &certificate.pem());
        let identity = Some(with_key(&certificate, &key));
        let result =
            connect(&site, &access(&site, &text), Client { identity, ..Client::default() });
        assert_eq!(result.is_ok(), expected, "{end:?} {begin:?} {result:?}");
    }
}

/// A certificate alone proves nothing: anyone can have it.
#[test]
fn a_client_has_to_have_the_key_of_its_certificate() {
    let site = Site::new();
    for policy in ["RequestClientCert", "RequireAnyClientCert"] {
        let access = access(&site, &format!("{TLS}  client_auth_type: {policy}\n"));
        for versions in [TLS12, TLS13] {
            let certificate = params(&[]).signed_by(&key(), &site.ca).expect("a certificate");
            let identity = Some(with_key(&certificate, &key()));
            let client = Client { identity, versions, ..Client::default() };
            let error = connect(&site, &access, client).expect_err("the key is another's");
            assert_eq!(error, Error::InvalidCertificate(rustls::CertificateError::BadSignature));
        }
    }
}

#[test]
fn versions_outside_the_bounds_are_refused() {
    let site = Site::new();
    let [old, new] = [ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3];
    let cases: [(&str, &[ProtocolVersion]); 4] = [
        ("", &[old, new]),
        ("  min_version: TLS13\n", &[new]),
        ("  max_version: TLS12\n", &[old]),
        ("  min_version: TLS12\n  max_version: TLS13\n", &[old, new]),
    ];
    for (lines, expected) in cases {
        let access = access(&site, &format!("{TLS}{lines}"));
        let agreed = [TLS12, TLS13].into_iter().filter_map(|versions| {
            let client = Client { versions, ..Client::default() };
            connect(&site, &access, client).ok()?.protocol_version()
        });
        assert_eq!(agreed.collect::<Vec<_>>(), expected, "{lines}");
    }
}

#[test]
fn the_order_of_suites_counts_unless_the_client_may_choose() {
    let site = Site::new();
    let list = "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n";
    let first = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
    let second = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384;
    let client_chooses = format!("{list}  prefer_server_cipher_suites: false\n");
    // rustls as a client prefers AES-256.
    for (lines, expected) in [(list, first), (client_chooses.as_str(), second)] {
        let access = access(&site, &format!("{TLS}{lines}"));
        let client = Client { versions: TLS12, ..Client::default() };
        let server = connect(&site, &access, client).expect("they agree");
        assert_eq!(server.negotiated_cipher_suite().expect("a suite").suite(), expected);
    }
}

#[test]
fn suites_that_are_not_listed_are_refused_before_tls_1_3_and_those_of_1_3_are_always_on() {
    let site = Site::new();
    let access = access(
        &site,
        &format!("{TLS}  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n"),
    );
    let client = |suite: rustls::SupportedCipherSuite| {
        let mut provider = ring::default_provider();
        provider.cipher_suites = vec![suite];
        let versions = match suite {
            rustls::SupportedCipherSuite::Tls12(_) => TLS12,
            rustls::SupportedCipherSuite::Tls13(_) => TLS13,
        };
        connect(&site, &access, Client { provider, versions, ..Client::default() })
    };
    for suite in ring::ALL_CIPHER_SUITES {
        let is_on = suite.tls13().is_some()
            || suite.suite() == CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
        assert_eq!(client(*suite).is_ok(), is_on, "{suite:?}");
    }
}

#[test]
fn curves_that_are_not_listed_are_refused() {
    let site = Site::new();
    for (listed, expected) in [
        ("X25519", NamedGroup::X25519),
        ("CurveP256", NamedGroup::secp256r1),
        ("CurveP384", NamedGroup::secp384r1),
    ] {
        let access = access(&site, &format!("{TLS}  curve_preferences: [{listed}]\n"));
        for group in ring::ALL_KX_GROUPS {
            let mut provider = ring::default_provider();
            provider.kx_groups = vec![*group];
            let result = connect(&site, &access, Client { provider, ..Client::default() });
            assert_eq!(result.is_ok(), group.name() == expected, "{listed} {group:?}");
        }
    }
}

#[test]
fn http_2_is_offered_unless_it_is_off() {
    let site = Site::new();
    for (text, expected) in [("", "h2"), ("http_server_config: {http2: false}\n", "http/1.1")] {
        let access = access(&site, &format!("{TLS}{text}"));
        let client =
            Client { alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()], ..Client::default() };
        let server = connect(&site, &access, client).expect("they agree");
        assert_eq!(server.alpn_protocol(), Some(expected.as_bytes()));
    }
}

#[test]
fn an_expired_certificate_and_one_of_version_1_are_served() {
    let site = Site::new();
    let mut expired = params(&[dns("localhost")]);
    expired.not_after = rcgen::date_time_ymd(2025, 2, 1);
    let key = key();
    site.write("cert.pem", &expired.signed_by(&key, &site.ca).expect("a certificate").pem());
    site.write("key.pem", &key.serialize_pem());
    let error = connect(&site, &access(&site, TLS), Client::default()).expect_err("expired");
    // Which the client says, not the server.
    let is_expired = matches!(
        &error,
        Error::InvalidCertificate(rustls::CertificateError::ExpiredContext { .. })
    );
    assert!(is_expired, "{error:?}");

    site.openssl("req -new -key key.pem -subj /CN=localhost -out request.pem");
    site.openssl("x509 -req -in request.pem -signkey key.pem -days 1 -out cert.pem");
    assert!(access(&site, TLS).tls().is_some());
}

#[test]
fn a_new_certificate_is_served_after_a_change_and_open_connections_stay() {
    let site = Site::new();
    let access = access(&site, TLS);
    let mut before = connect(&site, &access, Client::default()).expect("they agree");
    let (issuer, certificate) = ca("new");
    let key = key();
    let leaf = params(&[dns("localhost")]).signed_by(&key, &issuer).expect("a certificate");
    site.write("cert.pem", &leaf.pem());
    site.write("key.pem", &key.serialize_pem());
    access.change(site.load(TLS).expect("right"));
    let error = connect(&site, &access, Client::default()).expect_err("another CA");
    assert!(matches!(error, Error::InvalidCertificate(_)), "{error:?}");
    site.write("ca.pem", &certificate.pem());
    connect(&site, &access, Client::default()).expect("the new CA");
    before.send_close_notify();
    assert!(before.wants_write());
    access.change(web_config::WebConfig::default());
    assert!(access.tls().is_none());
}

#[test]
fn a_client_that_is_refused_is_told_why() {
    let site = Site::new();
    let text = format!("{TLS}  client_auth_type: RequireAnyClientCert\n");
    let client = Client { versions: TLS13, ..Client::default() };
    let (mut client, mut server) = ends(&site, &access(&site, &text), client);
    assert_eq!(shake(&mut client, &mut server), Err(Error::NoCertificatesPresented));
    let mut bytes = Vec::new();
    server.write_tls(&mut bytes).expect("to memory");
    client.read_tls(&mut bytes.as_slice()).expect("from memory");
    let told = client.process_new_packets().expect_err("an alert");
    assert_eq!(told, Error::AlertReceived(AlertDescription::CertificateRequired));
}
