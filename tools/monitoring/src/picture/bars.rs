//! Panels of type `bargauge`: one horizontal bar for each series.

use anyhow::Result;

use super::answers::{extremes, lines};
use super::colour::{Colour, TEXT, TRACK};
use super::field::Field;
use super::letters::{fitted, width};
use super::stat::calculation;
use super::svg::{Fill, Rect, Style, Svg};
use super::{Panel, nothing};

const SIZE: f64 = 13.0;

pub(super) fn draw(svg: &mut Svg, panel: &Panel<'_>) -> Result<()> {
    let lines = lines(panel.json, &panel.answers)?;
    let calculation = calculation(panel);
    let shown: Vec<_> =
        lines.iter().filter_map(|line| Some((line, line.reduced(&calculation)?))).collect();
    if shown.is_empty() {
        nothing(svg, panel);
        return Ok(());
    }
    // Bars begin at zero unless the dashboard says otherwise.
    let (lo, hi) = extremes(&lines);
    let span = (lo.min(0.0), hi);
    let area = panel.body;
    let names = shown.iter().map(|(line, _)| width(&line.name, SIZE)).fold(0.0, f64::max);
    let names = names.min(area.w * 0.4);
    let written: Vec<String> =
        shown.iter().map(|(line, value)| line.field.write(*value).to_string()).collect();
    let values = written.iter().map(|text| width(text, SIZE)).fold(0.0, f64::max);
    let row = (area.h / shown.len() as f64).min(40.0);
    let top = area.y + (area.h - row * shown.len() as f64) / 2.0;
    let high = (row * 0.68).min(row - 4.0).max(2.0);
    for (number, ((line, value), text)) in shown.iter().zip(&written).enumerate() {
        let y = top + number as f64 * row + (row - high) / 2.0;
        let baseline = y + high / 2.0 + 4.5;
        let name = fitted(&line.name, SIZE, names);
        svg.text((area.x, baseline), &Style::new(SIZE, TEXT), &name);
        let start = area.x + names + if names > 0.0 { 10.0 } else { 0.0 };
        let track = Rect::new(start, y, (area.right() - start - values - 10.0).max(1.0), high);
        let colour = line.field.colour(*value, span, number);
        gauge(svg, track, &line.field, (*value, span), colour, panel.option("/displayMode"));
        svg.text((area.right(), baseline), &Style::new(SIZE, colour).end().bold(), text);
    }
    Ok(())
}

/// A bar in `track` for a value of a field whose data runs over `span`.
pub(super) fn gauge(
    svg: &mut Svg,
    track: Rect,
    field: &Field,
    (value, span): (f64, (f64, f64)),
    colour: Colour,
    mode: &str,
) {
    let (lo, hi) = field.span(span);
    let share = ((value - lo) / (hi - lo).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
    let share = if share.is_nan() { 0.0 } else { share };
    svg.rect(track, 2.0, TRACK);
    let bar = Rect { w: (track.w * share).max(2.0), ..track };
    if mode == "lcd" {
        cells(svg, track, share, colour);
    } else if mode == "basic" {
        svg.rect(bar, 2.0, colour.faded(0.45));
        svg.rect(Rect::new(bar.right() - 2.0, bar.y, 2.0, bar.h), 0.0, colour);
    } else {
        let fill = gradient(svg, track, field, (lo, hi), colour);
        svg.rect(bar, 2.0, fill);
    }
}

/// The colours on the way along the whole track, of which a bar shows its part.
fn gradient(
    svg: &mut Svg,
    track: Rect,
    field: &Field,
    (lo, hi): (f64, f64),
    colour: Colour,
) -> Fill {
    let ramp = |share: f64| Colour::on_ramp(&field.color.mode, share);
    let shares = [0.0, 0.25, 0.5, 0.75, 1.0];
    let mut stops: Vec<(f64, Colour)> =
        shares.into_iter().filter_map(|share| Some((share, ramp(share)?))).collect();
    if stops.is_empty() && matches!(field.color.mode.as_str(), "" | "thresholds") {
        let place = |from: f64| ((from - lo) / (hi - lo).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
        let steps = field.thresholds.absolute((lo, hi));
        stops = steps.map(|(from, colour)| (place(from), colour)).collect();
    }
    if stops.len() < 2 {
        stops = vec![(0.0, colour.mixed(Colour::of("black"), 0.35)), (1.0, colour)];
    }
    svg.gradient((track.x, track.y), (track.right(), track.y), &stops)
}

fn cells(svg: &mut Svg, track: Rect, share: f64, colour: Colour) {
    let count = (track.w / 10.0).floor().max(1.0);
    let wide = track.w / count;
    for cell in 0..count as usize {
        let lit = (cell as f64 + 0.5) / count <= share;
        let place = Rect::new(track.x + cell as f64 * wide, track.y, wide - 2.0, track.h);
        svg.rect(place, 1.0, colour.faded(if lit { 0.9 } else { 0.12 }));
    }
}
