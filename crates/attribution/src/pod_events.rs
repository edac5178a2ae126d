//! Writes an Event on a pod, which `kubectl describe pod` shows.

use std::io;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use crate::api;
use crate::error::{ErrorReason, RefreshError};
use crate::settings::ApiServer;

/// How long is waited for each answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest message that the API server takes, in bytes.
const MAX_MESSAGE: usize = 1024;

/// The longest part of a pod's name in the name of its Event: a name has at most 253 bytes, and a number
/// follows.
const MAX_NAME: usize = 220;

/// What an Event says of a pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodEvent {
    /// The namespace of the pod.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// Its UID. Without it, the pod is read first: an Event that does not name the UID is not shown.
    pub uid: Option<String>,
    /// One word in camel case: `GpuIncident`.
    pub reason: String,
    /// A sentence; what is longer than 1,024 bytes is cut.
    pub message: String,
    /// When it happened.
    pub time: SystemTime,
    /// A number by which Events of one pod and time differ.
    pub number: u64,
}

/// Why an Event was not written: one line, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum PodEventError {
    /// What the API server or its certificates say.
    #[error("cannot write an Event on the pod {pod}: {why}")]
    Refused {
        /// `NAMESPACE/NAME`.
        pod: String,
        /// The reason, and what to do.
        why: String,
    },
    /// There is no event loop.
    #[error("cannot write an Event: {0}")]
    System(#[from] io::Error),
}

/// Writes an Event on a pod; nothing is done if the pod is gone. Needs the right to create events in the
/// namespace, and to get the pod if its UID is not known. Waits for the answers, at most ten seconds for
/// each; must not be called on a thread with an event loop.
///
/// # Errors
///
/// When the API server does not answer, or does not permit it.
pub fn create_pod_event(server: &ApiServer, event: &PodEvent) -> Result<(), PodEventError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(create(server, event));
    // A lookup of a name may hang on a thread of its own.
    runtime.shutdown_background();
    result.map_err(|error| PodEventError::Refused {
        pod: format!("{}/{}", event.namespace, event.pod),
        why: error.message,
    })
}

async fn create(server: &ApiServer, event: &PodEvent) -> Result<(), RefreshError> {
    let PodEvent { namespace, pod, .. } = event;
    let uid = match &event.uid {
        Some(uid) => uid.clone(),
        None => {
            let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}");
            let object = in_time(server, api::get::<Pod>(server, &path, GET)).await?;
            let Some(object) = object else { return Ok(()) };
            object.metadata.uid
        }
    };
    let path = format!("/api/v1/namespaces/{namespace}/events");
    let body = body(server, event, &uid).to_string().into_bytes();
    match in_time(server, api::create(server, &path, body, CREATE)).await {
        // The namespace is gone, and so is the pod.
        Err(error) if error.reason == ErrorReason::Unimplemented => Ok(()),
        result => result,
    }
}

const GET: &str = "get on pods (chart: kubernetes.podEvents=true)";

const CREATE: &str = "create on events (chart: kubernetes.podEvents=true)";

#[derive(Deserialize)]
struct Pod {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    uid: String,
}

async fn in_time<T>(
    server: &ApiServer,
    answer: impl Future<Output = Result<T, RefreshError>>,
) -> Result<T, RefreshError> {
    let late = || {
        let message = format!("no answer from {} in {TIMEOUT:?}", server.url);
        RefreshError::new(ErrorReason::Timeout, message)
    };
    timeout(TIMEOUT, answer).await.unwrap_or_else(|_| Err(late()))
}

