//! A configuration in a few lines, for people.

use std::time::{Duration, SystemTime};

use crate::WebConfig;
use crate::tls::Tls;

/// Certificates that expire sooner get a warning.
const EXPIRES_SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl WebConfig {
    /// What is on, a line each, then the warnings. Passwords and keys are not in it.
    pub fn summary(&self, now: SystemTime) -> Vec<String> {
        let mut lines = match &self.tls {
            None => vec!["TLS: off".to_owned()],
            Some(tls) => self.tls_lines(tls),
        };
        let names: Vec<&str> = self.users.names().collect();
        let clients = self.tls.as_ref().map(|tls| tls.clients).unwrap_or_default();
        let none = match (clients.requires, clients.verifies) {
            (false, _) => "none, everyone may read",
            (true, false) => "none, every client with a certificate may read",
            (true, true) => "none, every client with a verified certificate may read",
        };
        lines.push(format!("users: {}", list(&names, none)));
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        lines.push(format!("headers: {}", list(&headers, "none")));
        lines.push(match self.limit {
            None => "rate limit: none".to_owned(),
            Some(limit) => {
                format!("rate limit: a request every {:?}, {} at once", limit.interval, limit.burst)
            }
        });
        lines.extend(self.warnings(now).map(|warning| format!("warning: {warning}")));
        lines
    }

    /// What is accepted but is probably a mistake, and that the certificate expires within 30 days, is not
    /// valid yet or not any more: a sentence each.
    pub fn warnings(&self, now: SystemTime) -> impl Iterator<Item = String> {
        let expiry = self.tls.as_ref().and_then(|tls| expiry_warning(tls, now));
        self.warnings.iter().cloned().chain(expiry)
    }

    fn tls_lines(&self, tls: &Tls) -> Vec<String> {
        let http2 = if self.has_http2 { "HTTP/2 and HTTP/1.1" } else { "HTTP/1.1" };
        let names: Vec<&str> = tls.names.iter().map(String::as_str).collect();
        let clients = match (tls.clients.asks, tls.clients.requires, tls.clients.verifies) {
            (false, ..) => "not asked for",
            (_, true, true) => "required, and verified",
            (_, true, false) => "required, not verified",
            (_, false, true) => "verified if a client has one",
            (_, false, false) => "asked for, not verified",
        };
        let allowed = match tls.allowed_names.as_slice() {
            [] => String::new(),
            names => format!(", for {}", names.join(" or ")),
        };
        vec![
            format!("TLS: {}, with {http2}", tls.versions.join(" and ")),
            format!(
                "certificate: for {}, from {} to {}",
                list(&names, "no name"),
                tls.validity.not_before,
                tls.validity.not_after
            ),
            format!("client certificates: {clients}{allowed}"),
        ]
    }
}

fn list(names: &[&str], none: &str) -> String {
    if names.is_empty() { none.to_owned() } else { names.join(", ") }
}

/// That the certificate is not valid now, or not for long.
fn expiry_warning(tls: &Tls, now: SystemTime) -> Option<String> {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let begin = tls.validity.not_before.to_unix_duration();
    let end = tls.validity.not_after.to_unix_duration();
    if now < begin {
        return Some("the certificate is not valid yet".to_owned());
    }
    match end.checked_sub(now) {
        None => Some("the certificate has expired".to_owned()),
        Some(left) if left < EXPIRES_SOON => {
            Some(format!("the certificate expires in {} days", left.as_secs() / 86_400))
        }
        Some(_) => None,
    }
}
