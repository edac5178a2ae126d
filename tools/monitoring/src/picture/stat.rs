//! Panels of type `stat`: one large number for each series.

use anyhow::Result;

use super::answers::{Line, extremes, lines};
use super::colour::{Colour, TEXT};
use super::curves::{Point, curves};
use super::letters::{fitted, width};
use super::svg::{Rect, Stroke, Style, Svg, path};
use super::unit::Written;
use super::{Panel, nothing};
use crate::ask::Window;

/// A number with what it is written in.
struct Tile<'a> {
    line: &'a Line,
    written: Written,
    colour: Colour,
    /// The width of the widest number of all tiles at the font size 1, so that all have one size.
    widest: f64,
}

pub(super) fn draw(svg: &mut Svg, panel: &Panel<'_>) -> Result<()> {
    let lines = lines(panel.json, &panel.answers)?;
    let calculation = calculation(panel);
    let span = extremes(&lines);
    let mut tiles: Vec<Tile<'_>> = lines
        .iter()
        .enumerate()
        .filter_map(|(number, line)| {
            let value = line.reduced(&calculation)?;
            let (written, colour) =
                (line.field.write(value), line.field.colour(value, span, number));
            Some(Tile { line, written, colour, widest: 0.0 })
        })
        .collect();
    if tiles.is_empty() {
        nothing(svg, panel);
        return Ok(());
    }
    let count = tiles.len();
    let widest = tiles.iter().map(|tile| wide(&tile.written)).fold(0.0, f64::max);
    for (number, tile) in tiles.iter_mut().enumerate() {
        tile.widest = widest;
        let area = place(panel, number, count);
        tile.draw(svg, panel, area, count > 1);
    }
    Ok(())
}

/// How a panel makes one number of a series.
pub(super) fn calculation(panel: &Panel<'_>) -> String {
    let calculation = panel.option("/reduceOptions/calcs/0");
    if calculation.is_empty() { "lastNotNull" } else { calculation }.to_owned()
}

/// Where a tile is: side by side in a panel that is wide, below each other in one that is high.
/// The orientation is that of a tile's neighbours in Grafana's words, so that `horizontal` tiles
/// are below each other.
fn place(panel: &Panel<'_>, number: usize, count: usize) -> Rect {
    let frame = panel.frame;
    let top = panel.body.y - frame.y;
    let whole = Rect::new(frame.x + 1.0, frame.y + top, frame.w - 2.0, frame.h - top - 1.0);
    let (number, count) = (number as f64, count as f64);
    let below = match panel.option("/orientation") {
        "horizontal" => true,
        "vertical" => false,
        _ => whole.h > whole.w,
    };
    if below {
        let high = whole.h / count;
        Rect::new(whole.x, whole.y + number * high, whole.w, high)
    } else {
        let wide = whole.w / count;
        Rect::new(whole.x + number * wide, whole.y, wide, whole.h)
    }
}

