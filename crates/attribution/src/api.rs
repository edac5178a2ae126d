//! Follows this node's objects in the API server.
//!
//! There is one list, then one watch after the other, each of which goes on where the last one ended.
//! A new list is made only when the API server has forgotten that place, or its answer is not
//! understood. A list replaces what is kept only when it is complete, so that a slow or broken list
//! takes nothing away.
//!
//! The watcher of `kube` is not used. It hides bookmarks, which show that a watch is alive, and repeats
//! a watch without end that is answered with 410.

mod client;
mod failure;
mod object;

use std::fmt::Debug;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use kube::api::{WatchEvent, WatchParams};
use kube::core::ApiResource;
use kube::{Api, Client, Resource};
use model::Moment;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::failure::{Failure, Request};
pub(crate) use self::object::Object;
use crate::error::{ErrorReason, RefreshError};
use crate::parts::{Part, PartKind, WATCH_LIFETIME};
use crate::refresher::Backoff;
use crate::settings::ApiServer;
use crate::shared::Shared;

/// How long is waited for the API server.
#[derive(Clone, Copy)]
struct Limits {
    /// For a list, and for the begin of the answer to a watch.
    answer: Duration,
    /// For the end of a watch. The API server ends it before, unless the connection is dead.
    watch: Duration,
}

const LIMITS: Limits = Limits {
    answer: Duration::from_secs(30),
    watch: Duration::from_secs(WATCH_LIFETIME.as_secs() + 10),
};

/// The shortest time from one watch to the next, if they end at once.
const MIN_WATCH: Duration = Duration::from_secs(1);

/// What is kept of the objects of one kind.
pub(crate) trait Kept: Send + 'static {
    /// The objects, as far as they are read.
    type Object: Resource<DynamicType = ApiResource>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static;

    /// The refresher.
    const KIND: PartKind;

    /// The permission that is needed, and the chart's value that gives it.
    const PERMISSION: &'static str;

    /// What to ask for; the API server is asked for the next one if it does not have the first.
    fn resources() -> Vec<ApiResource>;

    /// Replaces everything by the objects of a list.
    fn replace(&mut self, objects: Vec<Self::Object>);

    /// An object is new, or has changed.
    fn put(&mut self, object: Self::Object);

    /// An object is no more.
    fn remove(&mut self, object: &Self::Object);

    /// The result of the refresher.
    fn part(&self) -> Part;
}

/// Starts a thread that follows the objects of a kind on this node.
///
/// # Errors
///
/// If there is no thread.
pub(crate) fn start<K: Kept>(shared: &Arc<Shared>, server: &ApiServer, kept: K) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (shared, server) = (Arc::clone(shared), server.clone());
    let run = move || {
        let stopping = Arc::clone(&shared);
        let mut follower =
            Follower { shared, server, limits: LIMITS, kept, client: None, place: None };
        runtime.block_on(async {
            tokio::select! {
                () = follower.follow() => {}
                () = stopped(&stopping) => {}
            }
        });
    };
    thread::Builder::new().name(K::KIND.name().to_owned()).spawn(run).map(drop)
}

/// Gets one object; `None` if there is none at this path.
pub(crate) async fn get<K: DeserializeOwned>(
    server: &ApiServer,
    path: &str,
    permission: &'static str,
) -> Result<Option<K>, RefreshError> {
    let client = client::connect(server)?;
    match client::get(&client, path, &Request { server, permission }).await {
        Ok(object) => Ok(Some(object)),
        Err(Failure::Error(error)) if error.reason == ErrorReason::Unimplemented => Ok(None),
        Err(Failure::Error(error)) => Err(error),
        Err(Failure::Gone) => {
            Err(RefreshError::new(ErrorReason::Failed, "the API server answers with 410"))
        }
    }
}

/// Posts an object.
pub(crate) async fn create(
    server: &ApiServer,
    path: &str,
    object: Vec<u8>,
    permission: &'static str,
) -> Result<(), RefreshError> {
    let client = client::connect(server)?;
    match client::create(&client, path, object, &Request { server, permission }).await {
        Ok(()) => Ok(()),
        Err(Failure::Error(error)) => Err(error),
        Err(Failure::Gone) => {
            Err(RefreshError::new(ErrorReason::Failed, "the API server answers with 410"))
        }
    }
}

/// Waits until the refreshers are asked to end.
async fn stopped(shared: &Shared) {
    while !shared.is_stopping() {
        sleep(Duration::from_secs(1)).await;
    }
}

struct Follower<K> {
    shared: Arc<Shared>,
    server: ApiServer,
    limits: Limits,
    kept: K,
    /// `None` before the first request, and after an error.
    client: Option<Client>,
    /// Where the next watch begins; `None` if a list is needed.
    place: Option<Place>,
}

