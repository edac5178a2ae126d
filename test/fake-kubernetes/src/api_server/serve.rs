//! Answers requests.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

use super::store::line;
use super::{Fault, Request, Shared, Verb};

type Body = BoxBody<Bytes, io::Error>;
type Response = hyper::Response<Body>;

/// The longest time of a watch that does not ask for one.
const WATCH_TIME: Duration = Duration::from_secs(1800);

/// Accepts connections until `stop` is dropped.
pub(super) async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    shared: Arc<Shared>,
    mut stop: oneshot::Receiver<()>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stop => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(|request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(answer(&shared, request).await) }
            });
            // A client that goes away, and a connection that a fault breaks, are no errors here.
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(shared: &Arc<Shared>, request: hyper::Request<Incoming>) -> Response {
    let (head, body) = request.into_parts();
    let request = read(&head);
    let (resource, verb) = (request.resource.as_str(), request.verb);
    let (is_known, is_authorized, fault) = {
        let mut store = shared.lock();
        store.requests.push(request.clone());
        let is_known = match resource {
            "pods" => request.path == "/api/v1/pods" || request.verb == Verb::Get,
            "resourceslices" => store.dra_versions.iter().any(|version| {
                request.path == format!("/apis/resource.k8s.io/{version}/resourceslices")
            }),
            "configmaps" => request.verb == Verb::Get,
            "events" => request.verb == Verb::Create,
            _ => false,
        };
        let is_authorized = request.token.as_ref() == Some(&store.token);
        let at_once =
            |fault: &Fault| !matches!(fault, Fault::Gone | Fault::Silent | Fault::Disconnect);
        let fault = is_authorized.then(|| store.fault(resource, verb, at_once)).flatten();
        (is_known, is_authorized, fault)
    };
    shared.changed.send_modify(|_| {});
    if !is_authorized {
        return status(401, "Unauthorized");
    }
    match fault {
        Some(Fault::Status { code: 429, retry_after }) => return too_many(retry_after),
        Some(Fault::Status { code, .. }) => {
            return status(code, &format!("{resource} is not available: a fault of the test"));
        }
        Some(Fault::Slow(time)) => sleep(time).await,
        Some(Fault::Hang) => {
            let mut changed = shared.changed.subscribe();
            while shared.lock().hangs(resource, verb) {
                // The sender lives as long as this server.
                let _ = changed.changed().await;
            }
        }
        Some(Fault::Garbage) => return text(200, "<html>a proxy's page</html>"),
        Some(Fault::Gone | Fault::Silent | Fault::Disconnect) | None => {}
    }
    if !is_known {
        return text(404, "404 page not found\n");
    }
    match verb {
        Verb::List => list(shared, &request),
        Verb::Watch => watch(shared, request),
        Verb::Get => get(shared, &request),
        Verb::Create => match body.collect().await {
            Ok(body) => create(shared, &request, &body.to_bytes()),
            Err(error) => status(400, &error.to_string()),
        },
    }
}

fn get(shared: &Shared, request: &Request) -> Response {
    let object = name_of(&request.path)
        .and_then(|(namespace, _, name)| shared.lock().get(&request.resource, namespace, name?));
    match object {
        Some(object) => respond(200, "application/json", full(object.to_string())),
        None => status(404, "not found"),
    }
}

