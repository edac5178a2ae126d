//! The server: accepts connections, encrypts them if the site asks for that, speaks HTTP/1.1 and
//! HTTP/2, and keeps its limits. What it serves is a [`Site`].
//!
//! Everything but handshakes runs on one thread.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::ServerConfig;
use web_config::Encryption;

use super::handshakes::Handshakes;
use super::responses::{later, text};
use super::transport::{Transport, Wire};
use crate::connections::{Activity, ConnectionLimiter, Permit, Unsent, may_warn};
use crate::listen::{Listener, SocketFile};

/// How long a client may take to send the head of a request. The time between two requests of a
/// connection counts too, so it is longer than the usual scrape intervals.
const HEAD_TIMEOUT: Duration = Duration::from_secs(90);

/// How long the handshake of TLS may take, with the wait for its first byte.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may read nothing of a response.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection lives. A client that keeps sending requests does not notice.
const CONNECTION_AGE: Duration = Duration::from_secs(300);

/// How long responses in progress may take when the program stops.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// The most bytes of the head of a request.
const MAX_HEAD: usize = 16 * 1024;

/// The most headers of a request.
const MAX_HEADERS: usize = 64;

/// The most requests at a time on one connection of HTTP/2.
const MAX_STREAMS: u32 = 16;

/// Bytes of a response that HTTP/2 takes at a time, so that a client that does not read keeps little
/// besides the page.
const HTTP2_CHUNK: usize = 16 * 1024;

/// What is served.
pub(crate) trait Site: Send + Sync + 'static {
    /// The open connections.
    fn connections(&self) -> &Arc<ConnectionLimiter>;

    /// How a new connection is encrypted; `None` if it is not. If another one is used than when a
    /// connection was accepted, that connection is closed after its current response.
    fn tls(&self) -> Option<Encryption>;

    /// Headers that every response has, besides those that it has by default.
    fn headers(&self) -> Arc<[(HeaderName, HeaderValue)]>;

    /// The response to a request.
    fn answer(
        &self,
        client: &Client,
        request: &Request<Incoming>,
    ) -> impl Future<Output = Response<Bytes>> + Send;
}

/// Who sends requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Client {
    /// `None` at a Unix socket.
    pub(crate) address: Option<IpAddr>,
    /// Whether it has shown a certificate that was verified.
    pub(crate) is_verified: bool,
}

/// The listening sockets of a server.
pub(crate) struct Listeners {
    sockets: Vec<Listening>,
    /// Which one is asked first, so that no busy one keeps others waiting.
    first: usize,
}

enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener, #[expect(dead_code, reason = "dropped with the socket")] Option<SocketFile>),
}

enum Stream {
    Tcp(TcpStream, IpAddr),
    Unix(UnixStream),
}