impl Tile<'_> {
    fn draw(&self, svg: &mut Svg, panel: &Panel<'_>, area: Rect, several: bool) {
        let mode = panel.option("/colorMode");
        let filled = mode.starts_with("background");
        let colour = match mode {
            "none" => TEXT,
            _ if filled => self.colour.ink(),
            _ => self.colour,
        };
        if filled {
            let inner = if several { area.inset(2.0) } else { area };
            let deep = self.colour.mixed(Colour::of("black"), 0.22);
            let stops = [(0.0, deep), (1.0, self.colour)];
            let end = (inner.right(), inner.bottom());
            let fill = svg.gradient((inner.x, inner.y), end, &stops);
            svg.rect(inner, 3.0, fill);
        }
        let mut area = area;
        if panel.option("/graphMode") == "area" && self.line.points.len() > 2 {
            let below = Rect::new(area.x, area.y + area.h * 0.6, area.w, area.h * 0.4);
            let (colour, opacity) = if filled { (colour, 0.4) } else { (self.colour, 0.8) };
            self.sparkline(svg, below, panel.window, colour, opacity);
            area.h *= 0.7;
        }
        let text_mode = panel.option("/textMode");
        let named = match text_mode {
            "value_and_name" => true,
            "value" | "name" | "none" => false,
            _ => several,
        };
        let name = if filled { colour } else { TEXT };
        if named {
            self.named(svg, area, colour, name);
        } else if text_mode == "name" {
            let text = Written { number: self.line.name.clone(), unit: String::new() };
            number(svg, area, (&text, wide(&text)), colour);
        } else if text_mode != "none" {
            number(svg, area, (&self.written, self.widest), colour);
        }
    }

    fn named(&self, svg: &mut Svg, area: Rect, colour: Colour, name: Colour) {
        if area.w > area.h * 3.0 {
            return self.beside(svg, area, colour, name);
        }
        let room = (area.w - 10.0) / width(&self.line.name, 1.0).max(0.1);
        let size = (area.h * 0.2).min(room).clamp(11.0, 16.0);
        let (x, _) = area.centre();
        let text = fitted(&self.line.name, size, area.w - 8.0);
        svg.text((x, area.y + size + 4.0), &Style::new(size, name).middle(), &text);
        let rest = Rect::new(area.x, area.y + size + 4.0, area.w, area.h - size - 6.0);
        number(svg, rest, (&self.written, self.widest), colour);
    }

    /// The name on the left and the number on the right, in a tile that is low.
    fn beside(&self, svg: &mut Svg, area: Rect, colour: Colour, name: Colour) {
        let size = (area.h * 0.45).clamp(11.0, 16.0);
        let (_, y) = area.centre();
        let text = fitted(&self.line.name, size, area.w * 0.6);
        svg.text((area.x + 12.0, y + size * 0.35), &Style::new(size, name), &text);
        let left = width(&text, size) + 12.0;
        let rest = Rect::new(area.x + left, area.y, area.w - left, area.h);
        let size = fitting(rest, self.widest).min(area.h * 0.6);
        let style = Style::new(size, colour).end().bold();
        let Written { number, unit } = &self.written;
        svg.text_with_unit(
            (area.right() - 12.0, y + size * 0.35),
            &style,
            (number, unit),
            size * UNIT,
        );
    }

    /// The series as a line in `room`, with gaps where data is missing.
    fn sparkline(&self, svg: &mut Svg, room: Rect, window: Window, colour: Colour, opacity: f64) {
        let Window { from, to, step } = window;
        let (lo, hi) = extremes(std::slice::from_ref(self.line));
        let (base, height) = if hi > lo { (lo, hi - lo) } else { (lo - 1.0, 2.0) };
        let at = |point: &Point| {
            let share = (point.time - from) / (to - from).max(f64::MIN_POSITIVE);
            let up = (point.value - base) / height * (room.h - 4.0);
            (room.x + share * room.w, room.bottom() - 2.0 - up)
        };
        for part in curves(std::slice::from_ref(self.line), step).iter().flat_map(|c| &c.parts) {
            let along: Vec<(f64, f64)> = part.iter().map(at).collect();
            let (Some(start), Some(end)) = (along.first(), along.last()) else { continue };
            let feet = [(end.0, room.bottom()), (start.0, room.bottom())];
            let around: Vec<(f64, f64)> = along.iter().copied().chain(feet).collect();
            svg.fill(&path(&around), colour.faded(opacity * 0.2));
            svg.stroke(&path(&along), &Stroke::new(colour.faded(opacity), 1.2));
        }
    }
}

/// A number in the middle of `area`, as large as there is room for.
fn number(svg: &mut Svg, area: Rect, (written, widest): (&Written, f64), colour: Colour) {
    let size = fitting(area, widest);
    let (x, y) = area.centre();
    let style = Style::new(size, colour).middle().bold();
    let at = (x, y + size * 0.35);
    svg.text_with_unit(at, &style, (&written.number, &written.unit), size * UNIT);
}

/// The width of a number at the font size 1.
fn wide(written: &Written) -> f64 {
    width(&written.number, 1.0) + width(&written.unit, 1.0) * UNIT
}

/// The font size at which a number that is so wide at size 1 fits into `area`.
fn fitting(area: Rect, wide: f64) -> f64 {
    ((area.w - 16.0) / wide.max(0.1)).min(area.h * 0.62).clamp(9.0, 68.0)
}

/// The size of a unit beside its number.
const UNIT: f64 = 0.65;
