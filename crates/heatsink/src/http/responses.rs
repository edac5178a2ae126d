//! Responses that all endpoints share.

use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

/// A line of text.
pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Bytes> {
    respond(status, "text/plain; charset=utf-8", body)
}

/// A response of any kind.
pub(super) fn respond(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Status 503, and when to try again.
pub(super) fn later(why: &'static str, wait: Duration) -> Response<Bytes> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, why);
    retry_after(response.headers_mut(), wait);
    response
}

/// Says when to try again: in whole seconds, rounded up.
pub(super) fn retry_after(headers: &mut HeaderMap, wait: Duration) {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    headers.insert(header::RETRY_AFTER, seconds.max(1).into());
}

/// Why a request is refused for its method or its body.
pub(super) fn refused_form(
    request: &Request<Incoming>,
    methods: &[Method],
    allow: &'static str,
) -> Option<Response<Bytes>> {
    if !methods.contains(request.method()) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("use {allow}\n"));
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        return Some(response);
    }
    let has_body = !request.body().is_end_stream();
    has_body.then(|| text(StatusCode::PAYLOAD_TOO_LARGE, "no request has a body here\n"))
}
