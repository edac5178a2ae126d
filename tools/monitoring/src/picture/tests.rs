//! Whole pictures, from answers written down here.

use serde_json::json;

use super::answers::answer;
use super::colour::Colour;
use super::*;

const HOSTILE: &str = "<script>alert('x')</script>&\"]]>";

fn window() -> Window {
    Window { from: 1_777_636_800.0, to: 1_777_636_860.0, step: 1.0 }
}

fn painted(dashboard: &Value, answers: &[Answer]) -> Result<String> {
    painted_with(dashboard, answers, &[])
}

fn painted_with(dashboard: &Value, answers: &[Answer], marks: &[Mark]) -> Result<String> {
    let variables = Variables::new(1.0).with("node", Choice::One(HOSTILE.to_owned()));
    let asked = |_: &Value, _: f64| Ok((window(), answers.to_vec()));
    paint(dashboard, &variables, window(), marks, asked)
}

fn dashboard_of(kind: &str, title: &str) -> Value {
    json!({
        "title": title,
        "templating": { "list": [{ "name": "node", "type": "query" }] },
        "panels": [{
            "type": kind, "title": format!("{title} $node"), "targets": [],
            "gridPos": { "x": 0, "y": 0, "w": 12, "h": 8 },
            "fieldConfig": { "defaults": { "unit": "celsius" } },
            "options": { "content": title },
        }],
    })
}

fn points() -> Vec<(f64, f64)> {
    (0..60).map(|n| (window().from + f64::from(n), f64::from(n))).collect()
}

#[test]
fn hostile_text_is_escaped_in_every_kind_of_panel() {
    let points = points();
    let answers = [answer("A", "{{gpu}}", &[(&[("gpu", HOSTILE), (HOSTILE, "x")], &points)])];
    for (kind, _) in KINDS {
        let svg = painted(&dashboard_of(kind, HOSTILE), &answers).unwrap();
        assert!(!svg.contains("<script") && !svg.contains("alert('"), "{kind}");
        assert!(svg.contains("&lt;script&gt;"), "{kind}");
    }
}

#[test]
fn every_kind_without_data_says_so() {
    for (kind, _) in KINDS.iter().filter(|(kind, _)| *kind != "text") {
        let none = painted(&dashboard_of(kind, "t"), &[]).unwrap();
        assert!(none.contains(">No data<"), "{kind}");
        let empty = painted(&dashboard_of(kind, "t"), &[answer("A", "", &[])]).unwrap();
        assert!(empty.contains(">No data<"), "{kind}");
        let mut dashboard = dashboard_of(kind, "t");
        dashboard["panels"][0]["fieldConfig"]["defaults"]["noValue"] = json!("none reported");
        let worded = painted(&dashboard, &[]).unwrap();
        assert!(worded.contains(">none reported<") && !worded.contains(">No data<"), "{kind}");
    }
}

#[test]
fn marks_have_texts_once_below_a_heading() {
    let place = |y: u32| json!({ "x": 0, "y": y, "w": 12, "h": 8 });
    let lines = |y| json!({ "type": "timeseries", "title": "t", "gridPos": place(y) });
    let row = |y| json!({ "type": "row", "title": "r", "gridPos": place(y) });
    let dashboard = json!({ "panels": [row(0), lines(1), lines(9), row(17), lines(18)] });
    let answers = [answer("A", "x", &[(&[], &points())])];
    let mark =
        Mark { time: window().from + 30.0, colour: Colour::of("red"), text: "XID 79".to_owned() };
    let svg = painted_with(&dashboard, &answers, &[mark]).unwrap();
    assert_eq!(svg.matches(">XID 79<").count(), 2);
    assert_eq!(svg.matches("stroke-dasharray=\"4 3\"").count(), 3, "{svg}");
}

#[test]
fn every_kind_survives_numbers_that_are_none() {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308, -1e308, 1e-308];
    for value in odd {
        let series = [(window().from, value), (window().from + 1.0, value)];
        let answers = [answer("A", "x", &[(&[("gpu", "0")], &series)])];
        for (kind, _) in KINDS {
            let svg = painted(&dashboard_of(kind, "t"), &answers).unwrap();
            assert!(
                !svg.contains("\"NaN\"") && !svg.contains("LNaN") && !svg.contains("inf "),
                "{kind} {value}"
            );
        }
    }
}

#[test]
fn a_header_has_title_time_and_choice() {
    let svg = painted(&dashboard_of("text", "Fleet"), &[]).unwrap();
    assert!(svg.contains(">Fleet<"));
    assert!(svg.contains("2026-05-01 12:00:00 to 12:01:00 UTC"));
    assert!(svg.starts_with("<svg ") && svg.contains("width=\"1208\""));
}

#[test]
fn an_unknown_kind_says_so_in_its_place() {
    let svg = painted(&dashboard_of("geomap", "t"), &[]).unwrap();
    assert!(svg.contains("Type geomap: not drawn"));
}

#[test]
fn rows_are_headings() {
    let dashboard = json!({ "panels": [
        { "type": "row", "title": "Health", "gridPos": { "x": 0, "y": 3, "w": 24, "h": 1 } },
    ] });
    assert!(painted(&dashboard, &[]).unwrap().contains(">Health<"));
}

#[test]
fn an_error_names_the_panel() {
    let mut dashboard = dashboard_of("table", "Inventory");
    dashboard["panels"][0]["transformations"] = json!([{ "id": "magic" }]);
    let error = format!("{:#}", painted(&dashboard, &[]).unwrap_err());
    assert!(error.contains("Inventory") && error.contains("magic"), "{error}");
}

#[test]
fn a_threshold_colours_what_reaches_it() {
    let mut dashboard = dashboard_of("stat", "t");
    dashboard["panels"][0]["fieldConfig"]["defaults"] = json!({
        "color": { "mode": "thresholds" },
        "thresholds": { "mode": "absolute", "steps": [
            { "color": "green", "value": null }, { "color": "red", "value": 59 } ] },
    });
    let points = points();
    let hot = [answer("A", "x", &[(&[], &points)])];
    assert!(painted(&dashboard, &hot).unwrap().contains("#f2495c"));
    let cool = [answer("A", "x", &[(&[], &points[..30])])];
    assert!(!painted(&dashboard, &cool).unwrap().contains("#f2495c"));
}

#[test]
fn a_matrix_has_a_coloured_cell_for_each_value() {
    let mut dashboard = dashboard_of("table", "t");
    dashboard["panels"][0]["transformations"] = json!([{ "id": "groupingToMatrix", "options": {
        "columnField": "gpu", "rowField": "node", "valueField": "Value" } }]);
    dashboard["panels"][0]["fieldConfig"]["defaults"] = json!({
        "min": 0, "max": 100, "color": { "mode": "continuous-GrYlRd" },
        "custom": { "cellOptions": { "type": "color-background" } },
    });
    let at = |value| [(window().to, value)];
    let answers = [answer(
        "A",
        "",
        &[
            (&[("node", "n1"), ("gpu", "0")], &at(0.0)),
            (&[("node", "n1"), ("gpu", "1")], &at(100.0)),
        ],
    )];
    let svg = painted(&dashboard, &answers).unwrap();
    assert!(svg.contains("fill=\"#73bf69\"") && svg.contains("fill=\"#f2495c\""));
}
