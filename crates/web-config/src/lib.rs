//! Who may read a page: the web configuration file in the format of Prometheus' exporter-toolkit.
//!
//! A file that exporter-toolkit accepts means the same here, with these differences:
//!
//! - exporter-toolkit reads the file again for every request, and certificates for every handshake.
//!   Here the files are read once; the owner watches [`WebConfig::files`], reads them again with
//!   [`WebConfig::load`] when they change, and hands the result to [`Access::change`]. A file that is
//!   refused changes nothing.
//! - What rustls does not have is refused by name: TLS 1.0 and 1.1, CBC suites, RSA key exchange, the
//!   curve P-521, and client certificates of X.509 version 1.
//! - Clients are verified only by the CAs that are named, never by those of the system.
//! - What can let no client in is refused when it is read: a rate limit with a burst of 0, a list of
//!   CAs without a certificate, a minimum version above the maximum, suites that do not fit the key of
//!   the certificate, a user name with a colon.
//! - A bcrypt hash costs at most 2^16 rounds.
//! - Sessions of TLS are not resumed, so that each connection is checked by the newest configuration.
//!
//! - `file`: the keys of the file, and their text; `tls`: certificates, versions, suites; `clients`:
//!   client certificates; `users`: passwords; `limit`: the rate limit; `headers`; `summary`.

#![forbid(unsafe_code)]

mod clients;
mod file;
mod headers;
mod limit;
mod summary;
mod tls;
mod users;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::header::{HeaderName, HeaderValue};

pub use file::read_file;
pub use users::{Authentication, PasswordCheck, PasswordTag};

/// A web configuration that was read and checked, with the files that it names. The default one has
/// neither TLS, users, headers nor a rate limit.
#[derive(Debug, Default)]
pub struct WebConfig {
    files: Vec<PathBuf>,
    is_empty: bool,
    tls: Option<tls::Tls>,
    has_http2: bool,
    headers: Arc<[(HeaderName, HeaderValue)]>,
    users: users::Users,
    limit: Option<limit::RateLimit>,
    warnings: Vec<String>,
}

/// Why a web configuration is refused: file, line, key, and what would be right, on one line.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    text: String,
    files: Vec<PathBuf>,
}

impl Error {
    /// The file, and the files that it names as far as it was understood: those whose change may correct
    /// the mistake.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

impl WebConfig {
    /// Reads a file, and the certificates and keys that it names. Relative paths start at the folder of
    /// the file. No file may be larger than 1 MiB.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let mut files = vec![path.to_owned()];
        let read = file::read_file(path)
            .map_err(|why| format!("cannot read {}: {why}", path.display()))
            .and_then(|bytes| {
                Self::parse(&bytes, path, &mut files).map_err(|mistake| {
                    let file::Mistake { line, key, what } = mistake;
                    format!("{}:{line}: {key}: {what}", path.display())
                })
            });
        match read {
            Ok(config) => Ok(Self { files, ..config }),
            // Names and paths can contain anything.
            Err(text) => Err(Error { text: text.replace(|c: char| c.is_control(), " "), files }),
        }
    }

    fn parse(bytes: &[u8], path: &Path, files: &mut Vec<PathBuf>) -> Result<Self, file::Mistake> {
        let file = file::parse(bytes)?;
        let is_empty = file.is_none();
        let file = file.unwrap_or_default();
        let http = file.http_server_config.unwrap_or_default();
        let mut config = Self {
            is_empty,
            has_http2: file::boolean("http2", http.http2.as_ref(), true)?,
            headers: headers::read(&http.headers.unwrap_or_default())?,
            users: users::Users::read(file.basic_auth_users.unwrap_or_default())?,
            limit: limit::RateLimit::read(&file.rate_limit.unwrap_or_default())?,
            ..Self::default()
        };
        if let Some(section) = &file.tls_server_config {
            let folder = path.parent().unwrap_or(Path::new(""));
            let has_http2 = config.has_http2;
            let warnings = &mut config.warnings;
            config.tls = tls::Reader { section, folder, has_http2, files, warnings }.read()?;
        }
        config.warnings.extend(config.users.cost_warning());
        if config.tls.is_none() && !config.users.is_empty() {
            let warning = "passwords are sent without encryption; set cert_file and key_file";
            config.warnings.push(warning.to_owned());
        }
        Ok(config)
    }

    /// The file, and the files that it names: those whose change asks for a reload.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Whether the file has no text but comments, as while it is written. `{}` is not empty.
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// Whether connections are encrypted.
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether readers need a password.
    pub fn has_users(&self) -> bool {
        !self.users.is_empty()
    }
}

/// How connections are encrypted.
#[derive(Clone, Debug)]
pub struct Encryption {
    /// The settings of TLS. ALPN offers `h2` if HTTP/2 is on.
    pub config: Arc<rustls::ServerConfig>,
    /// Whether the certificate of a client that shows one is signed by a CA of the configuration.
    pub verifies_clients: bool,
}

/// Answers who may read, by the newest web configuration. The default configuration lets everyone read.
#[derive(Debug, Default)]
pub struct Access {
    config: ArcSwap<WebConfig>,
    passwords: Arc<users::Known>,
    /// When the bucket of the rate limit is full again.
    full_at: Mutex<Option<Instant>>,
}

impl Access {
    /// Begins with this configuration.
    pub fn new(config: WebConfig) -> Arc<Self> {
        Arc::new(Self { config: ArcSwap::from_pointee(config), ..Self::default() })
    }

    /// Replaces the configuration. Passwords that are known to be right stay known if their hash is
    /// still the same. Each request on an open connection is checked again; to close such connections is
    /// left to the server.
    pub fn change(&self, config: WebConfig) {
        self.config.store(Arc::new(config));
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<WebConfig> {
        self.config.load_full()
    }

    /// How a new connection is encrypted; `None` if it is not. Each configuration has its own, so a
    /// connection with another one belongs to an older configuration.
    pub fn tls(&self) -> Option<Encryption> {
        self.config.load().tls.as_ref().map(|tls| Encryption {
            config: Arc::clone(&tls.config),
            verifies_clients: tls.clients.verifies,
        })
    }

    /// Headers that every response has.
    pub fn headers(&self) -> Arc<[(HeaderName, HeaderValue)]> {
        Arc::clone(&self.config.load().headers)
    }

    /// Counts a request against the rate limit.
    ///
    /// # Errors
    ///
    /// The time until the next request is admitted.
    pub fn admit(&self, now: Instant) -> Result<(), Duration> {
        let Some(limit) = self.config.load().limit else { return Ok(()) };
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        limit.admit(&mut full_at, now)
    }

    /// Compares the header `Authorization` with the users. Never slow: a password that is not known yet
    /// is left to [`PasswordCheck::run`].
    pub fn authenticate(&self, authorization: Option<&HeaderValue>) -> Authentication {
        self.config.load().users.authenticate(authorization, &self.passwords)
    }
}
