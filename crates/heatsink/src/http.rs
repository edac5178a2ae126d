//! The HTTP server: a few endpoints, with limits on connections and times.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use exposition::Format;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use model::{Moment, When};
use sampler::Sampler;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use web_config::Access;

use crate::connections::{ConnectionLimiter, Permit};
use crate::fleet::Fleet;
use crate::health::{HealthRules, health, readiness};
use crate::holders::Holders;
use crate::negotiate::{accepts_gzip, offer};
use crate::overview::Overview;
use crate::pages::{Content, Encoding, PageCache};
use crate::reload::ReloadHandle;

/// How long a client may take to send the head of a request. The time between two requests of a
/// connection counts too, so it is longer than the usual scrape intervals.
const HEAD_TIMEOUT: Duration = Duration::from_secs(90);

/// How long a connection lives. A client that keeps sending requests does not notice; one that does
/// not read its response is disconnected.
const CONNECTION_AGE: Duration = Duration::from_secs(300);

/// How long responses in progress may take when the program stops.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// The data of the endpoints.
pub(crate) struct App {
    pub(crate) sampler: Sampler,
    /// Who uses the GPUs; `None` if nothing looks for that.
    pub(crate) holders: Option<Holders>,
    pub(crate) pages: PageCache,
    pub(crate) overview: Overview,
    pub(crate) connections: Arc<ConnectionLimiter>,
    /// Who may read.
    pub(crate) access: Arc<Access>,
    /// What `POST /-/reload` asks for a reload; `None` if that endpoint is off.
    pub(crate) reload: Option<ReloadHandle>,
    /// Further nodes, in a demo with several.
    pub(crate) fleet: Option<Fleet>,
    /// What makes `/health` fail.
    pub(crate) health_rules: HealthRules,
}

/// Serves until `stop` turns true; then lets the responses in progress finish.
pub(crate) async fn serve(listener: TcpListener, app: Arc<App>, stop: watch::Receiver<bool>) {
    let mut stopping = stop.clone();
    loop {
        let accepted = async {
            match listener.accept().await {
                Ok((stream, _)) => Ok((stream, app.connections.acquire().await)),
                Err(error) => Err(error),
            }
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            _ = stopping.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, permit)) => {
                let app = Arc::clone(&app);
                let stop = stop.clone();
                tokio::spawn(async move {
                    // Whether it is silent, in the middle of a head, or not reading.
                    tokio::select! {
                        () = serve_connection(stream, app, &permit, stop) => {}
                        () = permit.evicted() => {}
                    }
                    // After the connection, which ended with the select.
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: pausing gives them time to come back.
                tracing::warn!("cannot accept a connection: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    // Clients that take longer are disconnected.
    let _ = timeout(DRAIN_TIMEOUT, app.connections.drained()).await;
}

/// Answers the requests of one connection.
async fn serve_connection(
    stream: TcpStream,
    app: Arc<App>,
    permit: &Permit,
    mut stop: watch::Receiver<bool>,
) {
    // Responses are written at once; waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        permit.touch(Instant::now());
        let response = answer(&app, &request);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = sleep(CONNECTION_AGE) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    // An error of one connection does not concern the others.
    let _ = timeout(Duration::from_secs(10), connection).await;
}

fn answer(app: &App, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/metrics" => metrics(app, request),
        "/health" => match health(&app.sampler.snapshot(), Moment::now(), app.health_rules) {
            Ok(()) => text(StatusCode::OK, "OK\n"),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        "/ready" => match readiness(&app.sampler.snapshot()) {
            Ok(()) => text(StatusCode::OK, "OK\n"),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        "/" => overview(app),
        path => match &app.fleet {
            Some(fleet) => fleet_page(app, fleet, path, request),
            None => text(StatusCode::NOT_FOUND, "try /metrics, /health, /ready or /\n"),
        },
    }
}

fn overview(app: &App) -> Response<Full<Bytes>> {
    let now = When { time: SystemTime::now(), moment: Moment::now() };
    let page = app.overview.page(&app.sampler.snapshot(), now);
    let mut response = respond(StatusCode::OK, "text/html; charset=utf-8", page);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
    );
    response
}

/// The endpoints that only a demo with several nodes has.
fn fleet_page(
    app: &App,
    fleet: &Fleet,
    path: &str,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    if path == "/targets" {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        return match host {
            Some(host) => respond(StatusCode::OK, "application/json", fleet.targets(host)),
            None => text(StatusCode::BAD_REQUEST, "the header Host is missing\n"),
        };
    }
    match fleet.node_of(path) {
        Some(1) => metrics(app, request),
        Some(node) => page(request, |format, encoding| fleet.page(node, format, encoding)),
        None => text(StatusCode::NOT_FOUND, "there is no such node: /targets has all of them\n"),
    }
}

fn metrics(app: &App, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    page(request, |format, encoding| {
        let content = Content {
            snapshot: app.sampler.snapshot(),
            attribution: app.holders.as_ref().map(|holders| holders.current(Moment::now())),
        };
        app.pages.get(content, app.connections.evicted(), format, encoding)
    })
}

/// A page for Prometheus, in the format and the encoding that this client prefers.
fn page(
    request: &Request<Incoming>,
    make: impl FnOnce(Format, Encoding) -> Bytes,
) -> Response<Full<Bytes>> {
    if let Some(filter) = request.uri().query().and_then(unsupported_filter) {
        return text(
            StatusCode::BAD_REQUEST,
            format!(
                "{filter} is not supported: every scrape gets all families; use a counters file (-f) \
                 or metric_relabel_configs\n"
            ),
        );
    }
    let gzip = accepts_gzip(request.headers());
    let offer = offer(request.headers());
    let page = make(offer.format, if gzip { Encoding::Gzip } else { Encoding::Identity });
    let mut response = respond(StatusCode::OK, offer.content_type, page);
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// The parameter of the query by which other exporters choose families, if there is one. Its sender
/// expects less than everything, so it is refused; other parameters are ignored.
fn unsupported_filter(query: &str) -> Option<&'static str> {
    let has =
        |filter: &&str| form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == **filter);
    ["name[]", "collect[]"].into_iter().find(has)
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", body)
}

fn respond(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_other_exporters_are_found_in_a_query() {
        for (query, filter) in [
            ("name[]=up", Some("name[]")),
            ("x=1&name%5B%5d=up", Some("name[]")),
            ("collect[]", Some("collect[]")),
            ("collect%5b%5d=cpu&x", Some("collect[]")),
            ("name=up&collect=cpu&x=name[]", None),
            ("", None),
        ] {
            assert_eq!(unsupported_filter(query), filter, "{query}");
        }
    }
}
