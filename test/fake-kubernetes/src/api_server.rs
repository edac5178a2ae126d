//! A Kubernetes API server with faults on command.
//!
//! It serves lists and watches of pods and resource slices, and single ConfigMaps, over TLS, from objects
//! that a test sets. A
//! thread of its own answers, so that tests need no runtime. It writes `ca.crt` and `token` into a
//! folder as Kubernetes mounts them for a service account.
//!
//! Field selectors, `resourceVersion`, `timeoutSeconds` and bookmarks work as in Kubernetes. Pages
//! (`limit`) and label selectors are not implemented: all objects are in one answer.
//!
//! | fault | a list | a watch |
//! |---|---|---|
//! | [`Fault::Status`] | is answered with this code; 429 as plain text with `Retry-After` | likewise |
//! | [`Fault::Slow`] | is answered after this time | likewise |
//! | [`Fault::Hang`] | is not answered until the fault is healed | likewise |
//! | [`Fault::Garbage`] | is answered with 200 and HTML | likewise |
//! | [`Fault::Gone`] | - | ends with an event of 410 |
//! | [`Fault::Silent`] | - | is answered, but has no events and no end |
//! | [`Fault::Disconnect`] | breaks in the middle | breaks in the middle of the next object |
//!
//! | call | what happens |
//! |---|---|
//! | [`ApiServer::expire_token`] | the token is rejected with 401, and the file keeps it |
//! | [`ApiServer::rotate_token`] | the same, but the file has a new token, which is accepted |
//! | [`ApiServer::compact`] | the history is forgotten: older watches end with an event of 410 |
//! | [`ApiServer::end_watches`] | all watches end as if their time were over |
//! | [`ApiServer::send_bookmarks`] | all watches that asked for bookmarks get one |
//! | [`ApiServer::set_dra_versions`] | other versions of `resource.k8s.io` answer 404 |

mod serve;
mod store;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

use self::store::{Lasts, Store};

/// How long a test waits for something. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// A list, a watch, a look at one object, or a new object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// A list.
    List,
    /// A watch.
    Watch,
    /// One object by its name.
    Get,
    /// A new object.
    Create,
}

/// What goes wrong. The table is at the top of this file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// An answer with an error.
    Status {
        /// 401, 403, 410, 500, ...
        code: u16,
        /// The seconds of `Retry-After`, of 429.
        retry_after: Option<u32>,
    },
    /// The answer comes late.
    Slow(Duration),
    /// The answer does not come until the fault is healed.
    Hang,
    /// The answer is no JSON.
    Garbage,
    /// The version to go on from is too old.
    Gone,
    /// Nothing is sent, as on a connection that is dead.
    Silent,
    /// The connection breaks in the middle of an object.
    Disconnect,
}

/// A request that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// `/api/v1/pods`.
    pub path: String,
    /// `pods`, `resourceslices`, `configmaps` or `events`.
    pub resource: String,
    /// What is done.
    pub verb: Verb,
    /// The parameters.
    pub query: BTreeMap<String, String>,
    /// The bearer token.
    pub token: Option<String>,
}

impl Request {
    /// The field selector, which may be empty.
    pub fn selector(&self) -> &str {
        self.query.get("fieldSelector").map_or("", String::as_str)
    }
}

/// A running API server. Ends when dropped.
pub struct ApiServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    folder: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    store: Mutex<Store>,
    /// Told of each change.
    changed: watch::Sender<()>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.send_modify(|_| {});
        result
    }
}

impl ApiServer {
    /// Starts it on a free port of this machine. `folder` gets `ca.crt` and `token`.
    ///
    /// # Panics
    ///
    /// If there is no port, no thread, or no such folder.
    pub fn start(folder: &Path) -> Self {
        Self::start_at(folder, "127.0.0.1:0".parse().expect("an address"))
    }

