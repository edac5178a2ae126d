//! `/api/v1/history` and `/api/v1/incidents`: errors, limits, and who may read them.

use serde_json::Value;
use tempfile::TempDir;
use testkit::exporter::{Answer, Exporter};
use testkit::page::metric;

use crate::http::say;
use crate::rig::{BINARY, PATIENCE};
use crate::web::{RIGHT, put};

fn started(args: &[&str]) -> Exporter {
    let args = [&["--source", "sim", "--sim-scenario", "steady"], args].concat();
    Exporter::start(BINARY, &args, &[])
}

/// The sentence of an error.
fn error(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    let object = body.as_object().expect("an object");
    assert_eq!(object.len(), 1, "{body}");
    object["error"].as_str().expect("a text").to_owned()
}

fn json(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    serde_json::from_str(&answer.body).expect("JSON")
}

#[test]
fn mistakes_have_a_status_and_a_sentence() {
    let exporter = started(&["--history-dir", "none"]);
    for (path, status, why) in [
        ("/api/v1/history", 400, "signal is missing"),
        ("/api/v1/history?signal=power&gpu=x", 400, "gpu is `x`; write an index or a UUID"),
        ("/api/v1/history?signal=power&from=then", 400, "from is `then`; write seconds"),
        ("/api/v1/history?signal=power&from=5&to=4", 400, "to is before from"),
        ("/api/v1/history?signal=power&from=0", 400, "more than 7 days apart"),
        ("/api/v1/history?signal=power&step=0", 400, "step is `0`"),
        ("/api/v1/history?signal=power&stepp=1", 400, "there is no parameter `stepp`"),
        ("/api/v1/history?signal=powre", 404, "there is no signal `powre` (near it: power"),
        ("/api/v1/incidents?id=first", 400, "id is `first`; write the number"),
        ("/api/v1/incidents?limit=0", 400, "limit is `0`"),
        ("/api/v1/incidents?id=4711", 404, "there is no such incident"),
        ("/api/v1/", 404, "try /api/v1/history or /api/v1/incidents"),
        ("/api/v1/history/x", 404, "there is no such path"),
    ] {
        let answer = exporter.get(path);
        let sentence = error(&answer);
        assert_eq!(answer.status, status, "{path}: {sentence}");
        assert!(sentence.contains(why), "{path}: {sentence}");
    }
}

#[test]
fn questions_are_answered_without_a_folder() {
    // Time stands still, so that each value is that of the page.
    let exporter = started(&["--history-dir", "none", "--sim-at", "100"]);
    let ask = || {
        let path = "/api/v1/history?signal=gpu_temperature&gpu=3&from=-10m&step=5s";
        json(&exporter.get(path))
    };
    let heat = metric("DCGM_FI_DEV_GPU_TEMP").label("gpu", "3");
    let is_recorded = || ask()["series"][0]["points"][0]["count"].as_u64() > Some(0);
    let (page, _) = exporter
        .wait_for("a value and a point", PATIENCE, |page| heat.is_in(page) && is_recorded());
    let shown = page.value_of(&heat);
    let answer = ask();
    assert_eq!((&answer["signal"], &answer["unit"]), (&"gpu_temperature".into(), &"°C".into()));
    assert_eq!(answer["step_ms"], 5000);
    let series = answer["series"].as_array().expect("a list");
    assert_eq!((series.len(), &series[0]["gpu"]["index"]), (1, &3.into()), "{answer}");
    for name in ["min", "mean", "max", "last"] {
        assert_eq!(series[0]["points"][0][name].as_f64(), shown, "{name}: {answer}");
    }
    let incidents = json(&exporter.get("/api/v1/incidents"));
    assert_eq!(incidents, serde_json::json!({"incidents": [], "total": 0}));
}

#[test]
fn without_a_history_the_answer_says_so() {
    let exporter = started(&["--history=false"]);
    for path in ["/api/v1/history?signal=power", "/api/v1/incidents"] {
        let answer = exporter.get(path);
        assert_eq!(
            (answer.status, error(&answer).as_str()),
            (404, "nothing is recorded: --history is false")
        );
    }
    // A mistake is one anyway.
    assert_eq!(exporter.get("/api/v1/history").status, 400);
}

#[test]
fn only_requests_that_read_are_answered() {
    let exporter = started(&["--history-dir", "none"]);
    let ask = |head: &str| {
        say(&exporter, format!("{head}Host: x\r\nConnection: close\r\n\r\n").as_bytes())
    };
    let head = ask("HEAD /api/v1/history?signal=power HTTP/1.1\r\n");
    let (head, body) = head.split_once("\r\n\r\n").expect("a head");
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.contains("cache-control: no-store"),
        "{head}"
    );
    assert_eq!(body, "");
    let post = ask("POST /api/v1/incidents HTTP/1.1\r\n");
    assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("allow: GET, HEAD"), "{post}");
    assert!(post.ends_with("{\"error\":\"use GET, HEAD\"}\n"), "{post}");
    let body = say(
        &exporter,
        b"GET /api/v1/incidents HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
    );
    assert!(body.starts_with("HTTP/1.1 413 "), "{body}");
}

#[test]
fn the_web_configuration_says_who_may_read() {
    let folder = TempDir::new().expect("a temporary folder");
    put(folder.path(), "web.yml", &format!("basic_auth_users: {{reader: {RIGHT}}}\n"));
    let file = folder.path().join("web.yml").display().to_string();
    let exporter = started(&["--history-dir", "none", "--web-config-file", &file]);
    for path in
        ["/api/v1/history?signal=power", "/api/v1/history", "/api/v1/incidents", "/api/v1/x"]
    {
        assert_eq!(exporter.get(path).status, 401, "{path}");
        let wrong = exporter.get_with(path, &[("authorization", "Basic cmVhZGVyOndyb25n")]);
        assert_eq!(wrong.status, 401, "{path}");
    }
    let right = [("authorization", "Basic cmVhZGVyOnJpZ2h0")];
    json(&exporter.get_with("/api/v1/history?signal=power", &right));
    json(&exporter.get_with("/api/v1/incidents", &right));
}