/// Adds an Event, if the API server of Kubernetes would take it.
fn create(shared: &Shared, request: &Request, body: &[u8]) -> Response {
    let Ok(event) = serde_json::from_slice::<Value>(body) else {
        return status(400, "the body is no JSON");
    };
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (namespace, _, _) = name_of(&request.path).unwrap_or_default();
    let is_time = |pointer: &str| text(pointer).len() == 20 && text(pointer).ends_with('Z');
    let is_name = |name: &str| {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        (1..=253).contains(&name.len()) && name.chars().all(is_plain)
    };
    let mistake = [
        (text("/kind") == "Event" && text("/apiVersion") == "v1", "this is no v1 Event"),
        (is_name(text("/metadata/name")), "metadata.name: Invalid value"),
        (text("/metadata/namespace") == namespace, "the namespace does not match the path"),
        (
            text("/involvedObject/namespace") == namespace,
            "involvedObject.namespace: Invalid value: does not match event.namespace",
        ),
        (is_time("/firstTimestamp") && is_time("/lastTimestamp"), "a timestamp is no time"),
        (text("/message").len() <= 1024, "message: can have at most 1024 bytes"),
        (text("/reason").len() <= 128, "reason: can have at most 128 bytes"),
        (matches!(text("/type"), "Normal" | "Warning"), "type: Invalid value"),
    ];
    if let Some((_, mistake)) = mistake.into_iter().find(|(is_right, _)| !is_right) {
        return status(422, mistake);
    }
    let name = text("/metadata/name").to_owned();
    if shared.lock().get("events", namespace, &name).is_some() {
        return status(409, "already exists");
    }
    shared.change(|store| store.set("events", event.clone()));
    respond(201, "application/json", full(event.to_string()))
}

/// Namespace, resource and name of a path: that of one object, or of all objects of a namespace.
fn name_of(path: &str) -> Option<(&str, &str, Option<&str>)> {
    let (namespace, rest) = path.strip_prefix("/api/v1/namespaces/")?.split_once('/')?;
    match rest.split_once('/') {
        Some((resource, name)) => Some((namespace, resource, Some(name))),
        None => Some((namespace, rest, None)),
    }
}

fn list(shared: &Shared, request: &Request) -> Response {
    let mut store = shared.lock();
    let items = store.list(&request.resource, request.selector());
    let (kind, api_version) = names(request);
    let list = json!({
        "kind": format!("{kind}List"),
        "apiVersion": api_version,
        "metadata": {"resourceVersion": store.version.to_string()},
        "items": items,
    });
    let is_cut = |fault: &Fault| *fault == Fault::Disconnect;
    let text = list.to_string();
    if store.fault(&request.resource, Verb::List, is_cut).is_some() {
        return stream(|send| async move { break_off(&send, &text).await });
    }
    respond(200, "application/json", full(text))
}

fn watch(shared: &Arc<Shared>, request: Request) -> Response {
    let shared = Arc::clone(shared);
    stream(|send| async move {
        // At once: what a test does after it has seen the watch concerns the watch.
        let begin = {
            let mut store = shared.lock();
            store.open_watches += 1;
            let is_at_begin = |fault: &Fault| matches!(fault, Fault::Gone | Fault::Silent);
            let fault = store.fault(&request.resource, Verb::Watch, is_at_begin);
            Begin { fault, bookmarks: store.bookmarks, ends: store.ends }
        };
        shared.changed.send_modify(|_| {});
        // The client going away ends the task at its next line at the latest.
        tokio::select! {
            _ = follow(&shared, &request, begin, &send) => {}
            () = send.closed() => {}
        }
        shared.lock().open_watches -= 1;
    })
}

type Sender = mpsc::Sender<Result<Frame<Bytes>, io::Error>>;

/// The state of the server when a watch begins.
struct Begin {
    fault: Option<Fault>,
    bookmarks: u64,
    ends: u64,
}

