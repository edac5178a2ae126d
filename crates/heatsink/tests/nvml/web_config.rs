//! `--web-config-file` beside the program that its format is from: each row of the table is asked of
//! node_exporter, which uses Prometheus' exporter-toolkit, and of heatsink, with curl.
//!
//! `cargo xtask test` gets Debian 13's node_exporter. `HEATSINK_WEB_ORACLE` names another one, older or
//! newer; rows with keys that it does not know yet are then left out.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use testkit::exporter::{command, repository_file};
use testkit::pauses::Stopwatch;

use crate::rig::{BINARY, PATIENCE};
use crate::web::{Authority, Flaw, RIGHT, Side, put};

/// Version of node_exporter, major and minor.
type Version = (u32, u32);

/// The one of Debian 12.
const FIRST: Version = (1, 5);
/// Debian 13's: certificates inline, allowed names of clients.
const INLINE: Version = (1, 9);
/// After Debian 13: rate limits.
const RATE_LIMIT: Version = (1, 11);

/// A configuration, a client, and the answer.
///
/// The client is arguments of curl. Without `{url}`, it asks for one page; `{plain}` is a request that is
/// not encrypted.
///
/// The answer is what curl prints, by default the status of each response. `refused` is a connection
/// that the server ends; `no start` a program that ends with an error, and `no start: KEY` one that names
/// the key.
struct Row {
    config: String,
    client: &'static str,
    answer: &'static str,
    since: Version,
    /// Heatsink's answer where it differs, and why.
    but: Option<(&'static str, &'static str)>,
}

fn row(config: impl Into<String>, client: &'static str, answer: &'static str) -> Row {
    Row { config: config.into(), client, answer, since: FIRST, but: None }
}

impl Row {
    fn since(mut self, version: Version) -> Self {
        self.since = version;
        self
    }

    fn but(mut self, answer: &'static str, why: &'static str) -> Self {
        self.but = Some((answer, why));
        self
    }

    fn heatsink_s_answer(&self) -> &'static str {
        self.but.map_or(self.answer, |(answer, _)| answer)
    }
}

/// TLS with these keys beside certificate and key.
fn tls(more: &str) -> String {
    format!("tls_server_config: {{cert_file: server.pem, key_file: server.key, {more}}}\n")
}

/// TLS with a certificate that has an RSA key.
fn rsa(more: &str) -> String {
    format!("tls_server_config: {{cert_file: rsa.pem, key_file: rsa.key, {more}}}\n")
}

/// TLS with client certificates.
fn clients(kind: &str) -> String {
    tls(&format!("client_auth_type: {kind}, client_ca_file: clients-ca.pem"))
}

/// TLS with client certificates that have one of these names.
fn names(names: &str) -> String {
    tls(&format!(
        "client_auth_type: RequireAndVerifyClientCert, client_ca_file: clients-ca.pem, \
         client_allowed_sans: [{names}]"
    ))
}

/// The user `reader` with the password `right`.
fn users() -> String {
    format!("basic_auth_users: {{reader: {RIGHT}}}\n")
}

/// Cipher suites. Without HTTP/2, for which node_exporter wants one of two suites among them.
fn suites(certificate: &str, suites: &str) -> String {
    format!(
        "tls_server_config: {{cert_file: {certificate}.pem, key_file: {certificate}.key, \
         cipher_suites: [{suites}]}}\nhttp_server_config: {{http2: false}}\n"
    )
}

fn headers(headers: &str) -> String {
    format!("http_server_config: {{headers: {{{headers}}}}}\n")
}

const CLIENT: &str = "--cert client.pem --key client.key";
const STRANGER: &str = "--cert stranger.pem --key stranger.key";
const HTTP: &str = "--http2 -w %{http_code}/%{http_version}";
const NO_OLD_TLS: &str = "rustls has no TLS 1.0 and 1.1";
const NO_CBC: &str = "rustls has no CBC suites";
const NO_CLIENT: &str = "no client could get in, which cannot be meant";
const NO_SYSTEM: &str = "who may read is not left to the authorities that the system trusts";
const NO_RSA_EXCHANGE: &str = "rustls has no RSA key exchange";

