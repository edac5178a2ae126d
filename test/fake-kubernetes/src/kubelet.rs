//! A kubelet: its pod resources API, by real gRPC on a Unix socket, with faults on command.
//!
//! | what goes wrong | how |
//! |---|---|
//! | no answer, ever | [`Fault::Hang`] |
//! | an answer that comes late | [`Fault::Delay`] |
//! | a call that this kubelet does not have | [`Fault::Unimplemented`] |
//! | a call that it has no time for | [`Fault::ResourceExhausted`], and its own limit: 100 requests a second, 10 at once |
//! | a call that it refuses | [`Fault::PermissionDenied`] |
//! | a call that fails inside | [`Fault::Internal`] |
//! | no socket | [`FakeKubelet::vanish`] |
//! | a socket without a server, as after a crash | [`FakeKubelet::die`] |
//! | it is there again, with a new socket | [`FakeKubelet::come_back`] |
//! | a new socket, while the server of the old one goes on answering what it knew | [`FakeKubelet::restart_beside_old`] |
//! | 10,000 pods | [`Reply::of_pods`] |
//! | a reply of about 16 MiB, or a larger one | [`Reply::of_bytes`] |
//! | ids that mean nothing, names that are not UTF-8 | [`Container::device`] takes any bytes |
//! | a reply that is not a message | [`Reply::raw_pod`] |
//!
//! Faults of the two calls are set separately. As with the real kubelet, a reply has no UIDs, and each
//! device has an entry of its own, with its NUMA node. Before Kubernetes 1.34, pods that have ended are
//! still listed: a test decides itself which pods a reply has.

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod api;
mod counts;
mod fault;
mod reply;
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::counts::Counts;
pub use self::fault::{Call, Fault};
pub use self::reply::{Claim, Container, Pod, Reply, gpu_uuid};
pub use self::server::REQUESTS_PER_SECOND;
use self::server::Server;

/// A kubelet. It ends when it is dropped.
pub struct FakeKubelet {
    socket: PathBuf,
    counts: Arc<Counts>,
    server: Option<Server>,
    /// They have no socket file any more.
    old: Vec<Server>,
    reply: Reply,
}

impl FakeKubelet {
    /// A kubelet that listens on this socket and has no pods.
    ///
    /// # Panics
    ///
    /// When it cannot listen there.
    pub fn start(socket: impl Into<PathBuf>) -> Self {
        let (socket, counts) = (socket.into(), Arc::default());
        let mut kubelet =
            Self { socket, counts, server: None, old: Vec::new(), reply: Reply::new() };
        kubelet.come_back();
        kubelet
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Sets what is replied from now on.
    pub fn set(&mut self, reply: Reply) {
        self.reply = reply;
        if let Some(server) = &self.server {
            server.set(&self.reply);
        }
    }

    /// Sets how a call is answered from now on. A kubelet that comes back or restarts has no faults.
    pub fn set_fault(&self, call: Call, fault: Fault) {
        if let Some(server) = &self.server {
            server.set_fault(call, fault);
        }
    }

    /// Sets how many requests are admitted each second from now on, after those that are admitted at once.
    /// One that comes back or restarts admits as many as a real one, [`REQUESTS_PER_SECOND`].
    pub fn admit_each_second(&self, requests: f64) {
        if let Some(server) = &self.server {
            server.admit_each_second(requests);
        }
    }

    /// Ends it, and removes its socket.
    pub fn vanish(&mut self) {
        self.die();
        // It need not be there.
        let _ = fs::remove_file(&self.socket);
    }

    /// Ends it, and leaves its socket, as a crash does.
    pub fn die(&mut self) {
        self.server = None;
        self.old.clear();
    }

    /// Lets it listen again, on a new socket.
    ///
    /// # Panics
    ///
    /// When it cannot listen there.
    pub fn come_back(&mut self) {
        self.vanish();
        self.listen();
    }

    /// Lets it listen on a new socket, while the old server goes on answering on its connections what it
    /// answered before.
    ///
    /// # Panics
    ///
    /// When it cannot listen there.
    pub fn restart_beside_old(&mut self) {
        self.old.extend(self.server.take());
        let _ = fs::remove_file(&self.socket);
        self.listen();
    }

    fn listen(&mut self) {
        self.server = Some(Server::start(&self.socket, &self.reply, &self.counts));
    }

    /// How many requests of a call it has got.
    pub fn requests(&self, call: Call) -> usize {
        self.counts.requests(call)
    }

    /// How many connections it has got.
    pub fn connections(&self) -> usize {
        self.counts.connections()
    }

    /// How many requests there were at one time, at most.
    pub fn most_in_flight(&self) -> usize {
        self.counts.most_in_flight()
    }

    /// Waits until it has got so many requests of a call, all in all.
    ///
    /// # Panics
    ///
    /// When they have not come after 30 seconds.
    pub fn wait_for_requests(&self, call: Call, count: usize) {
        self.counts.wait_for_requests(call, count);
    }
}

impl Drop for FakeKubelet {
    fn drop(&mut self) {
        self.vanish();
    }
}