/// A place in the history of the API server.
#[derive(Clone)]
struct Place {
    resource: ApiResource,
    version: String,
}

impl<K: Kept> Follower<K> {
    async fn follow(&mut self) {
        let interval = self.shared.settings.interval;
        let mut backoff = Backoff::new(interval);
        // A second 410 in a row is a failure: the new list did not help.
        let mut was_gone = false;
        loop {
            let began = Instant::now();
            let is_list = self.place.is_none();
            let pause = match self.step().await {
                // A watch follows at once.
                Ok(()) if is_list => Duration::ZERO,
                Ok(()) => {
                    backoff.reset();
                    was_gone = false;
                    MIN_WATCH.min(interval).saturating_sub(began.elapsed())
                }
                Err(Failure::Gone) => {
                    self.place = None;
                    let pause = MIN_WATCH.min(interval).saturating_sub(began.elapsed());
                    if mem::replace(&mut was_gone, true) { jittered(backoff.next()) } else { pause }
                }
                Err(Failure::Error(error)) => {
                    let reason = error.reason;
                    self.forget_after(reason);
                    self.shared.end(K::KIND, Err(error));
                    jittered(backoff.next())
                }
            };
            sleep(pause).await;
        }
    }

    /// Forgets what an error may have shown to be wrong. The next client reads the token and the
    /// certificates again.
    fn forget_after(&mut self, reason: ErrorReason) {
        self.client = None;
        if matches!(reason, ErrorReason::Unimplemented | ErrorReason::Malformed) {
            self.place = None;
        }
    }

    /// One list, or one watch until it ends.
    async fn step(&mut self) -> Result<(), Failure> {
        self.shared.begin(K::KIND, Moment::now());
        let client = match &self.client {
            Some(client) => client.clone(),
            None => self.client.insert(client::connect(&self.server)?).clone(),
        };
        match self.place.clone() {
            Some(place) => self.watch(client, &place).await,
            None => self.list(&client).await,
        }
    }

    async fn list(&mut self, client: &Client) -> Result<(), Failure> {
        let selector = self.selector();
        let request = request::<K>(&self.server);
        for resource in K::resources() {
            let list = client::list::<K::Object>(client, &resource, &selector, &request);
            match timeout(self.limits.answer, list).await {
                Ok(Ok(list)) => {
                    let version = list.metadata.resource_version.unwrap_or_default();
                    self.kept.replace(list.items);
                    self.place = Some(Place { resource, version });
                    self.publish();
                    return Ok(());
                }
                Ok(Err(Failure::Error(error))) if error.reason == ErrorReason::Unimplemented => {}
                Ok(Err(failure)) => return Err(failure),
                Err(_) => return Err(request.timeout(self.limits.answer)),
            }
        }
        let names: Vec<String> = K::resources()
            .iter()
            .map(|one| format!("{} {}", one.api_version, one.plural))
            .collect();
        let message = format!("the API server does not have {}", names.join(", "));
        Err(RefreshError::new(ErrorReason::Unimplemented, message).into())
    }

    async fn watch(&mut self, client: Client, place: &Place) -> Result<(), Failure> {
        let seconds = u32::try_from(WATCH_LIFETIME.as_secs()).unwrap_or(u32::MAX);
        let params = WatchParams::default().fields(&self.selector()).timeout(seconds);
        let api = Api::<K::Object>::all_with(client, &place.resource);
        let events = match timeout(self.limits.answer, api.watch(&params, &place.version)).await {
            Ok(Ok(events)) => events,
            Ok(Err(error)) => return Err(request::<K>(&self.server).failure(&error)),
            Err(_) => return Err(request::<K>(&self.server).timeout(self.limits.answer)),
        };
        // The API server answers and goes on from this place, so what is kept is right.
        self.publish();
        let mut events = pin!(events.fuse());
        let end = Instant::now() + self.limits.watch;
        loop {
            let Ok(event) = timeout_at(end, events.next()).await else {
                return Err(request::<K>(&self.server).timeout(self.limits.watch));
            };
            let Some(event) = event else { return Ok(()) };
            // All that has arrived is published together.
            let mut ready = Some(event);
            while let Some(event) = ready {
                let event = event.map_err(|error| request::<K>(&self.server).failure(&error))?;
                self.apply(event)?;
                ready = events.next().now_or_never().flatten();
            }
            self.publish();
        }
    }