impl Listeners {
    /// Takes the sockets into the runtime of this thread.
    ///
    /// # Errors
    ///
    /// When the system refuses to watch one.
    pub(crate) fn new(listeners: Vec<Listener>) -> io::Result<Self> {
        let listening = |listener| match listener {
            Listener::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Listening::Tcp)
            }
            Listener::Unix(listener, file) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(|listener| Listening::Unix(listener, file))
            }
        };
        let sockets = listeners.into_iter().map(listening).collect::<io::Result<_>>()?;
        Ok(Self { sockets, first: 0 })
    }

    async fn accept(&mut self) -> io::Result<Stream> {
        poll_fn(|context| {
            for turn in 0..self.sockets.len() {
                let index = (self.first + turn) % self.sockets.len();
                if let Poll::Ready(accepted) = self.sockets[index].poll_accept(context) {
                    self.first = index + 1;
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl Listening {
    fn poll_accept(&self, context: &mut Context) -> Poll<io::Result<Stream>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(context).map_ok(|(stream, peer)| {
                // Responses are written at once; waiting to fill a packet would only delay them.
                let _ = stream.set_nodelay(true);
                Stream::Tcp(stream, peer.ip().to_canonical())
            }),
            Self::Unix(listener, _) => {
                listener.poll_accept(context).map_ok(|(stream, _)| Stream::Unix(stream))
            }
        }
    }
}

impl Stream {
    fn client(&self) -> Client {
        let address = match self {
            Self::Tcp(_, address) => Some(*address),
            Self::Unix(_) => None,
        };
        Client { address, is_verified: false }
    }

    fn into_wire(self) -> Wire {
        match self {
            Self::Tcp(stream, _) => Box::new(stream),
            Self::Unix(stream) => Box::new(stream),
        }
    }

    /// Writes as much as the kernel takes at once, and closes the connection. What has come is read
    /// before the close: with unread bytes, the kernel resets the connection and the client may not see
    /// the message.
    fn close_with(self, message: &[u8]) {
        let mut buffer = [0; 4096];
        let _ = match &self {
            Self::Tcp(tcp, _) => tcp.try_write(message).and_then(|_| tcp.try_read(&mut buffer)),
            Self::Unix(unix) => unix.try_write(message).and_then(|_| unix.try_read(&mut buffer)),
        };
    }
}

/// Serves until `stop` turns true; then lets the responses in progress finish.
pub(crate) async fn serve<S: Site>(
    mut listeners: Listeners,
    site: Arc<S>,
    stop: watch::Receiver<bool>,
) {
    let handshakes = Arc::new(Handshakes::default());
    let mut stopping = stop.clone();
    let mut last_warning = None;
    loop {
        let accepted = async {
            match listeners.accept().await {
                Ok(stream) => {
                    let permit = site.connections().acquire(stream.client().address).await;
                    Ok((stream, permit))
                }
                Err(error) => Err(error),
            }
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            _ = stopping.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, Some(permit))) => {
                let activity = Arc::clone(permit.activity());
                let connection = serve_connection(
                    stream,
                    Arc::clone(&site),
                    Arc::clone(&handshakes),
                    activity,
                    stop.clone(),
                );
                tokio::spawn(until_evicted(connection, permit));
            }
            Ok((stream, None)) => {
                // The client of an encrypted connection would not understand it.
                if site.tls().is_none() {
                    let response = later("too many connections\n", Duration::from_secs(1));
                    stream.close_with(&as_bytes(response, site.as_ref()));
                }
            }
            Err(error) => {
                let now = Instant::now();
                if may_warn(&mut last_warning, now) {
                    tracing::warn!("cannot accept a connection: {error}");
                }
                // Out of file descriptors, most likely: that gives one back.
                site.connections().close_idle(now);
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listeners);
    // Clients that take longer are disconnected.
    let _ = timeout(DRAIN_TIMEOUT, site.connections().drained()).await;
}

/// Serves a connection until its place is needed: it may be in a handshake, silent, in the middle of a
/// head, or not reading.
async fn until_evicted(connection: impl Future<Output = ()>, permit: Permit) {
    tokio::select! {
        () = connection => {}
        () = permit.evicted() => {}
    }
    // After the connection, which ended with the select.
    drop(permit);
}

async fn serve_connection<S: Site>(
    stream: Stream,
    site: Arc<S>,
    handshakes: Arc<Handshakes>,
    activity: Arc<Activity>,
    stop: watch::Receiver<bool>,
) {
    let client = stream.client();
    let tls = site.tls();
    let config = tls.as_ref().map(|tls| Arc::clone(&tls.config));
    let session = Session { site, client, activity, config, outdated: Notify::new() };
    match tls {
        None => session.speak_http1(stream.into_wire(), stop).await,
        // In a box of its own: it is several times as large.
        Some(tls) => {
            Box::pin(session.serve_encrypted(stream, tls, handshakes, stop)).await;
        }
    }
}

/// A connection.
struct Session<S> {
    site: Arc<S>,
    client: Client,
    activity: Arc<Activity>,
    /// The settings of TLS that it was accepted with.
    config: Option<Arc<ServerConfig>>,
    /// Notified when the site has others.
    outdated: Notify,
}

impl<S: Site> Session<S> {
    /// Whether the settings of TLS have changed since it was accepted.
    fn is_outdated(&self) -> bool {
        match (&self.config, self.site.tls()) {
            (None, None) => false,
            (Some(config), Some(tls)) => !Arc::ptr_eq(config, &tls.config),
            _ => true,
        }
    }

    async fn serve_encrypted(
        mut self,
        stream: Stream,
        encryption: Encryption,
        handshakes: Arc<Handshakes>,
        mut stop: watch::Receiver<bool>,
    ) {
        let Encryption { config, verifies_clients } = encryption;
        let encrypted = async {
            if let Stream::Tcp(tcp, _) = &stream {
                let mut first = [0];
                tcp.peek(&mut first).await?;
                if first[0].is_ascii_uppercase() {
                    let message = "Client sent an HTTP request to an HTTPS server.\n";
                    let response = text(StatusCode::BAD_REQUEST, message);
                    stream.close_with(&as_bytes(response, self.site.as_ref()));
                    return Err(io::Error::other("a request that is not encrypted"));
                }
            }
            handshakes.run(config, stream.into_wire()).await
        };
        let encrypted = tokio::select! {
            encrypted = timeout(HANDSHAKE_TIMEOUT, encrypted) => encrypted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let encrypted = match encrypted {
            Ok(Ok(encrypted)) => encrypted,
            Ok(Err(error)) => {
                return tracing::debug!("no TLS with {:?}: {error}", self.client.address);
            }
            Err(_) => return tracing::debug!("no TLS with {:?} in time", self.client.address),
        };
        let (_, tls) = encrypted.get_ref();
        self.client.is_verified = verifies_clients && tls.peer_certificates().is_some();
        let is_http2 = tls.alpn_protocol() == Some(b"h2");
        let wire: Wire = Box::new(encrypted);
        match is_http2 {
            true => self.speak_http2(wire, stop).await,
            false => self.speak_http1(wire, stop).await,
        }
    }

    async fn speak_http1(self, wire: Wire, stop: watch::Receiver<bool>) {
        let transport = Transport::new(wire, Arc::clone(&self.activity), WRITE_TIMEOUT);
        let session = Arc::new(self);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .serve_connection(
                TokioIo::new(transport),
                service_fn(move |request| answer(Arc::clone(&session), request)),
            );
        let (overdue, outdated) = (std::future::pending(), std::future::pending());
        drive(connection, http1::Connection::graceful_shutdown, overdue, outdated, stop).await;
    }

    async fn speak_http2(self, wire: Wire, stop: watch::Receiver<bool>) {
        let transport = Transport::new(wire, Arc::clone(&self.activity), WRITE_TIMEOUT);
        let activity = Arc::clone(&self.activity);
        let overdue = async move {
            while !activity.is_overdue(Instant::now()) {
                sleep(Duration::from_secs(1)).await;
            }
        };
        let session = Arc::new(self);
        let served = Arc::clone(&session);
        let outdated = async move { served.outdated.notified().await };
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEAD as u32)
            // No request has a body.
            .initial_stream_window_size(HTTP2_CHUNK as u32)
            .initial_connection_window_size(64 * 1024)
            .max_send_buf_size(HTTP2_CHUNK)
            .keep_alive_interval(None)
            .serve_connection(
                TokioIo::new(transport),
                service_fn(move |request| answer(Arc::clone(&session), request)),
            );
        drive(connection, http2::Connection::graceful_shutdown, overdue, outdated, stop).await;
    }
}

/// Runs a connection until it ends, is old or outdated, or the program stops; or, without a grace, is
/// overdue.
async fn drive<C: Future>(
    connection: C,
    shut_down: fn(Pin<&mut C>),
    overdue: impl Future<Output = ()>,
    outdated: impl Future<Output = ()>,
    mut stop: watch::Receiver<bool>,
) {
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = overdue => return,
        () = sleep(CONNECTION_AGE) => {}
        () = outdated => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    shut_down(connection.as_mut());
    // An error of one connection does not concern the others.
    let _ = timeout(Duration::from_secs(10), connection).await;
}

async fn answer<S: Site>(
    session: Arc<Session<S>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let answering = session.activity.answering(Instant::now());
    let is_http2 = request.version() == Version::HTTP_2;
    let mut response = match request.headers().len() {
        0..=MAX_HEADERS => session.site.answer(&session.client, &request).await,
        _ => text(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "too many headers\n"),
    };
    let headers = response.headers_mut();
    add_headers(headers, session.site.as_ref());
    let is_outdated = session.is_outdated();
    if is_outdated && is_http2 {
        session.outdated.notify_one();
    }
    // With a body, all of it would have to be read to find the next request.
    if !is_http2 && (is_outdated || !request.body().is_end_stream()) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let (mut head, mut bytes) = response.into_parts();
    if is_http2 && *request.method() == Method::HEAD {
        head.headers.insert(header::CONTENT_LENGTH, bytes.len().into());
        bytes.clear();
    }
    let chunk = if is_http2 { HTTP2_CHUNK } else { usize::MAX };
    Ok(Response::from_parts(head, Body { bytes, chunk, unsent: answering.unsent(Instant::now()) }))
}

/// Adds the headers that every response has.
fn add_headers(headers: &mut HeaderMap, site: &impl Site) {
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "deny"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in site.headers().iter() {
        headers.insert(name, value.clone());
    }
}

/// The last response of a connection that no HTTP is spoken on, as it is sent.
fn as_bytes(mut response: Response<Bytes>, site: &impl Site) -> Vec<u8> {
    let length = response.body().len();
    let headers = response.headers_mut();
    add_headers(headers, site);
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let mut bytes = format!("HTTP/1.1 {}\r\n", response.status()).into_bytes();
    for (name, value) in response.headers() {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend(b"\r\n");
    bytes.extend(response.body());
    bytes
}

/// The body of a response. Its connection is not idle until it is taken.
struct Body {
    bytes: Bytes,
    /// The most bytes that are taken at a time.
    chunk: usize,
    unsent: Unsent,
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        self.unsent.sent(Instant::now());
        let length = self.bytes.len().min(self.chunk);
        Poll::Ready(Some(Ok(Frame::data(self.bytes.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests;
