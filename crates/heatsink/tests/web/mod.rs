//! What tests of `--web-config-file` need: authorities and certificates, hashes of passwords, and a client
//! that speaks TLS.

#![allow(dead_code, reason = "each test file uses its own part of it")]

pub(crate) mod load;

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use testkit::pauses::Stopwatch;

/// Held by tests that use all cores, so that none of them takes what another one measures.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `htpasswd -nbBC 5 "" right`
pub(crate) const RIGHT: &str = "$2y$05$ga5pQmEMjDKeXOgyTq6o4.oeSq73KgKV2hJnObScFLBw4DamfDcc2";

/// `htpasswd -nbBC 10 "" right`: takes long, as real hashes do.
pub(crate) const RIGHT_SLOWLY: &str =
    "$2y$10$CbauWpm4duCo4ZDKfrhqd.ZHHhV/syhWn.30moEoHCLOycqCGM4fe";

/// `Authorization` of user `reader` with the password `right`.
pub(crate) const AUTHORIZED: &str = "Authorization: Basic cmVhZGVyOnJpZ2h0\r\n";

/// An authority that signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub(crate) pem: String,
}

/// How a certificate differs from a good one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    Expired,
    /// For the other side of a connection.
    WrongUse,
}

/// Who shows a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

/// Names of a client in its certificate, one of each kind.
pub(crate) fn client_names() -> Vec<SanType> {
    let text = |text| Ia5String::try_from(text).expect("ASCII");
    vec![
        SanType::DnsName(text("prometheus.example")),
        SanType::Rfc822Name(text("ops@example.com")),
        SanType::URI(text("spiffe://cluster/prometheus")),
        SanType::IpAddress([10, 1, 2, 3].into()),
    ]
}

/// Names of a server on this machine.
pub(crate) fn server_names() -> Vec<SanType> {
    let name = Ia5String::try_from("localhost").expect("ASCII");
    vec![SanType::DnsName(name), SanType::IpAddress([127, 0, 0, 1].into())]
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for `key`.
    pub(crate) fn sign(
        &self,
        side: Side,
        names: Vec<SanType>,
        flaw: Flaw,
        key: &KeyPair,
    ) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "a test");
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let for_server = (side == Side::Server) != (flaw == Flaw::WrongUse);
        params.extended_key_usages = vec![match for_server {
            true => ExtendedKeyUsagePurpose::ServerAuth,
            false => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        if flaw == Flaw::Expired {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        params.signed_by(key, &self.issuer).expect("a certificate").pem()
    }

    /// Writes `NAME.pem` and `NAME.key` into a folder: a certificate and its new key.
    pub(crate) fn write(&self, folder: &Path, name: &str, side: Side, flaw: Flaw) {
        let key = KeyPair::generate().expect("a key");
        self.write_for(folder, name, side, flaw, &key);
    }

    /// The same with an RSA key, which the program `openssl` makes.
    pub(crate) fn write_rsa(&self, folder: &Path, name: &str, side: Side) {
        let made =
            Command::new("openssl").args(["genpkey", "-quiet", "-algorithm", "RSA"]).output();
        let made = match made {
            Ok(output) if output.status.success() => output,
            _ => Command::new("openssl")
                .args(["genpkey", "-algorithm", "RSA"])
                .output()
                .expect("`cargo xtask test` installs Debian's package openssl"),
        };
        let pem = String::from_utf8(made.stdout).expect("PEM");
        let key = KeyPair::from_pem(&pem).expect("a key of openssl's");
        self.write_for(folder, name, side, Flaw::None, &key);
    }

    fn write_for(&self, folder: &Path, name: &str, side: Side, flaw: Flaw, key: &KeyPair) {
        let names = if side == Side::Server { server_names() } else { client_names() };
        put(folder, &format!("{name}.pem"), &self.sign(side, names, flaw, key));
        put(folder, &format!("{name}.key"), &key.serialize_pem());
    }
}

/// Writes a file into a folder.
pub(crate) fn put(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).expect("the temporary folder can be written");
}

/// How to connect: which authority is trusted, and the certificate to show, if any.
#[derive(Clone)]
pub(crate) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Trusts the authorities of this PEM. `shown` is a certificate and its key.
    pub(crate) fn new(authorities: &str, shown: Option<(&str, &str)>) -> Self {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
            roots.add(root.expect("a certificate")).expect("an authority");
        }
        let config = ClientConfig::builder().with_root_certificates(roots);
        let config = match shown {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
                let chain = vec![certificate.expect("a certificate")];
                config.with_client_auth_cert(chain, key).expect("the key of the certificate")
            }
        };
        Self(Arc::new(config))
    }

    /// The same, but no session is resumed: each connection has a whole handshake.
    pub(crate) fn without_resumption(&self) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.resumption = rustls::client::Resumption::disabled();
        Self(Arc::new(config))
    }

    /// Connects to `127.0.0.1:PORT`; fails after `patience` without an answer.
    pub(crate) fn connect(&self, address: &str, patience: Duration) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let name = ServerName::try_from("localhost").expect("a name");
        let tls = ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        Ok(Connection { stream: StreamOwned::new(tls, stream), buffer: Vec::new() })
    }
}

