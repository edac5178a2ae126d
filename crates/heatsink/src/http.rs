//! What is served over HTTP: a few endpoints, and who may read them.

mod api;
mod handshakes;
mod passwords;
mod responses;
mod server;
mod transport;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use exposition::Format;
use history::history::History;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use model::{Moment, When};
use sampler::Sampler;
use tokio::time::timeout;
use web_config::{Access, Authentication, Encryption};

pub(crate) use self::api::HistoryReaders;
pub(crate) use self::passwords::Passwords;

use self::responses::{later, refused_form, respond, retry_after, text};
use self::server::{Client, Site};
pub(crate) use self::server::{DRAIN_TIMEOUT, Listeners, serve};
use crate::connections::ConnectionLimiter;
use crate::fleet::Fleet;
use crate::health::{HealthRules, health, readiness};

use crate::holders::Holders;
use crate::negotiate::{accepts_gzip, offer};
use crate::overview::Overview;
use crate::pages::{Content, Encoding, PageCache};
use crate::reload_request::ReloadHandle;

/// How long a request waits, for its password or for a reload, unless the scraper says how long.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest wait that a scraper can ask for.
const MAX_PATIENCE: Duration = Duration::from_secs(60);

/// The least time between two reloads over HTTP.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// The data of the endpoints.
pub(crate) struct App {
    pub(crate) sampler: Sampler,
    /// Who uses the GPUs; `None` if nothing looks for that.
    pub(crate) holders: Option<Arc<Holders>>,
    /// What was recorded; `None` if nothing is.
    pub(crate) history: Option<Arc<History>>,
    /// Limits how many requests read it at the same time.
    pub(crate) history_readers: HistoryReaders,
    pub(crate) pages: PageCache,
    pub(crate) overview: Overview,
    pub(crate) connections: Arc<ConnectionLimiter>,
    /// Who may read.
    pub(crate) access: Arc<Access>,
    /// Checks the passwords that are not known yet.
    pub(crate) passwords: Passwords,
    /// What `POST /-/reload` asks for a reload; `None` if that endpoint is off.
    pub(crate) reload: Option<ReloadHandle>,
    /// When that endpoint last asked for one.
    pub(crate) last_reload: Mutex<Option<Instant>>,
    /// Further nodes, in a demo with several.
    pub(crate) fleet: Option<Fleet>,
    /// What makes `/health` fail.
    pub(crate) health_rules: HealthRules,
}

impl Site for App {
    fn connections(&self) -> &Arc<ConnectionLimiter> {
        &self.connections
    }

    fn tls(&self) -> Option<Encryption> {
        self.access.tls()
    }

    fn headers(&self) -> Arc<[(HeaderName, HeaderValue)]> {
        self.access.headers()
    }

    async fn answer(&self, client: &Client, request: &Request<Incoming>) -> Response<Bytes> {
        if let Err(wait) = self.access.admit(Instant::now()) {
            let mut response = text(StatusCode::TOO_MANY_REQUESTS, "too many requests\n");
            retry_after(response.headers_mut(), wait);
            return response;
        }
        let authorization = request.headers().get(header::AUTHORIZATION);
        let is_authenticated = match self.access.authenticate(authorization) {
            Authentication::NotNeeded => client.is_verified,
            Authentication::Accepted => true,
            Authentication::Refused => return unauthorized(),
            Authentication::Unknown(check) => {
                let patience = patience(request.headers());
                let tag = check.tag();
                match self.passwords.check(tag, || check.run(), client.address, patience).await {
                    Ok(true) => true,
                    Ok(false) => return unauthorized(),
                    Err(_) => {
                        let why = "too many passwords to check\n";
                        return later(why, Duration::from_secs(1));
                    }
                }
            }
        };
        match &self.reload {
            Some(handle) if request.uri().path() == "/-/reload" => {
                reload(handle, &self.last_reload, client, is_authenticated, request).await
            }
            _ if request.uri().path().starts_with("/api/v1/") => {
                let history = self.history.as_ref();
                api::answer(history, &self.history_readers, client.address, request).await
            }
            _ => get(self, request),
        }
    }
}

/// How long this request waits.
fn patience(headers: &HeaderMap) -> Duration {
    let value = headers.get("x-prometheus-scrape-timeout-seconds");
    let seconds = value.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let asked = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    asked.unwrap_or(PATIENCE).min(MAX_PATIENCE)
}

fn unauthorized() -> Response<Bytes> {
    let mut response = text(StatusCode::UNAUTHORIZED, "Unauthorized\n");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
    response
}

