//! The legend of a plot: names beside their colours, and a number or two for each.

use super::Panel;
use super::colour::{BORDER, Colour, FAINT, TEXT};
use super::letters::{fitted, width};
use super::svg::{Rect, Stroke, Style, Svg};

const SIZE: f64 = 12.0;
const LINE: f64 = 19.0;
/// The dash of colour before a name, and the space after it.
const DASH: f64 = 20.0;

/// The space between a name and its values.
const SPACE: f64 = 5.0;

/// One series of a legend.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) colour: Colour,
    pub(super) name: String,
    /// What is written of it, one text for each calculation of the panel.
    pub(super) values: Vec<String>,
}

/// A legend with its place.
pub(super) struct Legend {
    entries: Vec<Entry>,
    /// What the values are called.
    headings: Vec<String>,
    area: Rect,
    table: bool,
}

/// How calculations are called in a legend.
const HEADINGS: &[(&str, &str)] = &[
    ("last", "Last"),
    ("lastNotNull", "Last"),
    ("max", "Max"),
    ("mean", "Mean"),
    ("min", "Min"),
    ("sum", "Total"),
    ("first", "First"),
    ("firstNotNull", "First"),
    ("count", "Count"),
    ("range", "Range"),
    ("delta", "Delta"),
    ("diff", "Difference"),
];

/// The calculations that the legend of `panel` shows.
pub(super) fn calculations<'a>(panel: &'a Panel<'_>) -> Vec<&'a str> {
    let calcs = panel.json.pointer("/options/legend/calcs").and_then(|calcs| calcs.as_array());
    calcs.into_iter().flatten().filter_map(|calc| calc.as_str()).collect()
}

/// Takes the room for a legend of these entries off `body`: to the right of what is left, or below.
pub(super) fn placed(panel: &Panel<'_>, entries: Vec<Entry>, body: &mut Rect) -> Option<Legend> {
    let shown = panel.json.pointer("/options/legend/showLegend").is_none_or(|shown| shown != false);
    let mode = panel.option("/legend/displayMode");
    if !shown || mode == "hidden" || entries.is_empty() {
        return None;
    }
    let heading = |calc: &str| {
        let known = HEADINGS.iter().find(|(name, _)| *name == calc);
        known.map_or(calc, |(_, heading)| heading).to_owned()
    };
    let headings: Vec<String> = calculations(panel).into_iter().map(heading).collect();
    let table = mode == "table";
    let mut legend = Legend { entries, headings, area: *body, table };
    let lines = legend.entries.len() as f64 + if table { 1.0 } else { 0.0 };
    if panel.option("/legend/placement") == "right" {
        let list = legend.entries.iter().map(|entry| legend.wide(entry)).fold(0.0, f64::max);
        let wide = if table { legend.widths().iter().sum() } else { list };
        let wide = wide.min(body.w * 0.45);
        let room = Rect::new(body.right() - wide, body.y, wide, body.h);
        body.w -= wide + 14.0;
        legend.area = room;
    } else {
        let lines = if table { lines } else { legend.wrapped().len() as f64 };
        let high = (lines * LINE).min((body.h * 0.42 / LINE).floor().max(1.0) * LINE);
        legend.area = Rect::new(body.x, body.bottom() - high, body.w, high);
        body.h -= high + 4.0;
    }
    Some(legend)
}

impl Legend {
    /// The widths of a table's columns: the names, and each of the values.
    fn widths(&self) -> Vec<f64> {
        let names = self.entries.iter().map(|entry| width(&entry.name, SIZE) + DASH);
        let mut widths = vec![names.fold(60.0, f64::max)];
        for (column, heading) in self.headings.iter().enumerate() {
            let values = self.entries.iter().filter_map(|entry| entry.values.get(column));
            let values = values.map(|value| width(value, SIZE));
            widths.push(values.fold(width(heading, SIZE), f64::max) + 14.0);
        }
        widths
    }

    /// The text after a name in a list.
    fn detail(&self, entry: &Entry) -> String {
        let pairs = self.headings.iter().zip(&entry.values);
        let texts: Vec<String> =
            pairs.map(|(heading, value)| format!("{heading}: {value}")).collect();
        texts.join(", ")
    }