    /// Starts it at this address.
    ///
    /// # Panics
    ///
    /// If the address is taken, or there is no thread or no such folder.
    pub fn start_at(folder: &Path, address: SocketAddr) -> Self {
        let tls = certificate(folder);
        let shared = Arc::new(Shared {
            store: Mutex::new(Store::new("token-1".into())),
            changed: watch::Sender::new(()),
        });
        fs::write(folder.join("token"), "token-1").expect("the token can be written");
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let served = Arc::clone(&shared);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = TcpListener::bind(address).await.expect("the address is free");
                tell.send(listener.local_addr().expect("an address")).expect("the test waits");
                serve::accept(listener, tls, served, stopped).await;
            });
        };
        let thread = thread::Builder::new().name("api-server".into()).spawn(run);
        Self {
            shared,
            address: told.recv().expect("it has started"),
            folder: folder.to_owned(),
            stop: Some(stop),
            thread: Some(thread.expect("a thread")),
        }
    }

    /// `https://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder with `ca.crt` and `token`.
    pub fn service_account(&self) -> &Path {
        &self.folder
    }

    /// The objects of a resource, by namespace and name.
    pub fn objects(&self, resource: &str) -> Vec<Value> {
        self.shared.lock().list(resource, "")
    }

    /// Adds an object, or replaces the one of this name.
    pub fn set(&self, resource: &str, object: Value) {
        self.shared.change(|store| store.set(resource, object));
    }

    /// Removes an object.
    ///
    /// # Panics
    ///
    /// If there is no such object.
    pub fn remove(&self, resource: &str, namespace: &str, name: &str) {
        let is_removed = self.shared.change(|store| store.remove(resource, namespace, name));
        assert!(is_removed, "no {resource} {namespace}/{name}");
    }

    /// Makes all requests of this kind fail until [`Self::heal`]. The resource `*` is every one.
    pub fn inject(&self, resource: &str, verb: Verb, fault: Fault) {
        self.shared.change(|store| store.inject(resource, verb, fault, Lasts::UntilHealed));
    }

    /// Makes the next request of this kind fail.
    pub fn inject_once(&self, resource: &str, verb: Verb, fault: Fault) {
        self.shared.change(|store| store.inject(resource, verb, fault, Lasts::Once));
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.shared.change(Store::heal);
    }

    /// Rejects the token from now on.
    pub fn expire_token(&self) {
        self.shared.change(|store| {
            let number: u32 = store.token.trim_start_matches("token-").parse().unwrap_or(0);
            store.token = format!("token-{}", number + 1);
        });
    }

    /// Rejects the token from now on, and writes a new one to the file.
    ///
    /// # Panics
    ///
    /// If the file cannot be written.
    pub fn rotate_token(&self) {
        self.expire_token();
        let token = self.shared.lock().token.clone();
        fs::write(self.folder.join("token"), token).expect("the token can be written");
    }

    /// Forgets the history of all objects.
    pub fn compact(&self) {
        self.shared.change(Store::compact);
    }

    /// Ends all watches.
    pub fn end_watches(&self) {
        self.shared.change(|store| store.ends += 1);
    }

    /// Sends a bookmark to all watches that asked for bookmarks.
    pub fn send_bookmarks(&self) {
        self.shared.change(|store| store.bookmarks += 1);
    }

    /// Says which versions of `resource.k8s.io` there are: at first, only `v1`.
    pub fn set_dra_versions(&self, versions: &[&str]) {
        let versions = versions.iter().map(|&version| version.to_owned()).collect();
        self.shared.change(|store| store.dra_versions = versions);
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// The number of watches that are open.
    pub fn open_watches(&self) -> usize {
        self.shared.lock().open_watches
    }

    /// Waits until a condition holds.
    ///
    /// # Panics
    ///
    /// If it does not for half a minute.
    pub fn wait_until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let begin = Instant::now();
        while !is_so(self) {
            assert!(begin.elapsed() < PATIENCE, "not {what}; the last requests: {}", self.last());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl ApiServer {
    fn last(&self) -> String {
        let requests = self.requests();
        let last = requests.iter().rev().take(10).map(|request| format!("{request:?}"));
        last.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed, and a second one would end the test's process.
            let _ = thread.join();
        }
    }
}

/// Makes a certificate, and writes it as `ca.crt`.
fn certificate(folder: &Path) -> TlsAcceptor {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(names).expect("a certificate");
    fs::write(folder.join("ca.crt"), cert.pem()).expect("ca.crt can be written");
    let key = PrivateKeyDer::Pkcs8(KeyPair::serialize_der(&signing_key).into());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("the certificate and its key");
    TlsAcceptor::from(Arc::new(config))
}
