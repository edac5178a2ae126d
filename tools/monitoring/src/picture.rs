//! A Grafana dashboard as one picture: its queries asked of a real Prometheus, its panels drawn as
//! SVG, for places where no Grafana runs, such as a README.

mod answers;
mod axis;
mod bars;
mod clock;
mod colour;
mod curves;
mod field;
mod legend;
mod letters;
mod lines;
mod marks;
mod pattern;
mod plot;
mod rows;
mod sheet;
mod stat;
mod states;
mod svg;
mod transform;
mod unit;
mod words;

use anyhow::{Context, Result};
use serde_json::Value;

use self::answers::Answer;
use self::colour::{BORDER, FAINT, FAINTER, PAGE, PANEL, TEXT};
use self::marks::Mark;
use self::svg::{Rect, Stroke, Style, Svg};
use crate::ask::{Choice, Prometheus, Variables, Window};

/// Pixels of one of the 24 columns.
const COLUMN: f64 = 50.0;
/// Pixels of one row of the grid.
const ROW: f64 = 32.0;
/// Half the space between two panels.
const GAP: f64 = 4.0;
/// The line above the panels.
const HEADER: f64 = 54.0;
/// The height of a panel's title.
const TITLE: f64 = 30.0;

/// A panel, and all that is needed to draw it.
struct Panel<'a> {
    json: &'a Value,
    /// Its border.
    frame: Rect,
    /// What is within the border and below the title.
    body: Rect,
    window: Window,
    answers: Vec<Answer>,
    marks: &'a [Mark],
    /// Whether it is the first with an axis of time below a heading: only there, marks have texts.
    first: bool,
}

impl Panel<'_> {
    /// The option that a JSON pointer, such as `/legend/placement`, leads to; empty if there is
    /// none.
    fn option(&self, pointer: &str) -> &str {
        let option = self.json.get("options").and_then(|options| options.pointer(pointer));
        option.and_then(Value::as_str).unwrap_or_default()
    }
}