    /// The width of an entry in a list.
    fn wide(&self, entry: &Entry) -> f64 {
        let detail = self.detail(entry);
        let space = if detail.is_empty() { 0.0 } else { SPACE };
        DASH + width(&entry.name, SIZE) + space + width(&detail, SIZE)
    }

    /// The entries of a list by line, each with the pixel where it begins.
    fn wrapped(&self) -> Vec<Vec<(f64, &Entry)>> {
        let mut lines: Vec<Vec<(f64, &Entry)>> = vec![Vec::new()];
        let mut x = 0.0;
        for entry in &self.entries {
            let wide = self.wide(entry);
            if x > 0.0 && x + wide > self.area.w {
                lines.push(Vec::new());
                x = 0.0;
            }
            if let Some(line) = lines.last_mut() {
                line.push((x, entry));
            }
            x += wide + 16.0;
        }
        lines
    }

    pub(super) fn draw(&self, svg: &mut Svg) {
        if self.table { self.draw_table(svg) } else { self.draw_list(svg) }
    }

    /// How many lines below `top` are drawn, if there are `count`. The last that has room is kept
    /// for saying what has none.
    fn shown(&self, top: f64, count: usize) -> usize {
        let room = ((self.area.bottom() - top + 1.0) / LINE).floor().max(1.0) as usize;
        if count > room { room - 1 } else { count }
    }

    fn more(&self, svg: &mut Svg, y: f64, count: usize) {
        if count > 0 {
            let text = format!("… and {count} more");
            svg.text((self.area.x, y - 4.0), &Style::new(SIZE, FAINT), &text);
        }
    }

    fn draw_list(&self, svg: &mut Svg) {
        let lines = self.wrapped();
        let shown = self.shown(self.area.y, lines.len());
        for (number, line) in lines.iter().take(shown).enumerate() {
            let y = self.area.y + (number as f64 + 1.0) * LINE;
            for (x, entry) in line {
                let x = self.area.x + x;
                name(svg, (x, y), entry, self.area.right() - x - DASH);
                let after = x + DASH + width(&entry.name, SIZE) + SPACE;
                let detail = self.detail(entry);
                if after < self.area.right() && !detail.is_empty() {
                    let detail = fitted(&detail, SIZE, self.area.right() - after);
                    svg.text((after, y - 4.0), &Style::new(SIZE, FAINT), &detail);
                }
            }
        }
        let hidden = lines[shown..].iter().map(Vec::len).sum();
        self.more(svg, self.area.y + (shown as f64 + 1.0) * LINE, hidden);
    }

    fn draw_table(&self, svg: &mut Svg) {
        let mut widths = self.widths();
        // Names give way first, as numbers that are cut lie.
        let values: f64 = widths[1..].iter().sum();
        widths[0] = widths[0].min((self.area.w - values).max(DASH));
        let ends: Vec<f64> = widths
            .iter()
            .scan(self.area.x, |end, width| {
                *end += width;
                Some(*end)
            })
            .collect();
        let first = self.area.y + LINE;
        for (heading, end) in self.headings.iter().zip(&ends[1..]) {
            svg.text((*end, first - 5.0), &Style::new(SIZE, FAINT).end(), heading);
        }
        if let Some(end) = ends.last() {
            let stroke = Stroke::new(BORDER, 1.0);
            svg.line((self.area.x, first), (*end, first), &stroke);
        }
        let shown = self.shown(first, self.entries.len());
        for (number, entry) in self.entries.iter().take(shown).enumerate() {
            let y = first + (number as f64 + 1.0) * LINE;
            name(svg, (self.area.x, y), entry, widths[0] - DASH);
            for (value, end) in entry.values.iter().zip(&ends[1..]) {
                svg.text((*end, y - 4.0), &Style::new(SIZE, TEXT).end(), value);
            }
        }
        let y = first + (shown as f64 + 1.0) * LINE;
        self.more(svg, y, self.entries.len() - shown);
    }
}

/// A dash of colour and a name, on the line that ends at `at`.
fn name(svg: &mut Svg, (x, y): (f64, f64), entry: &Entry, room: f64) {
    svg.rect(Rect::new(x, y - 10.0, 14.0, 4.0), 2.0, entry.colour);
    let text = fitted(&entry.name, SIZE, room);
    svg.text((x + DASH, y - 4.0), &Style::new(SIZE, TEXT), &text);
}
