//! One server of a kubelet: a thread that serves one socket.

use std::future::pending;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use futures_util::StreamExt;
use tokio::sync::oneshot;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};

use super::api::pod_resources_lister_server::{PodResourcesLister, PodResourcesListerServer};
use super::api::{
    AllocatableResourcesRequest, AllocatableResourcesResponse, ListPodResourcesRequest,
    ListPodResourcesResponse,
};
use super::counts::Counts;
use super::fault::{Call, Fault};
use super::reply::Reply;

/// The real kubelet's limit.
pub const REQUESTS_PER_SECOND: f64 = 100.0;
const REQUESTS_AT_ONCE: f64 = 10.0;

/// A server. It ends when it is dropped, and closes its connections.
pub(crate) struct Server {
    service: Service,
    /// Dropped to end it.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Service {
    state: Arc<Mutex<State>>,
    counts: Arc<Counts>,
}

struct State {
    reply: Arc<Reply>,
    list: Fault,
    allocatable: Fault,
    limit: Limit,
}

impl Server {
    pub(crate) fn start(socket: &Path, reply: &Reply, counts: &Arc<Counts>) -> Self {
        let listener = UnixListener::bind(socket).unwrap_or_else(|error| {
            panic!("{}: {error}", socket.display());
        });
        listener.set_nonblocking(true).expect("a socket can be set so");
        let state = State {
            reply: Arc::new(reply.clone()),
            list: Fault::None,
            allocatable: Fault::None,
            limit: Limit {
                left: REQUESTS_AT_ONCE,
                at: Instant::now(),
                each_second: REQUESTS_PER_SECOND,
            },
        };
        let service = Service { state: Arc::new(Mutex::new(state)), counts: Arc::clone(counts) };
        let (stop, stopped) = oneshot::channel();
        let served = service.clone();
        let thread = Builder::new()
            .name("fake-kubelet".to_owned())
            .spawn(move || run(listener, served, stopped))
            .expect("there is a thread");
        Self { service, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn set(&self, reply: &Reply) {
        self.service.lock().reply = Arc::new(reply.clone());
    }

    pub(crate) fn set_fault(&self, call: Call, fault: Fault) {
        *self.service.lock().fault(call) = fault;
    }

    pub(crate) fn admit_each_second(&self, requests: f64) {
        self.service.lock().limit.each_second = requests;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server did not panic");
        }
    }
}

/// Serves until it is stopped.
fn run(listener: UnixListener, service: Service, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("there is a runtime");
    runtime.block_on(async {
        let listener = tokio::net::UnixListener::from_std(listener).expect("it does not block");
        let counts = Arc::clone(&service.counts);
        let connections = UnixListenerStream::new(listener).inspect(move |_| counts.connected());
        let service = PodResourcesListerServer::new(service);
        let server = tonic::transport::Server::builder();
        tokio::select! {
            result = server.serve_with_incoming(service, connections) => {
                result.expect("it serves until it is stopped");
            }
            _ = stopped => {}
        }
    });
}

impl Service {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a call is answered.
    async fn answer(&self, call: Call) -> Result<Arc<Reply>, Status> {
        let _request = self.counts.begin(call);
        let fault = {
            let mut state = self.lock();
            if !state.limit.admits() {
                return Err(Status::resource_exhausted("rejected by rate limit"));
            }
            *state.fault(call)
        };
        match fault {
            Fault::None => {}
            Fault::Hang => pending().await,
            Fault::Delay(time) => tokio::time::sleep(time).await,
            Fault::Unimplemented => return Err(Status::unimplemented("unknown method")),
            Fault::ResourceExhausted => {
                return Err(Status::resource_exhausted("rejected by rate limit"));
            }
            Fault::PermissionDenied => return Err(Status::permission_denied("not for you")),
            Fault::Internal => return Err(Status::internal("something broke")),
        }
        Ok(Arc::clone(&self.lock().reply))
    }
}

impl State {
    fn fault(&mut self, call: Call) -> &mut Fault {
        match call {
            Call::List => &mut self.list,
            Call::Allocatable => &mut self.allocatable,
        }
    }
}

#[tonic::async_trait]
impl PodResourcesLister for Service {
    async fn list(
        &self,
        _: Request<ListPodResourcesRequest>,
    ) -> Result<Response<ListPodResourcesResponse>, Status> {
        let reply = self.answer(Call::List).await?;
        Ok(Response::new(reply.list.clone()))
    }

    async fn get_allocatable_resources(
        &self,
        _: Request<AllocatableResourcesRequest>,
    ) -> Result<Response<AllocatableResourcesResponse>, Status> {
        let reply = self.answer(Call::Allocatable).await?;
        Ok(Response::new(reply.allocatable.clone()))
    }
}

/// So many requests are admitted at once, and so many more each second.
struct Limit {
    left: f64,
    at: Instant,
    each_second: f64,
}

impl Limit {
    fn admits(&mut self) -> bool {
        let now = Instant::now();
        let more = now.duration_since(self.at).as_secs_f64() * self.each_second;
        self.left = (self.left + more).min(REQUESTS_AT_ONCE);
        self.at = now;
        let admits = self.left >= 1.0;
        if admits {
            self.left -= 1.0;
        }
        admits
    }
}
