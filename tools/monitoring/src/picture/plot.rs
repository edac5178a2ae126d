//! The part of a panel where time runs from left to right, and the axis below it.

use super::clock;
use super::colour::{BORDER, Colour, FAINT};
use super::marks::Mark;
use super::svg::{Rect, Stroke, Style, Svg};
use super::{letters, svg};
use crate::ask::Window;

/// Pixels below a plot that its times take.
pub(super) const TIMES: f64 = 20.0;

/// The font size of axes.
pub(super) const SIZE: f64 = 12.0;

/// A plot.
pub(super) struct Plot {
    pub(super) area: Rect,
    pub(super) window: Window,
}

impl Plot {
    /// The pixel column of a time.
    pub(super) fn x(&self, time: f64) -> f64 {
        let Window { from, to, .. } = self.window;
        self.area.x + (time - from) / (to - from).max(f64::MIN_POSITIVE) * self.area.w
    }

    /// Writes the times below the plot, with a line up from each.
    pub(super) fn times(&self, svg: &mut Svg) {
        let Rect { y, w, .. } = self.area;
        let bottom = self.area.bottom();
        for (time, text) in clock::marks(self.window.from, self.window.to, w) {
            let x = self.x(time);
            svg.line((x, y), (x, bottom), &Stroke::new(faint_line(), 1.0));
            let half = letters::width(&text, SIZE) / 2.0;
            if x - half >= self.area.x - 30.0 && x + half <= self.area.right() + 12.0 {
                svg.text((x, bottom + 16.0), &Style::new(SIZE, FAINT).middle(), &text);
            }
        }
    }

    /// Draws what happened, with the texts in the `room` pixels that are left above the plot.
    pub(super) fn marks(&self, svg: &mut Svg, marks: &[Mark], room: f64) {
        let Rect { x, y, w, .. } = self.area;
        let bottom = self.area.bottom();
        let texts = texts(marks, |time| self.x(time), (x, x + w));
        for mark in marks {
            let x = self.x(mark.time);
            let stroke = Stroke::new(mark.colour, 1.2).dashed(&[4.0, 3.0]);
            svg.line((x, y), (x, bottom), &stroke);
            let foot = [(x - 4.0, bottom + 5.0), (x, bottom), (x + 4.0, bottom + 5.0)];
            svg.fill(&svg::path(&foot), mark.colour);
        }
        let fits = |text: &Text| (text.line as f64 + 1.0) * TEXT_LINE <= room;
        for Text { at, line, colour, text } in texts.into_iter().filter(fits) {
            let top = y - (line as f64 + 1.0) * TEXT_LINE;
            svg.text((at, top + 9.0), &Style::new(TEXT_SIZE, colour), &text);
        }
    }
}

/// The font size of what is written about marks.
const TEXT_SIZE: f64 = 11.0;
const TEXT_LINE: f64 = 13.0;
/// More than two lines of texts would take too much from the plot.
const TEXT_LINES: usize = 2;
/// Plots of less than so many pixels have no room for texts.
const NARROW: f64 = 230.0;
/// Marks closer than so many pixels are one moment with one text.
const CLOSE: f64 = 12.0;

/// What is written about a mark, and those close after it.
#[derive(Clone, Debug, PartialEq)]
struct Text {
    at: f64,
    /// From the plot upwards.
    line: usize,
    colour: Colour,
    text: String,
}

/// The pixels above a plot `width` wide that the texts of its marks take.
pub(super) fn texts_height(marks: &[Mark], window: Window, width: f64) -> f64 {
    if width < NARROW {
        return 0.0;
    }
    let plot = Plot { area: Rect::new(0.0, 0.0, width, 0.0), window };
    let texts = texts(marks, |time| plot.x(time), (0.0, width));
    texts.iter().map(|text| (text.line as f64 + 1.0) * TEXT_LINE).fold(0.0, f64::max)
}

/// The texts of `marks` between two pixels. Those for which no line has room are left out.
fn texts(marks: &[Mark], x: impl Fn(f64) -> f64, (left, right): (f64, f64)) -> Vec<Text> {
    let mut moments: Vec<(f64, &Mark, usize)> = Vec::new();
    for mark in marks.iter().filter(|mark| !mark.text.is_empty()) {
        let at = x(mark.time);
        match moments.last_mut() {
            Some((start, _, more)) if at - *start < CLOSE => *more += 1,
            _ => moments.push((at, mark, 0)),
        }
    }
    let mut free = [left; TEXT_LINES];
    let mut texts = Vec::new();
    for (at, mark, more) in moments {
        let more = if more == 0 { String::new() } else { format!(" +{more}") };
        let text = format!("{}{more}", mark.text);
        let width = letters::width(&text, TEXT_SIZE);
        let at = (at - 3.0).min(right - width);
        let Some(line) = free.iter().position(|free| at >= *free - 4.0) else { continue };
        free[line] = at + width + 10.0;
        texts.push(Text { at, line, colour: mark.colour, text });
    }
    texts
}

/// The lines of a plot's grid.
pub(super) fn faint_line() -> Colour {
    BORDER.faded(0.8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(times: &[f64]) -> Vec<(usize, String)> {
        let mark = |time: &f64| Mark {
            time: *time,
            colour: Colour::of("red"),
            text: format!("event {time}"),
        };
        let marks: Vec<Mark> = times.iter().map(mark).collect();
        let texts = texts(&marks, |time| time, (0.0, 300.0));
        assert!(texts.iter().all(|text| text.at + letters::width(&text.text, TEXT_SIZE) <= 300.1));
        texts.into_iter().map(|text| (text.line, text.text)).collect()
    }

    #[test]
    fn texts_do_not_touch() {
        let owned = |line, text: &str| (line, text.to_owned());
        assert_eq!(written(&[10.0, 200.0]), [owned(0, "event 10"), owned(0, "event 200")]);
        assert_eq!(written(&[10.0, 30.0, 50.0]), [owned(0, "event 10"), owned(1, "event 30")]);
        assert_eq!(written(&[10.0, 12.0, 15.0]), [owned(0, "event 10 +2")]);
        assert_eq!(written(&[299.0]), [owned(0, "event 299")]);
    }
}
