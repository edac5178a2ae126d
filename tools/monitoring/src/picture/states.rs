//! Panels of type `state-timeline`: a row for each series, coloured by what its value means.

use anyhow::Result;

use super::answers::{Line, extremes, lines};
use super::colour::{Colour, TEXT};
use super::legend::{self, Entry};
use super::letters::{fitted, width};
use super::plot::{Plot, SIZE, TIMES};
use super::svg::{Rect, Style, Svg};
use super::{Panel, nothing};

/// A stretch of time in which a series meant one thing.
#[derive(Clone, Debug, PartialEq)]
struct Span {
    from: f64,
    to: f64,
    text: String,
    colour: Colour,
}

pub(super) fn draw(svg: &mut Svg, panel: &Panel<'_>) -> Result<()> {
    let lines = lines(panel.json, &panel.answers)?;
    let range = extremes(&lines);
    let merge = panel.json.pointer("/options/mergeValues").is_none_or(|merge| merge != false);
    let step = panel.window.step;
    let rows: Vec<Vec<Span>> = lines
        .iter()
        .enumerate()
        .map(|(number, line)| spans(line, number, range, step, merge))
        .collect();
    if rows.iter().all(Vec::is_empty) {
        nothing(svg, panel);
        return Ok(());
    }
    let mut area = panel.body;
    let legend = legend::placed(panel, entries(&rows), &mut area);
    let names = lines.iter().map(|line| width(&line.name, SIZE)).fold(0.0, f64::max);
    let names = names.min(area.w * 0.3) + 10.0;
    let plot = Plot {
        area: Rect::new(area.x + names, area.y, area.w - names, (area.h - TIMES).max(1.0)),
        window: panel.window,
    };
    plot.times(svg);
    let share = panel.json.pointer("/options/rowHeight").and_then(|share| share.as_f64());
    let row = plot.area.h / rows.len() as f64;
    let high = (row * share.unwrap_or(0.9).clamp(0.1, 1.0)).min(row - 1.0).max(1.0);
    for (number, (line, spans)) in lines.iter().zip(&rows).enumerate() {
        let y = plot.area.y + number as f64 * row + (row - high) / 2.0;
        let name = fitted(&line.name, SIZE, names - 10.0);
        let at = (plot.area.x - 8.0, y + high / 2.0 + 4.0);
        svg.text(at, &Style::new(SIZE, TEXT).end(), &name);
        let opacity = line.field.custom.fill_opacity.unwrap_or(70.0) / 100.0;
        svg.clipped(plot.area, |svg| {
            for span in spans {
                let (start, end) = (plot.x(span.from), plot.x(span.to));
                let fill = span.colour.faded(opacity);
                svg.rect(Rect::new(start, y, end - start, high), 0.0, fill);
            }
        });
        if high >= SIZE + 1.0 && panel.option("/showValue") != "never" {
            for span in spans {
                label(
                    svg,
                    &plot,
                    span,
                    (y + high / 2.0 + 4.0, opacity),
                    panel.option("/alignValue"),
                );
            }
        }
    }
    if let Some(legend) = legend {
        legend.draw(svg);
    }
    Ok(())
}

/// What a stretch means, where it is long enough to hold the words.
fn label(svg: &mut Svg, plot: &Plot, span: &Span, (y, opacity): (f64, f64), align: &str) {
    let start = plot.x(span.from).max(plot.area.x);
    let end = plot.x(span.to).min(plot.area.right());
    if width(&span.text, SIZE) + 10.0 > end - start {
        return;
    }
    let style = Style::new(SIZE, span.colour.faded(opacity).ink());
    match align {
        "center" => svg.text(((start + end) / 2.0, y), &style.middle(), &span.text),
        "right" => svg.text((end - 5.0, y), &style.end(), &span.text),
        _ => svg.text((start + 5.0, y), &style, &span.text),
    }
}

/// The stretches of one series. A value holds until the next one, but not over a gap.
fn spans(line: &Line, number: usize, range: (f64, f64), step: f64, merge: bool) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let points = line.points.iter().filter(|(_, value)| !value.is_nan());
    for (time, value) in points {
        let text = line.field.meaning(*value, range);
        let colour = line.field.colour(*value, range, number);
        let adjoining = |last: &&mut Span| time - last.to < 0.5 * step;
        match spans.last_mut().filter(adjoining) {
            Some(last) if merge && last.text == text && last.colour == colour => {
                last.to = time + step;
            }
            last => {
                if let Some(last) = last {
                    last.to = *time;
                }
                spans.push(Span { from: *time, to: time + step, text, colour });
            }
        }
    }
    spans
}

/// A legend of what there is to be seen.
fn entries(rows: &[Vec<Span>]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for span in rows.iter().flatten() {
        if !entries.iter().any(|entry| entry.name == span.text) {
            let (colour, name) = (span.colour, span.text.clone());
            entries.push(Entry { colour, name, values: Vec::new() });
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::answers::answer;
    use super::*;

    #[test]
    fn equal_values_are_one_stretch_and_gaps_are_none() {
        let points = [(0.0, 1.0), (1.0, 1.0), (2.0, 0.0), (5.0, 0.0), (6.0, f64::NAN)];
        let answers = [answer("A", "x", &[(&[], &points)])];
        let lines = lines(&json!({}), &answers).unwrap();
        let spans = spans(&lines[0], 0, (0.0, 1.0), 1.0, true);
        let times: Vec<(f64, f64)> = spans.iter().map(|span| (span.from, span.to)).collect();
        assert_eq!(times, [(0.0, 2.0), (2.0, 3.0), (5.0, 6.0)]);
    }
}