/// Reloads, for clients that may ask for it.
async fn reload(
    handle: &ReloadHandle,
    last: &Mutex<Option<Instant>>,
    client: &Client,
    is_authenticated: bool,
    request: &Request<Incoming>,
) -> Response<Bytes> {
    if let Some(refused) = refused_form(request, &[Method::POST], "POST") {
        return refused;
    }
    if !may_reload(client, is_authenticated, request.headers()) {
        return text(
            StatusCode::FORBIDDEN,
            "a reload needs a client on this machine, a password or a verified client certificate; it is \
             refused to browsers\n",
        );
    }
    if let Err(wait) = admit_reload(last, Instant::now()) {
        let mut response = text(StatusCode::TOO_MANY_REQUESTS, "too many reloads\n");
        retry_after(response.headers_mut(), wait);
        return response;
    }
    match timeout(patience(request.headers()), handle.reload("POST /-/reload")).await {
        Ok(Ok(())) => text(StatusCode::OK, "reloaded\n"),
        Ok(Err(_)) => text(StatusCode::INTERNAL_SERVER_ERROR, "reload failed; the log says why\n"),
        Err(_) => later("the reload takes long; the log will say how it ends\n", PATIENCE),
    }
}

/// Counts a reload.
///
/// # Errors
///
/// The time until the next reload is admitted.
fn admit_reload(last: &Mutex<Option<Instant>>, now: Instant) -> Result<(), Duration> {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    let since = last.map_or(RELOAD_INTERVAL, |last| now.saturating_duration_since(last));
    match RELOAD_INTERVAL.checked_sub(since).filter(|wait| !wait.is_zero()) {
        Some(wait) => Err(wait),
        None => {
            *last = Some(now);
            Ok(())
        }
    }
}

/// Whether this client may ask for a reload. A browser may not: any page that its user opens could
/// make it ask.
fn may_reload(client: &Client, is_authenticated: bool, headers: &HeaderMap) -> bool {
    let is_local = client.address.is_none_or(|address| address.is_loopback());
    let is_browser = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
    (is_local || is_authenticated) && !is_browser
}

/// The endpoints that can be read.
fn get(app: &App, request: &Request<Incoming>) -> Response<Bytes> {
    if let Some(refused) = refused_form(request, &[Method::GET, Method::HEAD], "GET, HEAD") {
        return refused;
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

fn overview(app: &App) -> Response<Bytes> {
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
) -> Response<Bytes> {
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

fn metrics(app: &App, request: &Request<Incoming>) -> Response<Bytes> {
    page(request, |format, encoding| {
        let content = Content {
            snapshot: app.sampler.snapshot(),
            attribution: app.holders.as_ref().map(|holders| holders.current(Moment::now())),
            history: app.history.as_ref().map(|history| history.view()),
        };
        app.pages.get(content, app.connections.evicted(), format, encoding)
    })
}

/// A page for Prometheus, in the format and the encoding that this client prefers.
fn page(
    request: &Request<Incoming>,
    make: impl FnOnce(Format, Encoding) -> Bytes,
) -> Response<Bytes> {
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

    #[test]
    fn a_scraper_says_how_long_it_waits() {
        let mut headers = HeaderMap::new();
        assert_eq!(patience(&headers), PATIENCE);
        for (value, millis) in [
            ("1.5", 1500),
            ("10", 10_000),
            ("0", 0),
            ("3600", 60_000),
            ("-1", 10_000),
            ("NaN", 10_000),
            ("1e99", 10_000),
            ("soon", 10_000),
        ] {
            headers.insert("x-prometheus-scrape-timeout-seconds", HeaderValue::from_static(value));
            assert_eq!(patience(&headers), Duration::from_millis(millis), "{value}");
        }
    }

    #[test]
    fn a_reload_is_admitted_once_a_second() {
        let (last, begin) = (Mutex::default(), Instant::now());
        let at = |millis| admit_reload(&last, begin + Duration::from_millis(millis));
        let wait = |millis| Err(Duration::from_millis(millis));
        assert_eq!([at(0), at(0), at(999)], [Ok(()), wait(1000), wait(1)]);
        assert_eq!([at(1000), at(1500), at(5000)], [Ok(()), wait(500), Ok(())]);
    }

    #[test]
    fn a_reload_is_for_this_machine_and_for_known_clients() {
        let client = |address: Option<&str>| Client {
            address: address.map(|address| address.parse().unwrap()),
            is_verified: false,
        };
        let none = HeaderMap::new();
        for local in [None, Some("127.0.0.1"), Some("127.8.0.1"), Some("::1")] {
            assert!(may_reload(&client(local), false, &none), "{local:?}");
        }
        let other = client(Some("192.0.2.1"));
        assert!(!may_reload(&other, false, &none));
        assert!(may_reload(&other, true, &none));
        // A page in a browser on this machine.
        for (name, value) in [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert!(!may_reload(&client(None), true, &headers), "{name}");
        }
    }
}