/// The Event. Its name is the same for the same event, so that a repeated request makes no second one.
fn body(server: &ApiServer, event: &PodEvent, uid: &str) -> serde_json::Value {
    let PodEvent { namespace, pod, .. } = event;
    // Kubernetes' times have whole seconds.
    let time = Timestamp::try_from(event.time).unwrap_or_default();
    let seconds = Timestamp::from_second(time.as_second()).unwrap_or_default().to_string();
    let millis = time.as_millisecond();
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "namespace": namespace,
            "name": format!("{}.{millis:x}.{:x}", cut(pod, MAX_NAME), event.number),
        },
        "involvedObject": {
            "apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": pod, "uid": uid,
        },
        "reason": event.reason,
        "message": cut(&event.message, MAX_MESSAGE),
        "type": "Warning",
        "firstTimestamp": seconds,
        "lastTimestamp": seconds,
        "count": 1,
        "source": {"component": "heatsink", "host": server.node_name},
    })
}

/// The text, cut to this many bytes.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use fake_kubernetes::api_server::{ApiServer as Server, Fault, Verb};
    use serde_json::Value;

    use super::*;

    fn event() -> PodEvent {
        PodEvent {
            namespace: "ml".into(),
            pod: "pretrain-0".into(),
            uid: Some("a-uid".into()),
            reason: "GpuIncident".into(),
            message: "GPU 3 fell off the bus (XID 79)".into(),
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            number: 17,
        }
    }

    fn write(server: &Server, event: &PodEvent) -> Result<(), String> {
        let api = ApiServer {
            url: server.url(),
            service_account: server.service_account().to_owned(),
            node_name: "gpu-node-1".to_owned(),
        };
        create_pod_event(&api, event).map_err(|error| error.to_string())
    }

    fn text<'a>(event: &'a Value, pointer: &str) -> &'a str {
        event.pointer(pointer).and_then(Value::as_str).expect(pointer)
    }

    #[test]
    fn an_event_names_the_pod_the_node_and_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        write(&server, &event()).unwrap();
        let events = server.objects("events");
        assert_eq!(events.len(), 1);
        let created = &events[0];
        for (pointer, expected) in [
            ("/metadata/namespace", "ml"),
            ("/metadata/name", "pretrain-0.18bcfe5687b.11"),
            ("/involvedObject/kind", "Pod"),
            ("/involvedObject/name", "pretrain-0"),
            ("/involvedObject/uid", "a-uid"),
            ("/reason", "GpuIncident"),
            ("/message", "GPU 3 fell off the bus (XID 79)"),
            ("/type", "Warning"),
            ("/firstTimestamp", "2023-11-14T22:13:20Z"),
            ("/source/host", "gpu-node-1"),
        ] {
            assert_eq!(text(created, pointer), expected, "{pointer}");
        }
        let asked: Vec<_> = server.requests().into_iter().map(|request| request.verb).collect();
        assert_eq!(asked, [Verb::Create], "the pod is not read");
    }

    #[test]
    fn an_unknown_uid_is_read_and_a_pod_that_is_gone_needs_no_event() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        let event = PodEvent { uid: None, ..event() };
        write(&server, &event).unwrap();
        assert!(server.objects("events").is_empty());
        let pod = json!({"metadata": {"namespace": "ml", "name": "pretrain-0", "uid": "b-uid"}});
        server.set("pods", pod);
        write(&server, &event).unwrap();
        assert_eq!(text(&server.objects("events")[0], "/involvedObject/uid"), "b-uid");
    }

    #[test]
    fn a_repeated_request_makes_no_second_event() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        write(&server, &event()).unwrap();
        write(&server, &event()).unwrap();
        assert_eq!(server.objects("events").len(), 1);
    }

    #[test]
    fn long_texts_are_cut_where_the_api_server_would_refuse_them() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        let (pod, message) = ("p".repeat(253), "°".repeat(2000));
        write(&server, &PodEvent { pod, message, ..event() }).unwrap();
        assert_eq!(text(&server.objects("events")[0], "/message").len(), 1024);
    }

    #[test]
    fn an_error_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        let forbidden = Fault::Status { code: 403, retry_after: None };
        server.inject("events", Verb::Create, forbidden);
        let error = write(&server, &event()).unwrap_err();
        assert_eq!(
            error,
            "cannot write an Event on the pod ml/pretrain-0: forbidden by the API server: give the \
             service account create on events (chart: kubernetes.podEvents=true)"
        );
    }
}
