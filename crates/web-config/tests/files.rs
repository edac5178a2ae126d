//! Files that are accepted and files that are refused, with the whole message of each refusal.

mod site;

use std::path::PathBuf;
use std::time::SystemTime;

use proptest::prelude::*;
use site::Site;
use web_config::WebConfig;

/// A hash of `secret` with the least cost, made by crypt(3).
const HASH: &str = "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

const SUITES: &str = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256";

/// The beginning of a section with a certificate: its last line is line 3.
const TLS: &str = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";

/// Files that are accepted. `TLS` stands for the beginning of a section with a certificate.
const ACCEPTED: &[&str] = &[
    "",
    "# Nothing.\n",
    "---\n",
    "{}",
    "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\nrate_limit:\n",
    "TLS",
    "tls_server_config: {cert_file: cert.pem, key_file: ./key.pem}",
    "TLS  min_version: TLS12\n  max_version: TLS12\n",
    "TLS  min_version: TLS13\n  max_version: TLS13\n",
    "TLS  cipher_suites: []\n  curve_preferences: []\n",
    "TLS  cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n",
    "TLS  cipher_suites: [TLS_AES_128_GCM_SHA256]\n  min_version: TLS13\n",
    "TLS  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]\nhttp_server_config: {http2: false}\n",
    "TLS  curve_preferences: [CurveP256, CurveP384, X25519]\n",
    "TLS  prefer_server_cipher_suites: off\n",
    "TLS  client_auth_type: NoClientCert\n",
    "TLS  client_auth_type: ''\n",
    "TLS  client_auth_type: RequestClientCert\n",
    "TLS  client_auth_type: RequireClientCert\n",
    "TLS  client_auth_type: RequireAnyClientCert\n  client_allowed_sans: [a, b]\n",
    "TLS  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.pem\n",
    "TLS  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  client_allowed_sans: [a]\n",
    // Without a certificate or a CA, the others do not turn TLS on.
    "tls_server_config: {min_version: TLS12}",
    "http_server_config: {http2: Yes, headers: {X-Frame-Options: deny, X-XSS-Protection: ''}}",
    "http_server_config:\n  headers:\n    Strict-Transport-Security: max-age=31536000\n    Content-Security-Policy: |\n      default-src 'self'\n    X-Content-Type-Options: nosniff\n",
    "basic_auth_users: {}",
    "basic_auth_users:\n  alice: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG\n  7: $2a$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n",
    "rate_limit: {interval: 0}",
    "rate_limit: {interval: 0s, burst: 0}",
    "rate_limit: {burst: 5}",
    "rate_limit: {interval: 1s, burst: 1}",
    "rate_limit: {interval: 1.5h, burst: 1000000}",
    "rate_limit: {interval: 1m30s, burst: 20}",
    "rate_limit: {interval: 100ms, burst: 20}",
];