type Draw = fn(&mut Svg, &Panel<'_>) -> Result<()>;

/// The kinds of panel that are drawn.
const KINDS: &[(&str, Draw)] = &[
    ("bargauge", bars::draw),
    ("stat", stat::draw),
    ("state-timeline", states::draw),
    ("table", sheet::draw),
    ("text", words::draw),
    ("timeseries", lines::draw),
];

/// Draws `dashboard`, in Grafana's classic JSON model, as it is from `from` to `to` (Unix seconds)
/// with these variables: the text of an SVG file 1208 pixels wide, without scripts or fonts.
///
/// A panel of a kind that is not known says so in its place.
///
/// # Errors
/// When a query cannot be answered, a variable or a transformation is not known, or the dashboard
/// cannot be read; the panel is named.
pub fn draw(
    dashboard: &Value,
    prometheus: &Prometheus,
    variables: &Variables,
    from: f64,
    to: f64,
) -> Result<String> {
    let least = clock::round_step((to - from) / 300.0).max(variables.scrape_interval);
    let window = Window { from, to, step: least };
    let marks = marks::ask(dashboard, prometheus, variables, window)?;
    let asked = |panel: &Value, width: f64| {
        let window = Window { step: step(panel, width, window, variables), ..window };
        Ok((window, answers::ask(panel, prometheus, variables, window)?))
    };
    paint(dashboard, variables, window, &marks, asked)
}

/// Draws with what `asked` gives for each panel that is so many pixels wide.
fn paint(
    dashboard: &Value,
    variables: &Variables,
    window: Window,
    marks: &[Mark],
    asked: impl Fn(&Value, f64) -> Result<(Window, Vec<Answer>)>,
) -> Result<String> {
    let panels: Vec<&Value> = dashboard["panels"].as_array().into_iter().flatten().collect();
    let bottom = panels.iter().map(|panel| place(panel).bottom()).fold(HEADER, f64::max);
    let size = Rect::new(0.0, 0.0, 24.0 * COLUMN + 2.0 * GAP, bottom + GAP);
    let title = dashboard["title"].as_str().unwrap_or_default();

    let mut svg = Svg::default();
    svg.rect(size, 0.0, PAGE);
    header(&mut svg, size.w, dashboard, variables, window);
    let mut first = true;
    for json in panels {
        first |= json["type"] == "row";
        let frame = place(json).inset(GAP);
        let title = variables.label(json["title"].as_str().unwrap_or_default());
        let drawn = if json["type"] == "row" {
            row(&mut svg, frame, &title, json["collapsed"] == true);
            Ok(())
        } else {
            asked(json, frame.w).and_then(|(window, answers)| {
                let body = body(frame, !title.is_empty());
                let panel = Panel { json, frame, body, window, answers, marks, first };
                first &= json["type"] != "timeseries";
                panel_drawn(&mut svg, &panel, &title)
            })
        };
        drawn.with_context(|| format!("the panel {title:?}"))?;
    }
    Ok(svg.finish(size.w, size.h, title))
}

/// Where a panel is in the picture, with the gap around it.
fn place(panel: &Value) -> Rect {
    let number = |name: &str| panel["gridPos"][name].as_f64().unwrap_or_default();
    Rect::new(
        GAP + number("x") * COLUMN,
        HEADER + number("y") * ROW,
        number("w") * COLUMN,
        number("h") * ROW,
    )
}

fn body(frame: Rect, titled: bool) -> Rect {
    let top = if titled { TITLE } else { 8.0 };
    Rect::new(frame.x + 10.0, frame.y + top, frame.w - 20.0, (frame.h - top - 8.0).max(0.0))
}

/// The distance of two points in `panel`: a point for every two pixels is as many as can be seen,
/// and there are none between two scrapes.
fn step(panel: &Value, width: f64, window: Window, variables: &Variables) -> f64 {
    let points = panel["maxDataPoints"].as_f64().unwrap_or(width / 2.0).max(1.0);
    let least = (window.to - window.from) / points;
    clock::round_step(least).max(variables.scrape_interval)
}

fn panel_drawn(svg: &mut Svg, panel: &Panel<'_>, title: &str) -> Result<()> {
    let Panel { json, frame, .. } = panel;
    if json["transparent"] != true {
        svg.rect(*frame, 3.0, PANEL);
        svg.outline(*frame, 3.0, &Stroke::new(BORDER, 1.0));
    }
    let room = frame.w - 20.0;
    let style = Style::new(14.0, TEXT).bold();
    svg.text((frame.x + 10.0, frame.y + 20.0), &style, &letters::fitted(title, 14.5, room));

    let kind = json["type"].as_str().unwrap_or_default();
    match KINDS.iter().find(|(known, _)| *known == kind) {
        Some((_, draw)) => draw(svg, panel),
        None => {
            notice(svg, panel.body, &format!("Type {kind}: not drawn"));
            Ok(())
        }
    }
}

/// What a panel says in its middle when it has nothing else to show.
fn notice(svg: &mut Svg, body: Rect, text: &str) {
    let (x, y) = body.centre();
    let text = letters::fitted(text, 15.0, body.w);
    svg.text((x, y + 5.0), &Style::new(15.0, FAINTER).middle(), &text);
}

/// What Grafana says for a panel whose queries have no answer, unless the panel has words of its own.
fn nothing(svg: &mut Svg, panel: &Panel<'_>) {
    let words = panel.json.pointer("/fieldConfig/defaults/noValue").and_then(Value::as_str);
    notice(svg, panel.body, words.unwrap_or("No data"));
}

fn row(svg: &mut Svg, frame: Rect, title: &str, collapsed: bool) {
    let (_, y) = frame.centre();
    let x = frame.x + 6.0;
    let arrow = if collapsed {
        [(x + 1.0, y - 4.0), (x + 5.0, y), (x + 1.0, y + 4.0)]
    } else {
        [(x - 1.0, y - 2.0), (x + 3.0, y + 2.0), (x + 7.0, y - 2.0)]
    };
    svg.stroke(&svg::path(&arrow), &Stroke::new(FAINT, 1.5));
    svg.text((x + 15.0, y + 5.0), &Style::new(15.0, TEXT).bold(), title);
    let end = x + 27.0 + letters::width(title, 15.5);
    if end < frame.right() {
        svg.line((end, y), (frame.right(), y), &Stroke::new(BORDER, 1.0));
    }
}

/// The dashboard's title, what is chosen in it, and its time range.
fn header(svg: &mut Svg, width: f64, dashboard: &Value, variables: &Variables, window: Window) {
    let title = dashboard["title"].as_str().unwrap_or_default();
    let time = range(window);
    let room = width - 24.0;
    let time_width = letters::width(&time, 13.0) + 38.0;
    let time_box = Rect::new(width - 8.0 - time_width, 13.0, time_width, 30.0);
    svg.rect(time_box, 3.0, PANEL);
    svg.outline(time_box, 3.0, &Stroke::new(BORDER, 1.0));
    let (clock_x, clock_y) = (time_box.x + 17.0, time_box.y + 15.0);
    let face = Rect::new(clock_x - 6.0, clock_y - 6.0, 12.0, 12.0);
    svg.outline(face, 6.0, &Stroke::new(FAINT, 1.3));
    let hands = [(clock_x, clock_y - 3.5), (clock_x, clock_y), (clock_x + 3.0, clock_y)];
    svg.stroke(&svg::path(&hands), &Stroke::new(FAINT, 1.3));
    svg.text((time_box.x + 29.0, time_box.y + 19.5), &Style::new(13.0, TEXT), &time);

    let title_room = room - time_width - 20.0;
    let shown = letters::fitted(title, 21.0, title_room);
    svg.text((12.0, 35.0), &Style::new(20.0, TEXT).bold(), &shown);
    let mut x = 12.0 + letters::width(&shown, 21.0) + 24.0;
    for (name, value) in chosen(dashboard, variables) {
        let (name_width, value_width) = (letters::width(&name, 13.0), letters::width(&value, 13.0));
        let chip = Rect::new(x, 13.0, name_width + value_width + 34.0, 30.0);
        if chip.right() > time_box.x - 12.0 {
            break;
        }
        svg.rect(chip, 3.0, PANEL);
        svg.outline(chip, 3.0, &Stroke::new(BORDER, 1.0));
        svg.text((x + 10.0, 32.5), &Style::new(13.0, FAINT), &name);
        svg.text((x + 22.0 + name_width, 32.5), &Style::new(13.0, TEXT), &value);
        x = chip.right() + 8.0;
    }
}

/// The dashboard's variables that people see, each with what is chosen.
fn chosen(dashboard: &Value, variables: &Variables) -> Vec<(String, String)> {
    let list = dashboard.pointer("/templating/list").and_then(Value::as_array);
    let seen = |variable: &&Value| variable["hide"].as_u64().unwrap_or(0) != 2;
    list.into_iter()
        .flatten()
        .filter(seen)
        .filter_map(|variable| {
            let name = variable["name"].as_str()?;
            let value = match variables.choices.get(name)? {
                Choice::One(value) => value.clone(),
                Choice::AnyOf(values) => values.join(" + "),
                Choice::All => "All".to_owned(),
            };
            let label = variable["label"].as_str().filter(|label| !label.is_empty());
            Some((label.unwrap_or(name).to_owned(), value))
        })
        .collect()
}

fn range(window: Window) -> String {
    let ((first_date, first), (last_date, last)) =
        (clock::read(window.from), clock::read(window.to));
    if first_date == last_date {
        format!("{first_date} {first} to {last} UTC")
    } else {
        format!("{first_date} {first} to {last_date} {last} UTC")
    }
}

#[cfg(test)]
mod tests;
