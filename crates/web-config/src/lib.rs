//! Who may read a page: the web configuration file in the format of Prometheus' exporter-toolkit.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::{HeaderName, HeaderValue};

/// A web configuration that was read and checked, with the files that it names.
#[derive(Debug, Default)]
pub struct WebConfig {
    files: Vec<PathBuf>,
}

/// Why a web configuration is refused: file, line, key, and what would be right, on one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl WebConfig {
    /// Reads a file, and the certificates and keys that it names.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Err(Error(format!("{}: not yet", path.display())))
    }

    /// The file, and the files that it names: those whose change asks for a reload.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

/// Answers who may read, by the newest web configuration. The default configuration lets everyone read.
#[derive(Debug, Default)]
pub struct Access {
    config: Mutex<Arc<WebConfig>>,
}

impl Access {
    /// Begins with this configuration.
    pub fn new(config: WebConfig) -> Arc<Self> {
        Arc::new(Self { config: Mutex::new(Arc::new(config)) })
    }

    /// Replaces the configuration. Passwords that are known to be right stay known if their hash is
    /// still the same. Open connections stay open; each request on them is checked again.
    pub fn change(&self, config: WebConfig) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// The settings of TLS for a new connection; `None` if connections are not encrypted. ALPN offers
    /// `h2` if HTTP/2 is on.
    pub fn tls(&self) -> Option<Arc<rustls::ServerConfig>> {
        None
    }

    /// Whether the certificate that a client shows was verified.
    pub fn verifies_clients(&self) -> bool {
        false
    }

    /// Headers that every response has.
    pub fn headers(&self) -> Arc<[(HeaderName, HeaderValue)]> {
        Arc::new([])
    }

    /// Counts a request against the rate limit.
    ///
    /// # Errors
    ///
    /// The time until the next request is admitted.
    pub fn admit(&self, _now: Instant) -> Result<(), Duration> {
        Ok(())
    }

    /// Compares the header `Authorization` with the users. Never slow: a password that is not known yet
    /// is left to [`PasswordCheck::run`].
    pub fn authenticate(&self, _authorization: Option<&HeaderValue>) -> Authentication {
        Authentication::NotNeeded
    }
}

/// The result of looking at a header `Authorization`.
#[derive(Debug)]
pub enum Authentication {
    /// There are no users: everyone may read.
    NotNeeded,
    /// Name and password are right.
    Accepted,
    /// They are missing, malformed or known to be wrong.
    Refused,
    /// They have to be hashed first.
    Unknown(PasswordCheck),
}

/// A name and a password that have to be hashed.
#[derive(Debug)]
pub struct PasswordCheck;

impl PasswordCheck {
    /// Hashes the password, which takes from milliseconds to seconds of a processor, and remembers the
    /// result. Returns whether name and password are right.
    pub fn run(self) -> bool {
        false
    }
}