/// Sends the changes until the watch ends. `None` if the client is gone.
async fn follow(
    shared: &Shared,
    request: &Request,
    Begin { fault, mut bookmarks, ends }: Begin,
    send: &Sender,
) -> Option<()> {
    let resource = request.resource.as_str();
    let query = |name: &str| request.query.get(name).map(String::as_str);
    let seconds = query("timeoutSeconds").and_then(|text| text.parse().ok());
    let end = Instant::now() + seconds.map_or(WATCH_TIME, Duration::from_secs);
    let mut changed = shared.changed.subscribe();
    if fault == Some(Fault::Silent) {
        std::future::pending::<()>().await;
    }
    let mut version = query("resourceVersion")?.parse().unwrap_or(0);
    if version == 0 {
        let (objects, now) = {
            let store = shared.lock();
            (store.list(resource, request.selector()), store.version)
        };
        for object in objects {
            write(send, line("ADDED", &object)).await?;
        }
        version = now;
    }
    loop {
        let (changes, now, bookmarks_now, is_ended) = {
            let store = shared.lock();
            let changes = store.since(version, resource, request.selector());
            (changes, store.version, store.bookmarks, store.ends > ends)
        };
        let Some(changes) = changes.filter(|_| fault != Some(Fault::Gone)) else {
            return write(send, line("ERROR", &gone(version))).await;
        };
        for change in changes {
            let is_cut = |fault: &Fault| *fault == Fault::Disconnect;
            let is_cut = shared.lock().fault(resource, Verb::Watch, is_cut).is_some();
            if is_cut {
                break_off(send, &change.line()).await;
                return None;
            }
            write(send, change.line()).await?;
            version = change.version;
        }
        if bookmarks_now > bookmarks && query("allowWatchBookmarks") == Some("true") {
            let (kind, api_version) = names(request);
            let metadata = json!({"resourceVersion": now.to_string()});
            let object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
            write(send, line("BOOKMARK", &object)).await?;
            (version, bookmarks) = (now, bookmarks_now);
        }
        if is_ended {
            return Some(());
        }
        tokio::select! {
            _ = changed.changed() => {}
            () = sleep_until(end) => return Some(()),
        }
    }
}

async fn write(send: &Sender, text: String) -> Option<()> {
    send.send(Ok(Frame::data(text.into()))).await.ok()
}

/// Sends the first half of a text, and breaks the connection.
async fn break_off(send: &Sender, text: &str) {
    let half = text.get(..text.len() / 2).unwrap_or_default().to_owned();
    write(send, half).await;
    let _ = send.send(Err(io::Error::from(io::ErrorKind::ConnectionReset))).await;
}

fn gone(version: u64) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("too old resource version: {version}"), "reason": "Expired", "code": 410,
    })
}

/// The kind and the API version of what is asked for.
fn names(request: &Request) -> (&'static str, String) {
    let kind = if request.resource == "pods" { "Pod" } else { "ResourceSlice" };
    let version = request.path.trim_start_matches("/apis/").trim_start_matches("/api/");
    (kind, version.rsplit_once('/').map_or_else(String::new, |(version, _)| version.to_owned()))
}

/// What is asked for.
fn read(request: &hyper::http::request::Parts) -> Request {
    let query: BTreeMap<String, String> = request
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    let path = request.uri.path().to_owned();
    let token = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let is_watch = query.get("watch").is_some_and(|watch| watch == "true" || watch == "1");
    let list = if is_watch { Verb::Watch } else { Verb::List };
    let (resource, verb) = match name_of(&path) {
        Some((_, resource, Some(_))) => (resource, Verb::Get),
        Some((_, resource, None)) if request.method == hyper::Method::POST => {
            (resource, Verb::Create)
        }
        _ => (path.rsplit('/').next().unwrap_or_default(), list),
    };
    Request {
        resource: resource.to_owned(),
        verb,
        path,
        query,
        token: token.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned),
    }
}

/// The text of a part of a query.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let hex = more.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &more[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
        rest = more;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An error as Kubernetes has it.
fn status(code: u16, message: &str) -> Response {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        410 => "Expired",
        409 => "AlreadyExists",
        422 => "Invalid",
        _ => "InternalError",
    };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    respond(code, "application/json", full(body.to_string()))
}

/// The limit of requests, which answers with plain text.
fn too_many(retry_after: Option<u32>) -> Response {
    let mut response = text(429, "Too many requests, please try again later.\n");
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

fn text(code: u16, body: &str) -> Response {
    respond(code, "text/plain", full(body.to_owned()))
}

fn full(text: String) -> Body {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed()
}

/// A body that a task writes.
fn stream<F: Future<Output = ()> + Send + 'static>(task: impl FnOnce(Sender) -> F) -> Response {
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(task(send));
    respond(200, "application/json", StreamBody::new(ReceiverStream::new(receive)).boxed())
}

fn respond(code: u16, content_type: &str, body: Body) -> Response {
    let builder = hyper::Response::builder().status(code).header(CONTENT_TYPE, content_type);
    builder.body(body).expect("the parts are valid")
}