/// Files that are refused, and the message after the name of the file. `SUITES` stands for a list.
const REFUSED: &[(&str, &str)] = &[
    // The text.
    (
        "tls_server_cfg: {}",
        ":1: tls_server_cfg: there is no such key; write one of tls_server_config, http_server_config, basic_auth_users, rate_limit",
    ),
    (
        "rate_limit:\n  interval: 1s\n  brust: 3\n",
        ":3: brust: there is no such key; write one of interval, burst",
    ),
    (
        "rate_limit: {}\nhttp_server_config: {http3: true}\n",
        ":2: http3: there is no such key; write one of http2, headers",
    ),
    (
        "rate_limit: {}\nrate_limit: {}\n",
        ":2: rate_limit: this key is there twice; leave one of them out",
    ),
    (
        "rate_limit: 5\n",
        ":1: rate_limit: only keys with values can be here; write a line `key: value` for each",
    ),
    (
        "rate_limit: {}\nbasic_auth_users: secret\n",
        ":2: basic_auth_users: only keys with values can be here; write a line `key: value` for each",
    ),
    ("basic_auth_users:\n  alice: [a]\n", ":2: alice: only a text can be here; write it in quotes"),
    (
        "basic_auth_users:\n  alice: {password: x}\n",
        ":2: alice: only a text can be here; write it in quotes",
    ),
    (
        "tls_server_config:\n  cert_file: [a]\n",
        ":2: cert_file: only a text can be here; write it in quotes",
    ),
    (
        "tls_server_config:\n  cipher_suites: TLS_AES_128_GCM_SHA256\n",
        ":2: cipher_suites: only a list can be here; write [a, b]",
    ),
    ("- a\n", ":1: YAML: only keys with values can be here; write a line `key: value` for each"),
    ("web\n", ":1: YAML: only keys with values can be here; write a line `key: value` for each"),
    ("rate_limit: {interval: 1s\n", ":1: rate_limit: unclosed bracket '{'"),
    (
        "rate_limit:\n\tinterval: 1s\n",
        ":2: YAML: tabs disallowed within this context (block indentation)",
    ),
    (
        "a: &a [*b]\n",
        ":1: a: there is no such key; write one of tls_server_config, http_server_config, basic_auth_users, rate_limit",
    ),
    ("{}\n---\n{}\n", ":3: YAML: a second document begins here; leave it out"),
    // Certificates and keys.
    (
        "tls_server_config:\n  cert_file: cert.pem\n",
        ":2: cert_file: TLS also needs key; write key_file with a path",
    ),
    (
        "tls_server_config:\n  key_file: key.pem\n",
        ":2: key_file: TLS also needs cert; write cert_file with a path",
    ),
    (
        "tls_server_config:\n  cert_file: ''\n  key_file: key.pem\n",
        ":3: key_file: TLS also needs cert; write cert_file with a path",
    ),
    (
        "tls_server_config:\n  client_ca_file: ca.pem\n",
        ":2: client_ca_file: TLS also needs cert; write cert_file with a path",
    ),
    (
        "tls_server_config:\n  client_auth_type: NoClientCert\n",
        ":2: client_auth_type: TLS also needs cert; write cert_file with a path",
    ),
    (
        "tls_server_config:\n  cert_file: missing.pem\n  key_file: key.pem\n",
        ":2: cert_file: cannot read $HERE/missing.pem: No such file or directory (os error 2)",
    ),
    (
        "tls_server_config:\n  cert_file: .\n  key_file: key.pem\n",
        ":2: cert_file: cannot read $HERE/.: is a directory",
    ),
    (
        "tls_server_config:\n  cert_file: /dev/zero\n  key_file: key.pem\n",
        ":2: cert_file: cannot read /dev/zero: not a regular file",
    ),
    (
        "tls_server_config:\n  cert_file: large.pem\n  key_file: key.pem\n",
        ":2: cert_file: cannot read $HERE/large.pem: larger than 1 MiB",
    ),
    (
        "tls_server_config:\n  cert_file: key.pem\n  key_file: key.pem\n",
        ":2: cert_file: $HERE/key.pem has no certificate; it should begin with -----BEGIN CERTIFICATE-----",
    ),
    (
        "tls_server_config:\n  cert_file: cut.pem\n  key_file: key.pem\n",
        ":2: cert_file: $HERE/cut.pem is damaged; copy it again, from -----BEGIN to the end of the line with -----END",
    ),
    (
        "tls_server_config:\n  cert_file: no-x509.pem\n  key_file: key.pem\n",
        ":2: cert_file: $HERE/no-x509.pem begins with no certificate of X.509; make it again",
    ),
    (
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: cert.pem\n",
        ":3: key_file: $HERE/cert.pem has no key; it should begin with -----BEGIN PRIVATE KEY-----",
    ),
    (
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: encrypted.pem\n",
        ":3: key_file: $HERE/encrypted.pem is encrypted; write a key without a password, which `openssl pkey` makes of it",
    ),
    (
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: old-encrypted.pem\n",
        ":3: key_file: $HERE/old-encrypted.pem is encrypted; write a key without a password, which `openssl pkey` makes of it",
    ),
    (
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: other-key.pem\n",
        ":3: key_file: $HERE/other-key.pem is not the key of the certificate in $HERE/cert.pem; write the one that it was made with",
    ),
    (
        "tls_server_config:\n  cert_file: cert.pem\n  key: x\n",
        ":3: key: the text has no key; it should begin with -----BEGIN PRIVATE KEY-----",
    ),
    // Versions.
    (
        "TLS  min_version: TLS11\n",
        ":4: min_version: TLS11 is broken and not supported; write TLS12 or TLS13",
    ),
    (
        "TLS  max_version: TLS10\n",
        ":4: max_version: TLS10 is broken and not supported; write TLS12 or TLS13",
    ),
    (
        "TLS  min_version: 1.2\n",
        ":4: min_version: `1.2` is no version of TLS; write TLS12 or TLS13",
    ),
    (
        "TLS  min_version: TLS13\n  max_version: TLS12\n",
        ":5: max_version: it is below min_version; write TLS13, or leave it out",
    ),
    (
        "tls_server_config:\n  min_version: TLS14\n",
        ":2: min_version: `TLS14` is no version of TLS; write TLS12 or TLS13",
    ),
    // Suites and curves.
    (
        "TLS  cipher_suites:\n  - TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\n  - TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA\n",
        ":6: cipher_suites: TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA is a CBC suite, which is not supported; write one of SUITES",
    ),
    (
        "TLS  cipher_suites: [TLS_RSA_WITH_AES_128_GCM_SHA256]\n",
        ":4: cipher_suites: TLS_RSA_WITH_AES_128_GCM_SHA256 exchanges keys by RSA, which is not supported; write one of SUITES",
    ),
    (
        "TLS  cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]\n",
        ":4: cipher_suites: TLS_RSA_WITH_AES_128_CBC_SHA exchanges keys by RSA, which is not supported; write one of SUITES",
    ),
    (
        "TLS  cipher_suites: [AES]\n",
        ":4: cipher_suites: AES is no suite that is supported; write one of SUITES",
    ),
    (
        "TLS  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]\n",
        ":4: cipher_suites: HTTP/2 with TLS 1.2 needs TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 or TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256; add one, or write http2: false",
    ),
    (
        "TLS  max_version: TLS12\n  cipher_suites: [TLS_AES_128_GCM_SHA256]\nhttp_server_config: {http2: no}\n",
        ":5: cipher_suites: no suite of TLS 1.2 is listed; add TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 or TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    ),
    (
        "TLS  curve_preferences: [X25519, CurveP521]\n",
        ":4: curve_preferences: `CurveP521` is not supported; write one of X25519, CurveP256, CurveP384",
    ),
    (
        "TLS  curve_preferences: [X25519MLKEM768]\n",
        ":4: curve_preferences: `X25519MLKEM768` is not supported; write one of X25519, CurveP256, CurveP384",
    ),
    (
        "TLS  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n",
        ":5: cipher_suites: no suite fits the certificate, whose key needs suites with ECDSA, so no client gets in; add TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    ),
    (
        "basic_auth_users:\n  'a:b': HASH\n",
        ":2: basic_auth_users: a:b: a name with a colon can never log in; leave the colon out",
    ),
    (
        "TLS  prefer_server_cipher_suites: maybe\n",
        ":4: prefer_server_cipher_suites: `maybe` is not true or false; write one",
    ),
    // Clients.
    (
        "TLS  client_auth_type: Always\n",
        ":4: client_auth_type: `Always` is not supported; write one of NoClientCert, RequestClientCert, RequireAnyClientCert, RequireClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert",
    ),
    (
        "TLS  client_ca_file: ca.pem\n",
        ":4: client_ca_file: a CA is of no use without client_auth_type; write client_auth_type: RequireAndVerifyClientCert",
    ),
    (
        "TLS  client_ca: x\n  client_auth_type: NoClientCert\n",
        ":4: client_ca: a CA is of no use without client_auth_type; write client_auth_type: RequireAndVerifyClientCert",
    ),
    (
        "TLS  client_auth_type: RequireAndVerifyClientCert\n",
        ":4: client_auth_type: there is no CA to verify clients with; write client_ca_file with a path",
    ),
    (
        "TLS  client_auth_type: VerifyClientCertIfGiven\n",
        ":4: client_auth_type: there is no CA to verify clients with; write client_ca_file with a path",
    ),
    (
        "TLS  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: key.pem\n",
        ":5: client_ca_file: $HERE/key.pem has no certificate; it should begin with -----BEGIN CERTIFICATE-----",
    ),
    (
        "TLS  client_auth_type: RequireAndVerifyClientCert\n  client_ca: ''\n",
        ":4: client_auth_type: there is no CA to verify clients with; write client_ca_file with a path",
    ),
    (
        "TLS  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: no-x509.pem\n",
        ":5: client_ca_file: $HERE/no-x509.pem is wrong in certificate 1; make that again, or leave it out",
    ),
    (
        "TLS  client_allowed_sans: [a]\n",
        ":4: client_allowed_sans: it needs a certificate of each client; write client_auth_type: RequireAndVerifyClientCert",
    ),
    (
        "TLS  client_auth_type: RequestClientCert\n  client_allowed_sans: [a]\n",
        ":5: client_allowed_sans: it needs a certificate of each client; write client_auth_type: RequireAndVerifyClientCert",
    ),
    (
        "TLS  client_auth_type: RequireAnyClientCert\n  client_allowed_sans: []\n",
        ":5: client_allowed_sans: an empty list admits no client; write a name, or leave it out",
    ),
    // Headers.
    ("http_server_config: {http2: maybe}", ":1: http2: `maybe` is not true or false; write one"),
    (
        "http_server_config:\n  headers:\n    Server: me\n",
        ":3: Server: this header cannot be set; write one of Content-Security-Policy, Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection",
    ),
    (
        "http_server_config:\n  headers:\n    x-frame-options: deny\n",
        ":3: x-frame-options: this header cannot be set; write one of Content-Security-Policy, Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection",
    ),
    (
        "http_server_config:\n  headers:\n    X-Frame-Options: DENY\n",
        ":3: X-Frame-Options: `DENY` is not supported; write deny or sameorigin",
    ),
    (
        "http_server_config:\n  headers:\n    X-Frame-Options:\n",
        ":3: X-Frame-Options: `` is not supported; write deny or sameorigin",
    ),
    (
        "http_server_config:\n  headers:\n    X-Content-Type-Options: sniff\n",
        ":3: X-Content-Type-Options: `sniff` is not supported; write nosniff",
    ),
    (
        "http_server_config:\n  headers:\n    Content-Security-Policy: \"a\\r\\nSet-Cookie: b\"\n",
        ":3: Content-Security-Policy: a line break or control character; write it on one line",
    ),
    // Users.
    (
        "basic_auth_users:\n  alice:\n",
        ":2: basic_auth_users: alice: no password; write what `htpasswd -nBC 10 NAME` prints after the colon",
    ),
    (
        "basic_auth_users:\n  alice: secret\n",
        ":2: basic_auth_users: alice: the password is not a bcrypt hash of the form $2a$, $2b$ or $2y$; write what `htpasswd -nBC 10 NAME` prints after the colon",
    ),
    (
        "basic_auth_users:\n  alice: $2x$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n",
        ":2: basic_auth_users: alice: the password is not a bcrypt hash of the form $2a$, $2b$ or $2y$; write what `htpasswd -nBC 10 NAME` prints after the colon",
    ),
    (
        "basic_auth_users:\n  alice: $2y$04$abcdefghijk\n",
        ":2: basic_auth_users: alice: the bcrypt hash is malformed or cut off; write what `htpasswd -nBC 10 NAME` prints after the colon",
    ),
    (
        "basic_auth_users:\n  alice: $2y$03$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n",
        ":2: basic_auth_users: alice: bcrypt has no cost of 3; write what `htpasswd -nBC 10 NAME` prints after the colon",
    ),
    (
        "basic_auth_users:\n  alice: $2y$18$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n",
        ":2: basic_auth_users: alice: with a cost of 18 a login takes about 16 s of a processor; use at most 16: write what `htpasswd -nBC 10 NAME` prints after the colon",
    ),
    // The rate limit.
    (
        "rate_limit: {interval: 1s}",
        ":1: burst: a burst of 0 admits no request; write the number of requests at once, such as 10",
    ),
    (
        "rate_limit:\n  interval: 1s\n  burst: 0\n",
        ":3: burst: a burst of 0 admits no request; write the number of requests at once, such as 10",
    ),
    ("rate_limit:\n  burst: -1\n", ":2: burst: `-1` is not a number from 1 to 1000000; write one"),
    (
        "rate_limit: {interval: 5, burst: 1}",
        ":1: interval: `5` has no unit; write a time such as 100ms, 1s or 1m30s",
    ),
    (
        "rate_limit: {interval: soon, burst: 1}",
        ":1: interval: `soon` is not a time; write a time such as 100ms, 1s or 1m30s",
    ),
    (
        "rate_limit: {interval: -1s, burst: 1}",
        ":1: interval: `-1s` is negative; write a time such as 100ms, 1s or 1m30s",
    ),
    (
        "rate_limit: {interval: 25h, burst: 1}",
        ":1: interval: `25h` is longer than 24h; write a time such as 100ms, 1s or 1m30s",
    ),
];

/// A folder with a certificate and its key, and files that are wrong.
fn site() -> Site {
    let site = Site::new();
    site.write("large.pem", &"x".repeat((1 << 20) + 1));
    site.write("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    site.write("no-x509.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    site.write(
        "encrypted.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let header = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00";
    let old = format!(
        "-----BEGIN RSA PRIVATE KEY-----\n{header}\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
    );
    site.write("old-encrypted.pem", &old);
    site.write("other-key.pem", &site::key().serialize_pem());
    site
}

#[test]
fn a_file_that_is_right_is_accepted() {
    let site = site();
    for text in ACCEPTED {
        let text = text.replace("TLS  ", &format!("{TLS}  "));
        let text = if text == "TLS" { TLS.to_owned() } else { text };
        if let Err(error) = site.load(&text) {
            panic!("{text}\n{error}");
        }
    }
}

#[test]
fn a_file_that_is_wrong_is_refused_with_its_line_and_what_is_right() {
    let site = site();
    let mut wrong = String::new();
    for (text, message) in REFUSED {
        let text = text.replace("TLS  ", &format!("{TLS}  "));
        let message = message.replace("SUITES", SUITES);
        let Err(error) = site.load(&text) else { panic!("accepted: {text}") };
        let printed = error.to_string().replace(&site.folder.path().display().to_string(), "$HERE");
        let printed = printed.strip_prefix("$HERE/web.yml").expect("it begins with the file");
        if printed != message {
            wrong += &format!("{text}\n  is: {printed}\n  not {message}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("web.yml");
    let printed = |path| WebConfig::load(path).expect_err("refused").to_string();
    let here = folder.path().display();
    assert_eq!(
        printed(&missing),
        format!("cannot read {here}/web.yml: No such file or directory (os error 2)")
    );
    assert_eq!(printed(folder.path()), format!("cannot read {here}: is a directory"));
}

#[test]
fn text_that_is_not_utf_8_is_refused_with_its_line() {
    let site = Site::new();
    let path = site.folder.path().join("web.yml");
    std::fs::write(&path, b"rate_limit: {}\n# \xff\n").expect("written");
    let printed = WebConfig::load(&path).expect_err("refused").to_string();
    assert_eq!(printed, format!("{}:2: YAML: not UTF-8; write plain text", path.display()));
}

#[test]
fn all_files_that_are_read_are_listed() {
    let site = site();
    let text =
        format!("{TLS}  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n");
    let config = site.load(&text).expect("right");
    let names = ["web.yml", "cert.pem", "key.pem", "ca.pem"];
    assert_eq!(config.files(), names.map(|name| site.folder.path().join(name)));
    let config = site.load("").expect("right");
    assert_eq!(config.files(), [site.folder.path().join("web.yml")]);
}

#[test]
fn a_file_that_is_refused_has_the_files_that_it_names_so_far() {
    let site = Site::new();
    let files = |text: &str| -> Vec<String> {
        let error = site.load(text).expect_err("refused");
        let name = |path: &PathBuf| path.file_name().map(|it| it.to_string_lossy().into_owned());
        error.files().iter().filter_map(name).collect()
    };
    assert_eq!(files("?"), ["web.yml"]);
    let tls = "tls_server_config: {cert_file: later.pem, key_file: key.pem}\n";
    assert_eq!(files(tls), ["web.yml", "later.pem"]);
    let tls = "tls_server_config: {cert_file: cert.pem, key_file: later.pem}\n";
    assert_eq!(files(tls), ["web.yml", "cert.pem", "later.pem"]);
}

#[test]
fn a_file_without_text_is_empty_and_an_empty_mapping_is_not() {
    let site = Site::new();
    for (text, is_empty) in
        [("", true), ("\n \n", true), ("# x\n", true), ("---\n", true), ("{}\n", false)]
    {
        let config = site.load(text).expect("right");
        assert_eq!(config.is_empty(), is_empty, "{text:?}");
        assert!(!config.has_tls() && !config.has_users());
    }
    let config = site.load(TLS).expect("right");
    assert!(config.has_tls() && !config.has_users() && !config.is_empty());
    assert!(!web_config::WebConfig::default().is_empty(), "no file is named");
}

#[test]
fn pem_can_be_in_the_file_itself() {
    let site = Site::new();
    let indented = |name: &str| site.read(name).replace('\n', "\n    ");
    let text = format!(
        "tls_server_config:\n  cert: |\n    {}\n  key: |\n    {}\n  client_ca: |\n    {}\n  client_auth_type: RequireAndVerifyClientCert\n",
        indented("cert.pem"),
        indented("key.pem"),
        indented("ca.pem")
    );
    let config = site.load(&text).expect("right");
    assert_eq!(config.files().len(), 1);
    assert!(web_config::Access::new(config).tls().is_some());
}

#[test]
fn a_file_counts_more_than_text_and_that_is_a_warning() {
    let site = Site::new();
    let config = site.load(&format!("{TLS}  key: x\n")).expect("right");
    let warnings: Vec<String> = config.warnings(SystemTime::UNIX_EPOCH).collect();
    assert_eq!(
        warnings,
        ["key has no effect, because key_file is there too", "the certificate is not valid yet"]
    );
}

#[test]
fn what_keeps_no_client_out_is_a_warning() {
    let site = Site::new();
    let warnings = |text: &str| -> Vec<String> {
        site.load(text).expect("right").warnings(SystemTime::now()).collect()
    };
    assert_eq!(
        warnings(&format!("{TLS}  client_auth_type: RequireAnyClientCert\n")),
        ["RequireAnyClientCert keeps no client out; RequireAndVerifyClientCert does"]
    );
    assert_eq!(
        warnings(&format!("basic_auth_users: {{alice: {HASH}}}")),
        ["passwords are sent without encryption; set cert_file and key_file"]
    );
    assert_eq!(
        warnings("tls_server_config: {min_version: TLS13}"),
        ["tls_server_config has no certificate, so connections are not encrypted"]
    );
    assert!(warnings(TLS).is_empty());
}

#[test]
fn keys_of_every_kind_that_openssl_makes_are_read() {
    let site = Site::new();
    // Arguments of `openssl req -newkey`, and whether the key is turned into the older form.
    let kinds = [
        ("rsa:2048", false),
        ("rsa:2048", true),
        ("ec -pkeyopt ec_paramgen_curve:P-256", false),
        ("ec -pkeyopt ec_paramgen_curve:P-256", true),
        ("ec -pkeyopt ec_paramgen_curve:P-384", false),
        ("ed25519", false),
    ];
    for (kind, is_old) in kinds {
        site.openssl(&format!(
            "req -x509 -newkey {kind} -nodes -keyout key.pem -out cert.pem -subj /CN=a -days 1"
        ));
        if is_old {
            let tool = kind.split(':').next().unwrap_or(kind).split(' ').next().unwrap_or(kind);
            let form = if tool == "rsa" { " -traditional" } else { "" };
            site.openssl(&format!("{tool} -in key.pem{form} -out old.pem"));
            std::fs::rename(site.path("old.pem"), site.path("key.pem")).expect("renamed");
            assert!(!site.read("key.pem").contains("BEGIN PRIVATE KEY"), "{kind}");
        }
        site.load(TLS).unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}

#[test]
fn keys_that_are_not_supported_are_refused_by_name() {
    let site = Site::new();
    for kind in ["rsa:1024", "ec -pkeyopt ec_paramgen_curve:P-521"] {
        site.openssl(&format!(
            "req -x509 -newkey {kind} -nodes -keyout key.pem -out cert.pem -subj /CN=a -days 1"
        ));
        let error = site.load(TLS).expect_err(kind).to_string();
        assert!(error.ends_with("key.pem has no key that is supported; make one of RSA with 2048 to 4096 bits, ECDSA with P-256 or P-384, or Ed25519"), "{error}");
    }
}

#[test]
fn the_summary_says_what_is_on_and_no_secret() {
    let site = Site::new();
    let text = format!(
        "{TLS}  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [prometheus]\n\
         http_server_config: {{headers: {{X-Frame-Options: deny}}}}\n\
         basic_auth_users: {{alice: {HASH}, bob: {HASH}}}\nrate_limit: {{interval: 100ms, burst: 20}}\n"
    );
    let config = site.load(&text).expect("right");
    let at = |days: u64| {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(site::NOT_BEFORE + days * 86_400)
    };
    let expected = [
        "TLS: TLS12 and TLS13, with HTTP/2 and HTTP/1.1",
        "certificate: for localhost, 127.0.0.1, from 2025-01-01T00:00:00Z to 2035-01-01T00:00:00Z",
        "client certificates: required, and verified, for prometheus",
        "users: alice, bob",
        "headers: x-frame-options",
        "rate limit: a request every 100ms, 20 at once",
    ];
    assert_eq!(config.summary(at(1)), expected);
    let last = |days| config.summary(at(days)).last().expect("lines").clone();
    // 3652 days are ten years.
    assert_eq!(last(3652 - 31), expected[5]);
    assert_eq!(last(3652 - 29), "warning: the certificate expires in 29 days");
    assert_eq!(last(3653), "warning: the certificate has expired");
    let before = config.summary(SystemTime::UNIX_EPOCH);
    assert_eq!(before.last().expect("lines"), "warning: the certificate is not valid yet");
    assert!(!format!("{config:?}").contains("$2y$"));

    assert_eq!(
        WebConfig::default().summary(at(1)),
        ["TLS: off", "users: none, everyone may read", "headers: none", "rate limit: none"]
    );
}

#[test]
fn the_summary_says_who_may_read_without_users() {
    let site = Site::new();
    for (more, expected) in [
        ("", "users: none, everyone may read"),
        ("  client_auth_type: RequestClientCert\n", "users: none, everyone may read"),
        (
            "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.pem\n",
            "users: none, everyone may read",
        ),
        (
            "  client_auth_type: RequireAnyClientCert\n",
            "users: none, every client with a certificate may read",
        ),
        (
            "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n",
            "users: none, every client with a verified certificate may read",
        ),
    ] {
        let text =
            format!("tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n{more}");
        let config = site.load(&text).expect("it is valid");
        let summary = config.summary(SystemTime::now());
        assert!(summary.iter().any(|line| line == expected), "{summary:?}");
    }
}

#[test]
fn different_costs_of_passwords_get_a_warning() {
    let site = Site::new();
    let warnings = |costs: [u32; 2]| {
        let [a, b] = costs.map(|cost| HASH.replace("$04$", &format!("${cost:02}$")));
        let config = site.load(&format!("basic_auth_users: {{a: '{a}', b: '{b}'}}"));
        let config = config.expect("it is valid");
        config.warnings(SystemTime::now()).collect::<Vec<_>>().join("\n")
    };
    assert!(warnings([10, 4]).contains("bcrypt costs differ, from 4 to 10"));
    assert!(!warnings([4, 4]).contains("cost"));
}

proptest! {
    #[test]
    fn any_bytes_are_accepted_or_refused_in_one_line(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&bytes);
    }

    /// Parts that mean something, in any order.
    #[test]
    fn any_yaml_is_accepted_or_refused_in_one_line(
        parts in prop::collection::vec(prop::sample::select(PARTS), 0..40)
    ) {
        check(parts.concat().as_bytes());
    }
}

const PARTS: &[&str] = &[
    "tls_server_config",
    "cert",
    "key",
    "cert_file",
    "client_ca",
    "cipher_suites",
    "min_version",
    "http_server_config",
    "headers",
    "http2",
    "basic_auth_users",
    "rate_limit",
    "interval",
    "burst",
    ": ",
    ":\n",
    ":\n  ",
    "\n",
    "\n  ",
    "\n  - ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "!!binary ",
    "|\n    ",
    "> ",
    "\"",
    "'",
    "#",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "~",
    "1s",
    "999999999999999999999h",
    "-5",
    "1e400",
    "$2y$10$",
    "\u{1f980}",
    "\0",
    "\r",
    "\t",
    "? ",
    "TLS12",
];

fn check(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("web.yml");
    std::fs::write(&path, bytes).expect("written");
    if let Err(error) = WebConfig::load(&path) {
        let text = error.to_string();
        assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
    }
}
