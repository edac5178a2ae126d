//! `/api/v1/history` and `/api/v1/incidents`: what was recorded, as JSON.
//!
//! A recording may have to be read from a slow disk, and an hour of it takes milliseconds to decode. No
//! request is therefore answered on the thread that serves pages.

mod ask;
mod json;
mod reading;

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use history::history::History;
use history::query::QueryError;
use history::recording::Recording as _;
use history::time::Time;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::Value;

use self::ask::{HistoryQuestion, IncidentsQuestion};
pub(crate) use self::reading::HistoryReaders;
use self::reading::{Read, Refused};
use super::responses::{refused_form, respond, retry_after};

/// The most points of an answer: as many as Prometheus gives for a series.
const MOST_POINTS: usize = 11_000;

/// Why there is no answer: a status and a sentence.
type Refusal = (StatusCode, String);

/// Answers a request for `/api/v1/...`. `history` is `None` if nothing is recorded.
pub(super) async fn answer(
    history: Option<&Arc<History>>,
    readers: &HistoryReaders,
    request: &Request<Incoming>,
) -> Response<Bytes> {
    if let Some(mut refused) = refused_form(request, &[Method::GET, Method::HEAD], "GET, HEAD") {
        let why = String::from_utf8_lossy(refused.body()).trim().to_owned();
        *refused.body_mut() = json::error(&why).into();
        finish(refused.headers_mut());
        return refused;
    }
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let asked = asked(path, query, Time::of(SystemTime::now()));
    let answer = match (asked, history) {
        (Err(refusal), _) => Err(refusal),
        (Ok(_), None) => {
            Err((StatusCode::NOT_FOUND, "nothing is recorded: --history is false".to_owned()))
        }
        (Ok(question), Some(history)) => {
            let (history, is_in_memory) = (Arc::clone(history), question.is_in_memory(history));
            match readers.run(is_in_memory, move |read| question.answer(&history, read)).await {
                Ok(answer) => answer,
                Err(Refused { wait, why }) => {
                    let mut response = of_json(StatusCode::SERVICE_UNAVAILABLE, json::error(why));
                    retry_after(response.headers_mut(), wait);
                    return response;
                }
            }
        }
    };
    match answer {
        Ok(value) => of_json(StatusCode::OK, format!("{value}\n")),
        Err((status, why)) => of_json(status, json::error(&why)),
    }
}

/// A question to the history.
enum Question {
    History(HistoryQuestion),
    Incidents(IncidentsQuestion),
}

/// Reads a path and a query.
fn asked(path: &str, query: &str, now: Time) -> Result<Question, Refusal> {
    let bad = |why| (StatusCode::BAD_REQUEST, why);
    match path {
        "/api/v1/history" => HistoryQuestion::read(query, now).map(Question::History).map_err(bad),
        "/api/v1/incidents" => IncidentsQuestion::read(query).map(Question::Incidents).map_err(bad),
        _ => {
            let why = "there is no such path: try /api/v1/history or /api/v1/incidents";
            Err((StatusCode::NOT_FOUND, why.to_owned()))
        }
    }
}

impl Question {
    /// Whether memory alone has the answer.
    fn is_in_memory(&self, history: &History) -> bool {
        match self {
            Self::Incidents(_) => false,
            Self::History(HistoryQuestion { query, .. }) => {
                let oldest = history.view().memory_oldest.map(Time::of);
                oldest.is_some_and(|oldest| oldest <= query.range.from)
            }
        }
    }

    /// Reads the answer. Blocks.
    fn answer(self, history: &History, read: &Read) -> Result<Value, Refusal> {
        match self {
            Self::History(HistoryQuestion { query }) => {
                let answer = history::query::points(&read.of(history), &query, MOST_POINTS)
                    .map_err(|error| {
                        let status = match &error {
                            QueryError::UnknownSignal { .. } | QueryError::UnknownGpu { .. } => {
                                StatusCode::NOT_FOUND
                            }
                            QueryError::Read(_) => StatusCode::INTERNAL_SERVER_ERROR,
                        };
                        (status, error.to_string())
                    })?;
                Ok(json::points(&answer, query.range))
            }
            Self::Incidents(question) => {
                let incidents = history
                    .incidents()
                    .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
                json::incidents(&incidents, question)
                    .ok_or_else(|| (StatusCode::NOT_FOUND, json::unknown_incident(&incidents)))
            }
        }
    }
}

fn of_json(status: StatusCode, body: String) -> Response<Bytes> {
    let mut response = respond(status, "application/json", body);
    finish(response.headers_mut());
    response
}

fn finish(headers: &mut header::HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}
