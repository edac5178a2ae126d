//! Passwords, headers and the rate limit, as a server uses them.

mod site;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use site::Site;
use web_config::{Access, Authentication};

/// Hashes by crypt(3) of libxcrypt: of `secret`, of 80 letters x, and of nothing.
const SECRET: &str = "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";
const LONG: &str = "$2b$05$abcdefghijklmnopqrstuujf8SX2ahXLwp9w/B.Y5XdysS6yR576q";
const EMPTY: &str = "$2b$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq";

fn users(lines: &[(&str, &str)]) -> String {
    let lines = lines.iter().map(|(name, hash)| format!("  '{name}': {hash}\n"));
    format!("basic_auth_users:\n{}", lines.collect::<String>())
}

fn access(text: &str) -> Arc<Access> {
    Access::new(Site::new().load(text).unwrap_or_else(|error| panic!("{error}")))
}

fn basic(credentials: impl AsRef<[u8]>) -> HeaderValue {
    let text = format!("Basic {}", STANDARD.encode(credentials));
    HeaderValue::from_str(&text).expect("base64")
}

/// Looks once, and hashes if that is needed: whether it is right, and whether it was hashed.
fn ask(access: &Access, header: &HeaderValue) -> (bool, bool) {
    match access.authenticate(Some(header)) {
        Authentication::Accepted => (true, false),
        Authentication::Refused => (false, false),
        Authentication::Unknown(check) => (check.run(), true),
        Authentication::NotNeeded => panic!("there are users"),
    }
}

#[test]
fn without_users_everyone_may_read() {
    for text in ["", "basic_auth_users: {}"] {
        let answer = access(text).authenticate(Some(&basic("alice:secret")));
        assert!(matches!(answer, Authentication::NotNeeded), "{answer:?}");
    }
    assert!(matches!(Access::default().authenticate(None), Authentication::NotNeeded));
}

#[test]
fn a_password_is_hashed_once_whether_right_or_wrong() {
    let access = access(&users(&[("alice", SECRET)]));
    for (credentials, is_right) in [
        ("alice:secret", true),
        ("alice:Secret", false),
        ("alice:", false),
        ("alice:secret ", false),
        ("Alice:secret", false),
        (":secret", false),
        ("bob:secret", false),
    ] {
        let header = basic(credentials);
        assert_eq!(ask(&access, &header), (is_right, true), "{credentials}");
        assert_eq!(ask(&access, &header), (is_right, false), "{credentials}");
    }
}

#[test]
fn names_and_passwords_of_any_form_are_compared_as_bytes() {
    let hash = |password: &[u8]| bcrypt::hash(password, 4).expect("a hash");
    let with_nul = hash(b"a\0b");
    let with_colon = hash(b"a:b");
    let not_utf8 = hash(b"\xff\xfe");
    let access = access(&users(&[
        ("", EMPTY),
        ("long", LONG),
        ("nul", &with_nul),
        ("colon", &with_colon),
        ("bytes", &not_utf8),
        ("\u{fc}", SECRET),
    ]));
    let long = |length: usize| [b"long:", "x".repeat(length).as_bytes()].concat();
    // bcrypt has no more than 72 bytes; exporter-toolkit cuts a password there too.
    let cases: &[(&[u8], bool)] = &[
        (b":", true),
        (b":x", false),
        (&long(80), true),
        (&long(72), true),
        (&long(71), false),
        (&long(5000), true),
        (b"nul:a\0b", true),
        (b"nul:a", false),
        (b"colon:a:b", true),
        (b"colon:a", false),
        (b"bytes:\xff\xfe", true),
        ("\u{fc}:secret".as_bytes(), true),
        (b"\xfc:secret", false),
    ];
    for (credentials, is_right) in cases {
        assert_eq!(ask(&access, &basic(credentials)).0, *is_right, "{credentials:?}");
    }
}