    fn apply(&mut self, event: WatchEvent<K::Object>) -> Result<(), Failure> {
        let version = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                let version = object.meta().resource_version.clone();
                self.kept.put(object);
                version
            }
            WatchEvent::Deleted(object) => {
                self.kept.remove(&object);
                object.meta().resource_version.clone()
            }
            WatchEvent::Bookmark(bookmark) => Some(bookmark.metadata.resource_version),
            WatchEvent::Error(status) => {
                self.place = None;
                return Err(request::<K>(&self.server).status(&status));
            }
        };
        if let (Some(place), Some(version)) = (&mut self.place, version) {
            place.version = version;
        }
        Ok(())
    }

    fn publish(&self) {
        self.shared.end(K::KIND, Ok(self.kept.part()));
    }

    fn selector(&self) -> String {
        format!("spec.nodeName={}", escaped(&self.server.node_name))
    }
}

fn request<K: Kept>(server: &ApiServer) -> Request<'_> {
    Request { server, permission: K::PERMISSION }
}

/// A value as a field selector has it.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace(',', r"\,").replace('=', r"\=")
}

/// Between three and five quarters of the pause, so that the nodes of a cluster do not all come back
/// at once.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 512;
    pause.mul_f64(0.75 + random as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use fake_kubernetes::api_server::{ApiServer as Server, Fault, Verb};
    use kube::core::GroupVersionKind;
    use serde::de::IgnoredAny;

    use super::*;
    use crate::parts::PodsPart;

    /// Keeps nothing.
    struct Nothing;

    impl Kept for Nothing {
        type Object = Object<IgnoredAny, IgnoredAny>;

        const KIND: PartKind = PartKind::Pods;

        const PERMISSION: &'static str = "";

        fn resources() -> Vec<ApiResource> {
            let kind = GroupVersionKind::gvk("", "v1", "Pod");
            vec![ApiResource::from_gvk_with_plural(&kind, "pods")]
        }

        fn replace(&mut self, _: Vec<Self::Object>) {}

        fn put(&mut self, _: Self::Object) {}

        fn remove(&mut self, _: &Self::Object) {}

        fn part(&self) -> Part {
            Part::Pods(Arc::new(PodsPart::default()))
        }
    }

    /// The results of steps with these limits, one after another. A step that has to succeed has those of
    /// the real follower, because the machine may be busy.
    fn steps(server: &Server, limits: &[Limits]) -> Vec<Result<(), Failure>> {
        let mut follower = Follower {
            shared: Shared::of(PartKind::Pods, MIN_WATCH),
            server: ApiServer {
                url: server.url(),
                service_account: server.service_account().to_owned(),
                node_name: "node-a".into(),
            },
            limits: LIMITS,
            kept: Nothing,
            client: None,
            place: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut results = Vec::new();
            for limits in limits {
                follower.limits = *limits;
                results.push(follower.step().await);
            }
            results
        })
    }

    fn reason(result: &Result<(), Failure>) -> Option<ErrorReason> {
        match result {
            Ok(()) => None,
            Err(Failure::Gone) => panic!("gone"),
            Err(Failure::Error(error)) => Some(error.reason),
        }
    }

    #[test]
    fn an_answer_that_does_not_come_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        let brief = Limits { answer: Duration::from_millis(200), watch: LIMITS.watch };
        for (verb, limits, expected) in [
            (Verb::List, [brief; 2], [Some(ErrorReason::Timeout), Some(ErrorReason::Timeout)]),
            (Verb::Watch, [LIMITS, brief], [None, Some(ErrorReason::Timeout)]),
        ] {
            server.inject("pods", verb, Fault::Hang);
            let results = steps(&server, &limits);
            assert_eq!(results.iter().map(reason).collect::<Vec<_>>(), expected);
            server.heal();
        }
    }

    #[test]
    fn a_watch_on_a_dead_connection_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        server.inject("pods", Verb::Watch, Fault::Silent);
        let limits = Limits { answer: LIMITS.answer, watch: Duration::from_millis(200) };
        let results = steps(&server, &[limits; 3]);
        let timeout = Some(ErrorReason::Timeout);
        assert_eq!(results.iter().map(reason).collect::<Vec<_>>(), [None, timeout, timeout]);
        let verbs: Vec<Verb> = server.requests().iter().map(|request| request.verb).collect();
        assert_eq!(verbs, [Verb::List, Verb::Watch, Verb::Watch]);
    }

    #[test]
    fn a_pause_is_spread_by_a_quarter() {
        let second = Duration::from_secs(1);
        let pauses: Vec<Duration> = (0..100).map(|_| jittered(second)).collect();
        let range = Duration::from_millis(750)..Duration::from_millis(1250);
        assert!(pauses.iter().all(|pause| range.contains(pause)), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }

    #[test]
    fn a_node_name_is_escaped_in_a_selector() {
        assert_eq!(escaped("node-1.example.com"), "node-1.example.com");
        assert_eq!(escaped(r"a,b=c\"), r"a\,b\=c\\");
    }
}
