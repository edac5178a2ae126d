//! `/api/v1/history` and `/api/v1/incidents`: what was recorded, as JSON.
//!
//! A recording may have to be read from a slow disk, and an hour of it takes milliseconds to decode. No
//! request is therefore answered on the thread that serves pages.

mod ask;
mod json;
mod reading;

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use history::history::History;
use history::query::QueryError;
use history::recording::{ReadError, Recording};
use history::time::{Range, Time};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use self::ask::{HistoryQuestion, IncidentsQuestion};
pub(crate) use self::reading::HistoryReaders;
use self::reading::{Read, Refused};
use super::responses::{refused_form, respond, retry_after};

/// The most points of an answer: as many as Prometheus gives for a series.
const MOST_POINTS: usize = 11_000;

/// Memory forgets no less than this at once.
const LEAST_FORGOTTEN: Duration = Duration::from_secs(30);

/// Why there is no answer: a status and a sentence.
type Refusal = (StatusCode, String);

/// Answers a request of this client (`None` at a Unix socket) for `/api/v1/...`. `history` is `None` if
/// nothing is recorded.
pub(super) async fn answer(
    history: Option<&Arc<History>>,
    readers: &HistoryReaders,
    client: Option<IpAddr>,
    request: &Request<Incoming>,
) -> Response<Bytes> {
    if let Some(mut refused) = refused_form(request, &[Method::GET, Method::HEAD], "GET, HEAD") {
        let why = String::from_utf8_lossy(refused.body()).trim().to_owned();
        *refused.body_mut() = json::error(&why).into();
        finish(refused.headers_mut());
        return refused;
    }
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let asked = asked(path, query, now(history, Time::of(SystemTime::now())));
    let answer = match (asked, history) {
        (Err(refusal), _) => Err(refusal),
        (Ok(_), None) => {
            Err((StatusCode::NOT_FOUND, "nothing is recorded: --history is false".to_owned()))
        }
        (Ok(question), Some(history)) => {
            let (history, is_in_memory) = (Arc::clone(history), question.is_in_memory(history));
            match readers
                .run(client, is_in_memory, move |read| {
                    question.answer(&history, is_in_memory, read)
                })
                .await
            {
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
        Ok(body) => of_json(StatusCode::OK, body),
        Err((status, why)) => of_json(status, json::error(&why)),
    }
}

/// Now on the clock of the recording. Simulated time may pass faster than that of the wall clock.
fn now(history: Option<&Arc<History>>, wall: Time) -> Time {
    let memory = history.and_then(|history| history.memory().extent().ok()?);
    memory.map_or(wall, |extent| extent.to.max(wall))
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
        let view = history.view();
        let Some(store) = &view.store else { return true };
        let (oldest, oldest_stored) =
            (view.memory_oldest.map(Time::of), store.oldest.map(Time::of));
        match (self, oldest) {
            (Self::Incidents(_), _) | (_, None) => false,
            (Self::History(HistoryQuestion { query }), Some(oldest)) => {
                // The first segment begins with events. Memory forgets whole minutes.
                let is_all = !history.has_previous()
                    && oldest_stored.is_none_or(|stored| oldest.since(stored) < LEAST_FORGOTTEN);
                oldest <= query.range.from || is_all
            }
        }
    }

    /// Reads the answer, as JSON. Blocks.
    fn answer(self, history: &History, is_in_memory: bool, read: &Read) -> Result<String, Refusal> {
        match self {
            Self::History(HistoryQuestion { query }) => {
                let ask = |recording: &dyn Recording| {
                    history::query::points(recording, &query, MOST_POINTS).map_err(refusal)
                };
                let memory = is_in_memory.then(|| history.memory());
                let answer = match &memory {
                    Some(memory) => ask(&read.of(&**memory)),
                    None => ask(&read.of(history)),
                }?;
                let recorded = recorded(history, is_in_memory).map_err(internal)?;
                json::points(&answer, query.range, recorded).map_err(internal)
            }
            Self::Incidents(IncidentsQuestion::One(number)) => {
                match history.incident(number).map_err(internal)? {
                    Some(incident) => {
                        json::incident(&incident.map_err(internal)?).map_err(internal)
                    }
                    None => Err((StatusCode::NOT_FOUND, json::unknown_incident(newest(history)?))),
                }
            }
            Self::Incidents(IncidentsQuestion::List(limit)) => {
                let (mut summaries, mut unread) = (Vec::new(), Vec::new());
                let total = history.visit_incidents(&mut |incident| {
                    match incident {
                        Ok(incident) => summaries.push(json::summary(&incident)),
                        Err(error) => unread.push(error.to_string()),
                    }
                    match summaries.len() + unread.len() < limit && read.is_wanted() {
                        true => ControlFlow::Continue(()),
                        false => ControlFlow::Break(()),
                    }
                });
                let summaries = summaries.into_iter().collect::<Result<Vec<_>, _>>();
                let summaries = summaries.map_err(internal)?;
                json::list(&summaries, &unread, total.map_err(internal)?).map_err(internal)
            }
        }
    }
}

/// The number of the newest incident.
fn newest(history: &History) -> Result<Option<u64>, Refusal> {
    let mut newest = None;
    let visit = history.visit_incidents(&mut |incident| {
        newest = Some(incident.map_or_else(|unread| unread.number(), |newest| newest.number));
        ControlFlow::Break(())
    });
    visit.map(|_| newest).map_err(internal)
}

fn internal(error: impl std::fmt::Display) -> Refusal {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

/// What the answer to a question about a signal is refused with.
fn refusal(error: QueryError) -> Refusal {
    let status = match &error {
        QueryError::UnknownSignal { .. } | QueryError::UnknownGpu { .. } => StatusCode::NOT_FOUND,
        QueryError::Read(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, error.to_string())
}

/// From when to when something is recorded. Without files, these begin where the oldest segment does.
fn recorded(history: &History, is_in_memory: bool) -> Result<Option<Range>, ReadError> {
    if !is_in_memory {
        return history.extent();
    }
    let memory = history.memory().extent()?;
    let stored = history.view().store.as_ref().and_then(|store| store.oldest).map(Time::of);
    let from = |memory: Range| stored.map_or(memory.from, |stored| stored.min(memory.from));
    Ok(memory.map(|memory| Range { from: from(memory), ..memory }))
}

fn of_json(status: StatusCode, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = respond(status, "application/json", body);
    finish(response.headers_mut());
    response
}

fn finish(headers: &mut header::HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use history::history::Settings;
    use history::incident::Incident;
    use history::recording::Item;
    use history::store::StoreSettings;
    use model::Moment;
    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;
    use crate::history::export::made;

    /// A history with everything of a recording made by hand.
    fn recorded_by(store: Option<StoreSettings>) -> Arc<History> {
        let history = History::open(Settings { store, boot_id: None });
        let mut layout = None;
        let append = |item: Item<'_>| {
            match (item, &layout) {
                (Item::Layout(new), _) => layout = Some(Arc::clone(new)),
                (Item::Row(row), Some(layout)) => {
                    history.append(Moment::now(), layout, Some(row), &[], false);
                }
                (Item::Event(event), Some(layout)) => {
                    let events = std::slice::from_ref(event);
                    history.append(Moment::now(), layout, None, events, true);
                }
                (_, None) => {}
            }
            ControlFlow::Continue(())
        };
        let mut append = append;
        made::recording().read(Range::ALL, &mut append).unwrap();
        Arc::new(history)
    }

    fn question(query: &str) -> Question {
        asked("/api/v1/history", query, Time(made::BEGIN + 3_001)).ok().unwrap()
    }

    const END: Time = Time(made::BEGIN + 3_001);

    fn store(folder: &TempDir) -> StoreSettings {
        StoreSettings {
            directory: folder.path().join("history"),
            max_bytes: 1 << 30,
            keep: Duration::from_secs(7 * 24 * 3600),
        }
    }

    #[test]
    fn memory_answers_where_there_is_nothing_else() {
        let folder = TempDir::new().unwrap();
        let store = || store(&folder);
        let hour = || question("signal=power");
        let incidents = || asked("/api/v1/incidents", "", END).ok().unwrap();
        let alone = recorded_by(None);
        assert!(hour().is_in_memory(&alone) && incidents().is_in_memory(&alone));
        let first = recorded_by(Some(store()));
        assert!(hour().is_in_memory(&first), "nothing is older");
        assert!(!incidents().is_in_memory(&first));
        first.close();
        drop(first);
        let second = recorded_by(Some(store()));
        assert!(!hour().is_in_memory(&second), "the run before has recorded");
        assert!(question("signal=power&from=-1s").is_in_memory(&second));
    }

    #[test]
    fn now_is_not_before_the_end_of_the_recording() {
        let history = recorded_by(None);
        assert_eq!(now(Some(&history), Time(5)), END);
        assert_eq!(now(Some(&history), Time(END.0 + 5)), Time(END.0 + 5));
        assert_eq!(now(None, Time(5)), Time(5));
    }

    #[test]
    fn incidents_are_listed_from_the_newest_and_told_one_by_one() {
        let ask = |history: &History, query| {
            let question = asked("/api/v1/incidents", query, END).ok().unwrap();
            let answer = question.answer(history, true, &Read::default());
            answer.map(|text| serde_json::from_str::<Value>(&text).unwrap())
        };
        let history = recorded_by(None);
        let none = (StatusCode::NOT_FOUND, "there is no such incident: none was recorded".into());
        assert_eq!(ask(&history, "id=1"), Err(none));
        for number in [1, 2, 4] {
            history.record_incident(&made::incident(number));
        }
        let list = ask(&history, "limit=2").unwrap();
        let numbers = list["incidents"].as_array().unwrap().iter().map(|one| &one["number"]);
        assert_eq!(numbers.collect::<Vec<_>>(), [4, 2]);
        assert_eq!(list["total"], 3);
        let one = serde_json::from_value::<Incident>(ask(&history, "id=2").unwrap()).unwrap();
        assert_eq!(one, made::incident(2));
        let none = (StatusCode::NOT_FOUND, "there is no such incident; the newest is 4".into());
        assert_eq!(ask(&history, "id=3"), Err(none));
    }

    #[test]
    fn an_incident_that_cannot_be_read_is_named() {
        let folder = TempDir::new().unwrap();
        let store = || store(&folder);
        let history = recorded_by(Some(store()));
        for number in [1, 2] {
            history.record_incident(&made::incident(number));
        }
        history.close();
        std::fs::write(folder.path().join("history/incident-2.heatsink"), "garbage").unwrap();
        let history = History::open(Settings { store: Some(store()), boot_id: None });
        let ask = |query| {
            let question = asked("/api/v1/incidents", query, END).ok().unwrap();
            question.answer(&history, false, &Read::default())
        };
        let why = "incident 2 is damaged and cannot be read";
        let list: Value = serde_json::from_str(&ask("").unwrap()).unwrap();
        assert_eq!((&list["total"], &list["unread"]), (&2.into(), &vec![why].into()), "{list}");
        assert_eq!(ask("id=2"), Err((StatusCode::INTERNAL_SERVER_ERROR, why.into())));
        assert!(ask("id=1").is_ok());
    }

    #[test]
    fn an_answer_says_what_is_recorded() {
        let history = recorded_by(None);
        let read = Read::default();
        let answer = |query, history: &Arc<History>| -> Value {
            let text = question(query).answer(history, true, &read).unwrap();
            serde_json::from_str(&text).unwrap()
        };
        let recorded = serde_json::json!({"from": made::BEGIN, "to": END.0});
        let none = answer("signal=power&from=1000&to=2000", &history);
        assert_eq!((&none["recorded"], &none["series"]), (&recorded, &serde_json::json!([])));
        assert_eq!(answer("signal=power", &history)["recorded"], recorded);
        let empty = Arc::new(History::open(Settings { store: None, boot_id: None }));
        assert_eq!(answer("signal=power", &empty)["recorded"], Value::Null);
    }
}