#[test]
fn a_malformed_header_is_refused_without_hashing() {
    let access = access(&users(&[("alice", SECRET)]));
    let encoded = STANDARD.encode("alice:secret");
    let unpadded = STANDARD.encode("alice:secrets");
    let unpadded = unpadded.trim_end_matches('=');
    for text in [
        String::new(),
        "Basic".to_owned(),
        "Basic ".to_owned(),
        format!("Bearer {encoded}"),
        format!("Basic{encoded}"),
        format!("Basic  {encoded}"),
        format!("Basic {encoded} "),
        format!("Basic {unpadded}"),
        format!("Basic {}", STANDARD.encode("alice")),
        "Basic !!!!".to_owned(),
        "alice:secret".to_owned(),
    ] {
        let answer = access.authenticate(Some(&HeaderValue::from_str(&text).expect("a header")));
        assert!(matches!(answer, Authentication::Refused), "{text}: {answer:?}");
    }
    assert!(matches!(access.authenticate(None), Authentication::Refused));
    let lower = HeaderValue::from_str(&format!("bAsIc {encoded}")).expect("a header");
    assert_eq!(ask(&access, &lower), (true, true));
}

#[test]
fn wrong_passwords_never_make_a_right_one_unknown() {
    let access = access(&users(&[("alice", SECRET)]));
    let right = basic("alice:secret");
    assert_eq!(ask(&access, &right), (true, true));
    let first = basic("alice:0");
    for number in 0..1100 {
        assert_eq!(ask(&access, &basic(format!("alice:{number}"))), (false, true));
    }
    assert_eq!(ask(&access, &right), (true, false));
    // The first is forgotten, so that memory is bounded.
    assert_eq!(ask(&access, &first), (false, true));
    assert_eq!(ask(&access, &basic("alice:1099")), (false, false));
}

#[test]
fn a_change_keeps_known_passwords_whose_hash_is_the_same() {
    let site = Site::new();
    let load = |lines: &[_]| site.load(&users(lines)).expect("right");
    let access = Access::new(load(&[("alice", SECRET)]));
    let right = basic("alice:secret");
    assert_eq!(ask(&access, &right), (true, true));
    access.change(load(&[("bob", LONG), ("alice", SECRET)]));
    assert_eq!(ask(&access, &right), (true, false));
    // A new hash of the same password has to be compared.
    let again = bcrypt::hash("secret", 4).expect("a hash");
    access.change(load(&[("alice", &again)]));
    assert_eq!(ask(&access, &right), (true, true));
    access.change(load(&[("alice", LONG)]));
    assert_eq!(ask(&access, &right), (false, true));
    access.change(load(&[("bob", SECRET)]));
    assert_eq!(ask(&access, &right), (false, true));
    access.change(load(&[("alice", SECRET)]));
    assert_eq!(ask(&access, &right), (true, false));
}

#[test]
fn a_check_that_waits_uses_what_another_has_found_out() {
    let access = access(&users(&[("alice", SECRET)]));
    let unknown = |password: &str| match access.authenticate(Some(&basic(password))) {
        Authentication::Unknown(check) => check,
        other => panic!("{other:?}"),
    };
    for (credentials, is_right) in [("alice:secret", true), ("alice:x", false)] {
        let checks: Vec<_> = (0..50).map(|_| unknown(credentials)).collect();
        assert!(checks.into_iter().all(|check| check.run() == is_right));
    }
}

#[test]
fn a_check_can_be_sent_to_another_thread_and_prints_no_password() {
    let access = access(&users(&[("alice", SECRET)]));
    let answer = access.authenticate(Some(&basic("alice:secret")));
    let printed = format!("{answer:?} {access:?}");
    assert!(!printed.contains("secret") && !printed.contains("$2y$"), "{printed}");
    let Authentication::Unknown(check) = answer else { panic!("{printed}") };
    assert!(thread::scope(|scope| scope.spawn(|| check.run()).join().expect("it ends")));
}

