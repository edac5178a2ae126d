//! `/api/v1/history` and `/api/v1/incidents`.

use std::sync::Arc;

use bytes::Bytes;
use history::history::History;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};

use super::responses::{refused_form, text};

/// Answers a request for `/api/v1/...`. `history` is `None` if nothing is recorded.
pub(super) async fn answer(
    history: Option<&Arc<History>>,
    request: &Request<Incoming>,
) -> Response<Bytes> {
    if let Some(refused) = refused_form(request, &[Method::GET, Method::HEAD], "GET, HEAD") {
        return refused;
    }
    let _ = history;
    text(StatusCode::NOT_FOUND, "try /metrics, /health, /ready or /\n")
}