#[rustfmt::skip] // One line each.
fn table() -> Vec<Row> {
    vec![
        // No configuration.
        row("", "", "200"),
        row("{}", "", "200"),
        row("tls_server_config: {}", "{plain}", "200"),
        // TLS.
        row(tls(""), "", "200"),
        row(tls(""), "{plain}", "400"),
        row(tls(""), "--tls-max 1.2", "200"),
        row(tls(""), "--tlsv1.3", "200"),
        row(tls(""), "--tlsv1.0 --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0", "refused"),
        row(tls(""), "{url} {url} {url}", "200 200 200"),
        row(rsa(""), "", "200"),
        row(rsa(""), "--tls-max 1.2 --ciphers ECDHE-RSA-AES128-GCM-SHA256", "200"),
        // Versions.
        row(tls("min_version: TLS13"), "", "200"),
        row(tls("min_version: TLS13"), "--tls-max 1.2", "refused"),
        row(tls("min_version: TLS12"), "--tls-max 1.2", "200"),
        row(tls("max_version: TLS12"), "", "200"),
        row(tls("max_version: TLS12"), "--tlsv1.3", "refused"),
        row(tls("min_version: TLS12, max_version: TLS12"), "--tlsv1.3", "refused"),
        row(tls("min_version: TLS13, max_version: TLS13"), "", "200"),
        row(tls("min_version: TLS14"), "", "no start"),
        row(tls("min_version: tls12"), "", "no start"),
        row(tls("min_version: TLS10"), "", "200").but("no start: min_version", NO_OLD_TLS),
        row(tls("min_version: TLS11"), "", "200").but("no start: min_version", NO_OLD_TLS),
        row(tls("max_version: TLS11"), "", "refused").but("no start: max_version", NO_OLD_TLS),
        row(tls("min_version: TLS13, max_version: TLS12"), "", "refused").but("no start: min_version", NO_CLIENT),
        // Cipher suites, which count up to TLS 1.2.
        row(suites("server", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"), "--tls-max 1.2", "200"),
        row(suites("server", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"), "", "200"),
        row(suites("server", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"), "--tls-max 1.2 --ciphers ECDHE-ECDSA-AES256-GCM-SHA384", "200"),
        row(suites("server", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"), "--tls-max 1.2 --ciphers ECDHE-ECDSA-AES128-GCM-SHA256", "refused"),
        row(suites("server", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"), "--tls-max 1.2 --ciphers ECDHE-ECDSA-CHACHA20-POLY1305", "200"),
        row(suites("server", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305"), "--tls-max 1.2", "no start"),
        row(suites("server", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"), "--tls-max 1.2 --ciphers ECDHE-ECDSA-AES256-GCM-SHA384", "200"),
        row(tls("cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256], prefer_server_cipher_suites: false"), "--tls-max 1.2", "200"),
        row(suites("server", ""), "--tls-max 1.2", "200"),
        row(suites("server", "TLS_AES_128_GCM_SHA256"), "", "200"),
        row(suites("server", "TLS_NONE"), "", "no start"),
        row(suites("server", "TLS_RSA_WITH_RC4_128_SHA"), "", "no start"),
        row(suites("rsa", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"), "--tls-max 1.2", "200"),
        row(suites("rsa", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"), "--tls-max 1.2", "refused"),
        row(suites("rsa", "TLS_RSA_WITH_AES_128_GCM_SHA256"), "", "no start").but("no start: cipher_suites", NO_RSA_EXCHANGE).since(INLINE),
        row(suites("server", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"), "", "200").but("no start: cipher_suites", NO_CBC),
        row(tls("cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]"), HTTP, "200/2"),
        row(tls("cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]"), HTTP, "no start"),
        // Curves.
        row(tls("curve_preferences: [CurveP256]"), "--curves P-256", "200"),
        row(tls("curve_preferences: [CurveP256]"), "--curves X25519", "refused"),
        row(tls("curve_preferences: [CurveP384]"), "--curves P-384", "200"),
        row(tls("curve_preferences: [X25519]"), "--curves X25519", "200"),
        row(tls("curve_preferences: [X25519]"), "--curves P-256", "refused"),
        row(tls("curve_preferences: [X25519, CurveP256]"), "--curves P-256", "200"),
        row(tls("curve_preferences: [CurveP257]"), "", "no start"),
        row(tls("curve_preferences: [CurveP521]"), "--curves P-521", "200").but("no start: curve_preferences", "rustls has no curve P-521"),
        // Certificates and keys inline.
        row("tls_server_config: {cert: {inline server.pem}, key: {inline server.key}}", "", "200").since(INLINE),
        row("tls_server_config: {cert: {inline server.pem}, key_file: server.key}", "", "200").since(INLINE),
        row("tls_server_config: {cert_file: server.pem, key: {inline server.key}}", "", "200").since(INLINE),
        row("tls_server_config: {cert: {inline server.pem}, cert_file: server.pem, key_file: server.key}", "", "200").since(INLINE),
        row("tls_server_config: {cert_file: server.pem, key_file: server.key, key: {inline server.key}}", "", "200").since(INLINE),
        row("tls_server_config: {cert: {inline server.pem}, cert_file: missing.pem, key_file: server.key}", "", "no start").since(INLINE),
        row("tls_server_config: {cert: {inline rsa.pem}, cert_file: server.pem, key_file: server.key}", "", "200").since(INLINE),
        row("tls_server_config: {cert: nothing, key: {inline server.key}}", "", "no start").since(INLINE),
        row(tls("client_auth_type: RequireAndVerifyClientCert, client_ca: {inline clients-ca.pem}"), CLIENT, "200").since(INLINE),
        row(tls("client_auth_type: RequireAndVerifyClientCert, client_ca: {inline clients-ca.pem}"), STRANGER, "refused").since(INLINE),
        row(tls("client_auth_type: RequireAndVerifyClientCert, client_ca: nothing"), CLIENT, "refused").but("no start: client_ca", NO_CLIENT).since(INLINE),
        row(tls("client_auth_type: RequireAndVerifyClientCert, client_ca: {inline clients-ca.pem}, client_ca_file: clients-ca.pem"), CLIENT, "200").since(INLINE),
        // Client certificates.
        row(tls("client_auth_type: NoClientCert"), "", "200"),
        row(tls("client_auth_type: NoClientCert"), STRANGER, "200"),
        row(tls("client_auth_type: ''"), "", "200"),
        row(tls("client_auth_type: RequestClientCert"), "", "200"),
        row(tls("client_auth_type: RequestClientCert"), STRANGER, "200"),
        row(clients("RequestClientCert"), STRANGER, "200"),
        row(tls("client_auth_type: RequireAnyClientCert"), "", "refused"),
        row(tls("client_auth_type: RequireAnyClientCert"), STRANGER, "200"),
        row(clients("RequireAnyClientCert"), STRANGER, "200"),
        row(clients("RequireAnyClientCert"), "--cert expired.pem --key expired.key", "200"),
        row(clients("VerifyClientCertIfGiven"), "", "200"),
        row(clients("VerifyClientCertIfGiven"), CLIENT, "200"),
        row(clients("VerifyClientCertIfGiven"), STRANGER, "refused"),
        row(clients("RequireAndVerifyClientCert"), "", "refused"),
        row(clients("RequireAndVerifyClientCert"), "--tls-max 1.2", "refused"),
        row(clients("RequireAndVerifyClientCert"), CLIENT, "200"),
        row(clients("RequireAndVerifyClientCert"), "--cert client.pem --key client.key --tls-max 1.2", "200"),
        row(clients("RequireAndVerifyClientCert"), "--cert client.pem --key client.key {url} {url}", "200 200"),
        row(clients("RequireAndVerifyClientCert"), STRANGER, "refused"),
        row(clients("RequireAndVerifyClientCert"), "--cert expired.pem --key expired.key", "refused"),
        row(clients("RequireAndVerifyClientCert"), "--cert wrong-use.pem --key wrong-use.key", "refused"),
        row(clients("RequireAndVerifyClientCert"), "{plain}", "400"),
        row(tls("client_auth_type: RequireAndVerifyClientCert"), CLIENT, "refused").but("no start: client_auth_type", NO_SYSTEM),
        row(tls("client_auth_type: VerifyClientCertIfGiven"), "", "200").but("no start: client_auth_type", NO_SYSTEM),
        row(clients("NoClientCert"), "", "no start"),
        row(tls("client_ca_file: clients-ca.pem"), "", "no start"),
        row(clients("Sometimes"), "", "no start"),
        row(clients("requireandverifyclientcert"), "", "no start"),
        row(tls("client_auth_type: RequireAndVerifyClientCert, client_ca_file: missing.pem"), "", "no start"),
        // Names of clients.
        row(names("prometheus.example"), CLIENT, "200").since(INLINE),
        row(names("ops@example.com"), CLIENT, "200").since(INLINE),
        row(names("'spiffe://cluster/prometheus'"), CLIENT, "200").since(INLINE),
        row(names("10.1.2.3"), CLIENT, "200").since(INLINE),
        row(names("other.example, prometheus.example"), CLIENT, "200").since(INLINE),
        row(names("other.example"), CLIENT, "refused").since(INLINE),
        row(names("PROMETHEUS.EXAMPLE"), CLIENT, "refused").since(INLINE),
        row(names("'*.example'"), CLIENT, "refused").since(INLINE),
        row(names("prometheus.example"), STRANGER, "refused").since(INLINE),
        row(names(""), CLIENT, "refused").but("no start: client_allowed_sans", NO_CLIENT).since(INLINE),
        row(tls("client_auth_type: RequireAnyClientCert, client_allowed_sans: [prometheus.example]"), STRANGER, "200").since(INLINE),
        row(tls("client_auth_type: RequireAnyClientCert, client_allowed_sans: [other.example]"), STRANGER, "refused").since(INLINE),
        // Passwords.
        row(users(), "", "401"),
        row(users(), "-u reader:right", "200"),
        row(users(), "-u reader:right {url} {url} {url}", "200 200 200"),
        row(users(), "-u reader:wrong", "401"),
        row(users(), "-u reader:wrong {url} {url}", "401 401"),
        row(users(), "-u reader:", "401"),
        row(users(), "-u :right", "401"),
        row(users(), "-u writer:right", "401"),
        row(users(), "-u Reader:right", "401"),
        row(users(), "-u reader:right:more", "401"),
        row(users(), "-H Authorization:Bearer\u{a0}cmVhZGVyOnJpZ2h0", "401"),
        row(users(), "-H Authorization:\u{a0}Basic\u{a0}cmVhZGVyOnJpZ2h0", "200"),
        row(users(), "-H Authorization:\u{a0}basic\u{a0}cmVhZGVyOnJpZ2h0", "200"),
        row(users(), "-H Authorization:\u{a0}Basic\u{a0}!!!", "401"),
        row(users(), "-H Authorization:\u{a0}Basic", "401"),
        row(users(), "-w %{http_code}\u{a0}%header{www-authenticate}", "401 Basic"),
        row(format!("basic_auth_users: {{reader: {RIGHT}, second: {RIGHT}}}"), "-u second:right", "200"),
        row("basic_auth_users: {reader: $2y$17$ga5pQmEMjDKeXOgyTq6o4.oeSq73KgKV2hJnObScFLBw4DamfDcc2}", "", "401").but("no start: basic_auth_users", "a hash that takes seconds is a way to stop the program"),
        row("basic_auth_users: {}", "", "200"),
        row("basic_auth_users: {reader: right}", "", "no start"),
        row("basic_auth_users: {reader: ''}", "", "no start"),
        row("basic_auth_users: {reader: $2y$05$short}", "", "no start"),
        row("basic_auth_users: [reader]", "", "no start"),
        // Passwords with TLS.
        row(tls("") + &users(), "", "401"),
        row(tls("") + &users(), "-u reader:right", "200"),
        row(tls("") + &users(), "-u reader:wrong", "401"),
        row(tls("") + &users(), "-u reader:right {plain}", "400"),
        row(clients("RequireAndVerifyClientCert") + &users(), "-u reader:right", "refused"),
        row(clients("RequireAndVerifyClientCert") + &users(), "--cert client.pem --key client.key", "401"),
        row(clients("RequireAndVerifyClientCert") + &users(), "--cert client.pem --key client.key -u reader:right", "200"),
        // HTTP/2.
        row(tls(""), HTTP, "200/2"),
        row(tls("") + "http_server_config: {http2: true}", HTTP, "200/2"),
        row(tls("") + "http_server_config: {http2: false}", HTTP, "200/1.1"),
        row(tls(""), "--http1.1 -w %{http_code}/%{http_version}", "200/1.1"),
        row(tls("") + &users(), "--http2 -w %{http_code}/%{http_version}", "401/2"),
        row(tls("") + &users(), "-u reader:right --http2 -w %{http_code}/%{http_version}", "200/2"),
        row("http_server_config: {http2: true}", HTTP, "200/1.1"),
        row("http_server_config: {http2: maybe}", "", "no start"),
        // Headers.
        row(headers("X-Frame-Options: deny"), "-w %{http_code}\u{a0}%header{x-frame-options}", "200 deny"),
        row(headers("X-Frame-Options: sameorigin"), "-w %header{x-frame-options}", "sameorigin"),
        row(headers("X-Content-Type-Options: nosniff"), "-w %header{x-content-type-options}", "nosniff"),
        row(headers("X-XSS-Protection: 1; mode=block"), "-w %header{x-xss-protection}", "1; mode=block"),
        row(headers("Strict-Transport-Security: max-age=60"), "-w %header{strict-transport-security}", "max-age=60"),
        row(headers("Content-Security-Policy: default-src 'none'"), "-w %header{content-security-policy}", "default-src 'none'"),
        row(headers("X-Frame-Options: deny") + &users(), "-w %{http_code}\u{a0}%header{x-frame-options}", "401 deny"),
        row(headers("X-Frame-Options: ''"), "", "no start"),
        row(headers("X-Frame-Options: maybe"), "", "no start"),
        row(headers("X-Content-Type-Options: sniff"), "", "no start"),
        row(headers("X-Powered-By: us"), "", "no start"),
        row(headers("x-frame-options: deny"), "", "no start"),
        // Rate limits.
        row("rate_limit: {interval: 1h, burst: 2}", "{url} {url} {url}", "200 200 429").since(RATE_LIMIT),
        row("rate_limit: {interval: 1h, burst: 1}", "{url} {url}", "200 429").since(RATE_LIMIT),
        row("rate_limit: {interval: 1h, burst: 0}", "{url} {url}", "429 429").but("no start: burst", NO_CLIENT).since(RATE_LIMIT),
        row("rate_limit: {interval: 0s, burst: 1}", "{url} {url} {url}", "200 200 200").since(RATE_LIMIT),
        row("rate_limit: {interval: 1ns, burst: 5}", "{url} {url} {url}", "200 200 200").since(RATE_LIMIT),
        row(users() + "rate_limit: {interval: 1h, burst: 1}", "{url} {url}", "401 429").since(RATE_LIMIT),
        row("rate_limit: {interval: 1 hour, burst: 1}", "", "no start").but("200", "heatsink reads words for units, too").since(RATE_LIMIT),
        row("rate_limit: {interval: -1s, burst: 1}", "{url} {url}", "200 200").but("no start: interval", "a negative time is a mistake").since(RATE_LIMIT),
        row("rate_limit: {interval: 1h, burst: many}", "", "no start").since(RATE_LIMIT),
        row("rate_limit: {interval: 1h, burst: -1}", "", "429").but("no start: burst", NO_CLIENT).since(RATE_LIMIT),
        // Files that are wrong.
        row("tls_server_config: {cert_file: server.pem}", "", "no start"),
        row("tls_server_config: {key_file: server.key}", "", "no start"),
        row("tls_server_config: {cert_file: missing.pem, key_file: server.key}", "", "no start"),
        row("tls_server_config: {cert_file: server.pem, key_file: missing.key}", "", "no start"),
        row("tls_server_config: {cert_file: server.pem, key_file: client.key}", "", "no start"),
        row("tls_server_config: {cert_file: server.key, key_file: server.pem}", "", "no start"),
        row("tls_server_config: {cert_file: empty, key_file: empty}", "", "no start"),
        row(tls("cert_fil: server.pem"), "", "no start"),
        row("tls_config: {}", "", "no start"),
        row("tls_server_config: []", "", "no start"),
        row("tls_server_config: {", "", "no start"),
        row("nothing", "", "no start"),
        row("\u{0}", "", "no start"),
        row(users() + &users(), "", "no start"),
    ]
}

/// Certificates and keys under the names that the table uses.
fn certificates() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    let at = folder.path();
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let strangers = Authority::new("strangers");
    put(at, "ca.pem", &servers.pem);
    put(at, "clients-ca.pem", &clients.pem);
    put(at, "empty", "");
    servers.write(at, "server", Side::Server, Flaw::None);
    servers.write_rsa(at, "rsa", Side::Server);
    clients.write(at, "client", Side::Client, Flaw::None);
    clients.write(at, "expired", Side::Client, Flaw::Expired);
    clients.write(at, "wrong-use", Side::Client, Flaw::WrongUse);
    strangers.write(at, "stranger", Side::Client, Flaw::None);
    folder
}

/// `{inline FILE}` as a quoted string with what is in the file.
fn inlined(config: &str, folder: &Path) -> String {
    let mut parts = config.split("{inline ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (file, rest) = part.split_once('}').expect("a closing brace");
        let content = fs::read_to_string(folder.join(file)).expect("a file of certificates()");
        text += &serde_json::to_string(&content).expect("a string");
        text += rest;
    }
    text
}

/// A program that serves with a web configuration.
struct Program {
    binary: PathBuf,
    arguments: &'static [&'static str],
    flag: &'static str,
}

fn heatsink() -> Program {
    let arguments: &[&str] =
        &["--source", "sim", "--sim-scenario", "steady", "--address", "127.0.0.1:0"];
    Program { binary: BINARY.into(), arguments, flag: "--web-config-file" }
}

fn node_exporter() -> (Program, Version) {
    let cached = repository_file("target/debian-13/usr/bin/prometheus-node-exporter");
    let binary = std::env::var_os("HEATSINK_WEB_ORACLE").map_or(cached, PathBuf::from);
    let said = Command::new(&binary).arg("--version").output().unwrap_or_else(|error| {
        panic!(
            "{}: {error}; `cargo xtask test` gets it from Debian 13's package \
             prometheus-node-exporter",
            binary.display()
        )
    });
    // Older versions print it on stderr.
    let said = [said.stdout, said.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let number = said.split("version ").nth(1).unwrap_or_default();
    let mut parts = number.split('.').map(|part| part.parse().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    assert!(version >= FIRST, "{said}");
    let arguments: &[&str] =
        &["--collector.disable-defaults", "--web.listen-address", "127.0.0.1:0"];
    (Program { binary, arguments, flag: "--web.config.file" }, version)
}

/// The port after `127.0.0.1:` in a log.
fn port(log: &str) -> Option<u16> {
    let after = log.split("127.0.0.1:").skip(1);
    let ports = after.filter_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    ports.filter(|&port| port > 0).last()
}

impl Program {
    /// The answer to a row, and the log.
    fn answer(&self, row: &Row, refuses: bool, index: usize, folder: &Path) -> (String, String) {
        let config = folder.join(format!("web-{index}.yml"));
        fs::write(&config, inlined(&row.config, folder)).expect("the folder can be written");
        let name = self.binary.file_name().unwrap_or_default().display();
        let log = folder.join(format!("{name}-{index}.log"));
        let output = File::create(&log).expect("a file for the log");
        let mut arguments = self.arguments.to_vec();
        let config = config.display().to_string();
        arguments.extend([self.flag, &config]);
        let binary = self.binary.display().to_string();
        let mut program = command(&binary, &arguments, &[]);
        program.stdout(Stdio::null()).stderr(output);
        let mut child = program.spawn().expect("the program starts");
        let read = || fs::read_to_string(&log).unwrap_or_default();
        let began = Stopwatch::start();
        let ended = loop {
            if let Some(status) = child.try_wait().expect("the child can be asked") {
                break Some(status);
            }
            // It may have a port before it reads its configuration, and then end.
            let patience = if refuses { PATIENCE } else { Duration::ZERO };
            if port(&read()).is_some() && began.elapsed() >= patience {
                break None;
            }
            assert!(began.elapsed() < PATIENCE, "neither listens nor ends: {}", row.config);
            thread::sleep(Duration::from_millis(5));
        };
        let answer = match ended {
            Some(status) if status.success() => "it ended without an error".to_owned(),
            Some(_) => "no start".to_owned(),
            None => curl(row, port(&read()).expect("it listens"), folder),
        };
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
        (answer, read())
    }

    /// Asks for the answers of all rows, and returns those that are wrong.
    fn wrong(&self, rows: &[(Row, &'static str)]) -> Vec<String> {
        let folder = certificates();
        let next = AtomicUsize::new(0);
        let some = || {
            let mut wrong = Vec::new();
            while let Some((row, expected)) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                let index = rows.iter().position(|(other, _)| std::ptr::eq(other, row));
                let refuses = expected.starts_with("no start");
                let (answer, log) = self.answer(row, refuses, index.unwrap_or(0), folder.path());
                let (expected, key) = expected.split_once(": ").unwrap_or((expected, ""));
                // A value of a header can have a colon, too.
                let is_right = answer == expected && log.contains(key)
                    || !key.is_empty() && answer == format!("{expected}: {key}");
                if !is_right {
                    wrong.push(format!(
                        "{}\n  curl {}\n  expected: {expected} {key}\n  answer:   {answer}\n  log:      {}\n",
                        row.config.trim(),
                        row.client,
                        log.lines().last().unwrap_or_default()
                    ));
                }
            }
            wrong
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(some)).collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
        })
    }
}

/// Exit statuses of curl when the server ends the connection: in the handshake, in HTTP/2, without an
/// answer, while sending, while receiving, for want of a client certificate.
const ENDED_BY_SERVER: &[i32] = &[35, 16, 52, 55, 56, 98];

fn curl(row: &Row, port: u16, folder: &Path) -> String {
    let scheme = if row.config.contains("_file") || row.config.contains("inline") {
        "https"
    } else {
        "http"
    };
    let (url, plain) =
        (format!("{scheme}://127.0.0.1:{port}/"), format!("http://127.0.0.1:{port}/"));
    let mut client = row.client.to_owned();
    if !client.contains("{url}") && !client.contains("{plain}") {
        client += " {url}";
    }
    let mut curl = Command::new("curl");
    curl.args(["-q", "-sS", "--max-time", "60", "--cacert", "ca.pem", "-w", "%{http_code} "]);
    for word in client.split(' ').filter(|word| !word.is_empty()) {
        let word = word.replace('\u{a0}', " ");
        let is_url = word == "{url}" || word == "{plain}";
        let word = word.replace("{url}", &url).replace("{plain}", &plain);
        curl.arg(word);
        if is_url {
            curl.args(["-o", "/dev/null"]);
        }
    }
    let output = curl.current_dir(folder).output().unwrap_or_else(|error| {
        panic!("curl: {error}; `cargo xtask test` installs Debian's package curl")
    });
    match output.status.code() {
        Some(0) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Some(code) if ENDED_BY_SERVER.contains(&code) => "refused".to_owned(),
        code => format!("curl {code:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn assert_right(program: &Program, rows: Vec<(Row, &'static str)>) {
    let count = rows.len();
    let wrong = program.wrong(&rows);
    assert!(wrong.is_empty(), "{} of {count} rows:\n\n{}", wrong.len(), wrong.join("\n"));
    println!("{}: {count} rows", program.binary.display());
}

#[test]
fn node_exporter_answers_as_the_table_says() {
    let (program, version) = node_exporter();
    let rows = table().into_iter().filter(|row| row.since <= version);
    assert_right(
        &program,
        rows.map(|row| {
            let answer = row.answer;
            (row, answer)
        })
        .collect(),
    );
}

#[test]
fn heatsink_answers_as_node_exporter_does() {
    let rows = table().into_iter();
    assert_right(
        &heatsink(),
        rows.map(|row| {
            let answer = row.heatsink_s_answer();
            (row, answer)
        })
        .collect(),
    );
}