#[test]
fn requests_are_admitted_at_the_rate_after_a_burst() {
    let access = access("rate_limit: {interval: 1s, burst: 3}");
    let begin = Instant::now();
    let at = |millis| access.admit(begin + Duration::from_millis(millis));
    let wait = |millis| Err(Duration::from_millis(millis));
    assert_eq!([at(0), at(0), at(0)], [Ok(()); 3]);
    assert_eq!(at(0), wait(1000));
    assert_eq!(at(400), wait(600));
    assert_eq!([at(1000), at(1000)], [Ok(()), wait(1000)]);
    // A refused request takes nothing.
    assert_eq!([at(2000), at(2000)], [Ok(()), wait(1000)]);
    // The bucket holds no more than the burst.
    assert_eq!([at(60_000), at(60_000), at(60_000)], [Ok(()); 3]);
    assert_eq!(at(60_000), wait(1000));
    // An earlier time does no harm.
    assert_eq!(at(59_000), wait(1000));
}

#[test]
fn without_a_rate_limit_every_request_is_admitted() {
    for text in ["", "rate_limit: {interval: 0s, burst: 1}", "rate_limit: {burst: 1}"] {
        let access = access(text);
        let now = Instant::now();
        assert!((0..1000).all(|_| access.admit(now).is_ok()), "{text}");
    }
}

#[test]
fn a_change_of_the_rate_limit_counts_for_what_came_before() {
    let site = Site::new();
    let load = |text: &str| site.load(text).expect("right");
    let access = Access::new(load("rate_limit: {interval: 1h, burst: 2}"));
    let now = Instant::now();
    assert!(access.admit(now).is_ok() && access.admit(now).is_ok());
    // The same limit stays as it is.
    access.change(load("rate_limit: {interval: 1h, burst: 2}"));
    assert_eq!(access.admit(now), Err(Duration::from_secs(3600)));
    // A shorter interval is not waited out for the longer one.
    access.change(load("rate_limit: {interval: 1s, burst: 2}"));
    assert_eq!(access.admit(now), Err(Duration::from_secs(1)));
    access.change(load(""));
    assert_eq!(access.admit(now), Ok(()));
}

#[test]
fn headers_are_those_of_the_file_without_blank_ones() {
    let access = access(
        "http_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n    X-XSS-Protection: ''\n    Content-Security-Policy: |\n      default-src 'self'\n    Strict-Transport-Security: \"max-age=1; \u{fc}\"\n",
    );
    let headers = access.headers();
    let headers: Vec<(&str, &[u8])> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let expected: &[(&str, &[u8])] = &[
        ("content-security-policy", b"default-src 'self'"),
        ("strict-transport-security", "max-age=1; \u{fc}".as_bytes()),
        ("x-frame-options", b"sameorigin"),
    ];
    assert_eq!(headers, expected);
    assert!(Access::default().headers().is_empty());
}

#[test]
fn requests_during_changes_see_one_configuration_or_the_other() {
    let site = Site::new();
    let tls = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";
    let [one, two] = [("alice", tls), ("bob", "")].map(|(name, tls)| {
        format!("{}{tls}rate_limit: {{interval: 1us, burst: 1000000}}\n", users(&[(name, SECRET)]))
    });
    let access = Access::new(site.load(&one).expect("right"));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let headers = [basic("alice:secret"), basic("bob:secret"), basic("bob:x")];
                while !is_over.load(Ordering::Relaxed) {
                    for header in &headers {
                        ask(&access, header);
                    }
                    assert!(access.admit(Instant::now()).is_ok());
                    access.tls();
                }
            });
        }
        for _ in 0..30 {
            access.change(site.load(&two).expect("right"));
            access.change(site.load(&one).expect("right"));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(ask(&access, &basic("alice:secret")).0);
    assert!(access.tls().is_some());
}
