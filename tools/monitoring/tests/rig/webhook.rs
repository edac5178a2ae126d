//! A receiver of Alertmanager's messages.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;

/// An HTTP server for messages. It runs until the test ends.
pub(crate) struct Webhook {
    url: String,
    began: Instant,
    messages: Arc<Mutex<Vec<Message>>>,
}

/// One alert of one message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The time since the receiver began to listen.
    pub(crate) at: Duration,
    /// The receiver in Alertmanager's configuration.
    pub(crate) receiver: String,
    /// The labels by which the message is grouped.
    pub(crate) group: Value,
    pub(crate) status: String,
    pub(crate) labels: Value,
    pub(crate) annotations: Value,
}

impl Message {
    /// `GpuDown 7`: the alert, and its GPU or its node.
    pub(crate) fn alert(&self) -> String {
        let label = |name: &str| self.labels[name].as_str();
        let what = label("alertname").unwrap_or("?");
        let xid = label("xid").map(|xid| format!(" XID {xid}")).unwrap_or_default();
        let place = label("gpu").or(label("instance")).unwrap_or("?");
        format!("{what} {place}{xid}")
    }
}

impl Webhook {
    /// Starts to listen.
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let messages = Arc::new(Mutex::new(Vec::new()));
        let began = Instant::now();
        let received = Arc::clone(&messages);
        let thread = thread::Builder::new().name("webhook".to_owned());
        thread.spawn(move || listen(listener, &received, began)).expect("a thread for the webhook");
        Self { url, began, messages }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Every alert of every message so far.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The lines of all messages so far, with their times.
    pub(crate) fn story(&self) -> String {
        let line = |message: &Message| {
            let summary = message.annotations["summary"].as_str().unwrap_or_default();
            let at = message.at.as_secs_f64();
            let (receiver, alert) = (&message.receiver, message.alert());
            format!("{at:6.1} s  {receiver:8} {alert} {}  {summary}\n", message.status)
        };
        self.messages().iter().map(line).collect()
    }

    /// The time since it began to listen.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

fn listen(listener: std::net::TcpListener, messages: &Arc<Mutex<Vec<Message>>>, began: Instant) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        listener.set_nonblocking(true).expect("a socket that does not block");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let messages = Arc::clone(messages);
            tokio::spawn(async move {
                let service = service_fn(|request| receive(request, &messages, began));
                // A connection may end at any time after its message.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}

async fn receive(
    request: Request<Incoming>,
    messages: &Mutex<Vec<Message>>,
    began: Instant,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.expect("a whole message").to_bytes();
    let message: Value = serde_json::from_slice(&body).expect("Alertmanager sends JSON");
    let at = began.elapsed();
    let alerts = message["alerts"].as_array().cloned().unwrap_or_default();
    let one = |alert: &Value| Message {
        at,
        receiver: message["receiver"].as_str().unwrap_or_default().to_owned(),
        group: message["groupLabels"].clone(),
        status: alert["status"].as_str().unwrap_or_default().to_owned(),
        labels: alert["labels"].clone(),
        annotations: alert["annotations"].clone(),
    };
    messages.lock().unwrap_or_else(PoisonError::into_inner).extend(alerts.iter().map(one));
    Ok(Response::new(Empty::new()))
}