/// An encrypted connection.
pub(crate) struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Sends one request for the page with these header lines, and returns the status and the body.
    pub(crate) fn scrape(&mut self, headers: &str) -> io::Result<(u16, Vec<u8>)> {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        self.stream.write_all(request.as_bytes())?;
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some((head, end)) = whole(&self.buffer) {
                let status = std::str::from_utf8(&self.buffer[9..12]).unwrap_or_default();
                let status = status.parse().map_err(io::Error::other)?;
                let rest = self.buffer.split_off(end);
                let mut answer = std::mem::replace(&mut self.buffer, rest);
                return Ok((status, answer.split_off(head)));
            }
            let read = self.stream.read(&mut chunk)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.extend_from_slice(&chunk[..read]);
        }
    }
}

/// Where the head of a response ends, and where its body, if all of it is there.
fn whole(answer: &[u8]) -> Option<(usize, usize)> {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&answer[..head]).to_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    (answer.len() >= head + length).then_some((head, head + length))
}

/// Waits until this is so.
///
/// # Panics
///
/// When it is not within `patience`.
pub(crate) fn until(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) {
    let limit = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < limit, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Anonymous resident memory of a process, in bytes: what its container is charged for.
pub(crate) fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()).expect("Linux has it");
    kibibytes.parse::<f64>().expect("a number") * 1024.0
}

/// Does something, and returns how long that took: without pauses of the machine, or without the time in which this
/// thread or the server's waited for a core, whichever is less. On one machine, clients take what the server
/// needs.
pub(crate) fn timed<T>(server: u32, action: impl FnOnce() -> T) -> (T, Duration) {
    let waited = || {
        let server = processor(&format!("/proc/{server}/task/{server}/schedstat")).1;
        server + processor("/proc/thread-self/schedstat").1
    };
    let (watch, began, before) = (Stopwatch::start(), Instant::now(), waited());
    let result = action();
    let with_a_core = began.elapsed().saturating_sub(waited().saturating_sub(before));
    (result, watch.elapsed().min(with_a_core))
}

/// How long a thread has had a core, and has waited for one.
pub(crate) fn processor(schedstat: &str) -> (Duration, Duration) {
    let text = fs::read_to_string(schedstat).expect("it runs");
    let mut nanos = text.split(' ').filter_map(|word| word.trim().parse().ok());
    let mut time = || Duration::from_nanos(nanos.next().unwrap_or(0));
    (time(), time())
}

/// Asks for the page as Prometheus does: once more on a new connection if the old one was closed.
pub(crate) struct Scraper {
    trust: Trust,
    address: String,
    connection: Option<Connection>,
    /// How many connections it has opened.
    pub(crate) opened: u32,
    /// The last page.
    pub(crate) page: Vec<u8>,
}

/// How long a scraper waits for an answer: longer than a test allows.
const PATIENCE: Duration = Duration::from_secs(60);

impl Scraper {
    pub(crate) fn new(trust: &Trust, address: &str) -> Self {
        let (trust, address) = (trust.clone(), address.to_owned());
        Self { trust, address, connection: None, opened: 0, page: Vec::new() }
    }

    /// Trusts others from now on, for new connections.
    pub(crate) fn trust(&mut self, trust: &Trust) {
        self.trust = trust.clone();
    }

    /// Closes its connection.
    pub(crate) fn close(&mut self) {
        self.connection = None;
    }

    /// Scrapes until the page has GPUs. After the start, it may have none yet.
    ///
    /// # Panics
    ///
    /// Without an answer of status 200.
    pub(crate) fn wait_for_gpus(&mut self) {
        until("the page has GPUs", PATIENCE, || {
            self.ask();
            self.has_gpus()
        });
    }

    /// One scrape.
    ///
    /// # Panics
    ///
    /// Without an answer of status 200 with a page.
    pub(crate) fn scrape(&mut self) {
        self.ask();
        assert!(self.has_gpus(), "{}", String::from_utf8_lossy(&self.page));
    }

    /// Whether the last page has GPUs. One that is late, as on a busy machine, has no readings.
    fn has_gpus(&self) -> bool {
        String::from_utf8_lossy(&self.page).contains("\nheatsink_gpu_up{")
    }

    fn ask(&mut self) {
        if let Some(connection) = &mut self.connection
            && let Ok((status, page)) = connection.scrape(AUTHORIZED)
        {
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&page));
            self.page = page;
            return;
        }
        let began = Instant::now();
        self.opened += 1;
        let connected = self.trust.connect(&self.address, PATIENCE);
        let mut connection = connected.unwrap_or_else(|error| panic!("no connection: {error}"));
        let answer = connection.scrape(AUTHORIZED);
        let (status, page) = answer.unwrap_or_else(|error| {
            panic!("no answer on a new connection after {:?}: {error}", began.elapsed())
        });
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&page));
        (self.page, self.connection) = (page, Some(connection));
    }
}

/// A folder with an authority, a certificate of the server and a web configuration with TLS and the user
/// `reader`, whose password has this hash. Returns how to connect.
pub(crate) fn with_password(folder: &Path, hash: &str) -> Trust {
    let authority = Authority::new("servers");
    authority.write(folder, "server", Side::Server, Flaw::None);
    put(
        folder,
        "web.yml",
        &format!(
            "tls_server_config: {{cert_file: server.pem, key_file: server.key}}\n\
             basic_auth_users: {{reader: {hash}}}\n"
        ),
    );
    Trust::new(&authority.pem, None).without_resumption()
}
