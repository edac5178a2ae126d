//! Panels of type `table`, the heat map of nodes and GPUs among them.

use anyhow::Result;

use super::bars::gauge;
use super::colour::{BORDER, Colour, FAINT, TEXT};
use super::field::Field;
use super::letters::{fitted, width};
use super::rows::{Cell, Table};
use super::svg::{Anchor, Rect, Stroke, Style, Svg};
use super::transform::transformed;
use super::{Panel, nothing};

const SIZE: f64 = 13.0;
const HEADING: f64 = 26.0;

/// A column as it is shown.
struct Column {
    name: String,
    field: Field,
    /// The least and the greatest number in it, or in all columns of a matrix.
    span: (f64, f64),
    anchor: Anchor,
    x: f64,
    width: f64,
}

pub(super) fn draw(svg: &mut Svg, panel: &Panel<'_>) -> Result<()> {
    let mut table = transformed(panel.json, &panel.answers)?;
    table.sort_as_shown(panel.json);
    let matrix = is_matrix(panel);
    let columns = columns(panel, &mut table, matrix)?;
    if table.rows.is_empty() || columns.is_empty() {
        nothing(svg, panel);
        return Ok(());
    }
    let area = panel.body;
    let headed = panel.json.pointer("/options/showHeader").is_none_or(|headed| headed != false);
    let top = if headed { area.y + HEADING } else { area.y };
    let room = area.bottom() - top;
    let (least, most) = if matrix { (16.0, 44.0) } else { (20.0, 30.0) };
    let high = (room / table.rows.len() as f64).clamp(least, most);
    let fitting = ((room + 1.0) / high).floor().max(1.0) as usize;
    // The last line says what does not fit.
    let shown = if table.rows.len() > fitting { fitting - 1 } else { table.rows.len() };
    if headed {
        for column in &columns {
            column.text(svg, (area.y, HEADING - 4.0), &Style::new(SIZE, FAINT), &column.name);
        }
    }
    for (number, row) in table.rows.iter().take(shown).enumerate() {
        let y = top + number as f64 * high;
        if !matrix {
            svg.line((area.x, y), (area.right(), y), &Stroke::new(BORDER, 1.0));
        }
        for (place, (column, cell)) in columns.iter().zip(row).enumerate() {
            column.cell(svg, (y, high), cell, place);
        }
    }
    if shown < table.rows.len() {
        let y = top + shown as f64 * high + high / 2.0 + 4.0;
        let more = format!("… and {} more", table.rows.len() - shown);
        svg.text((area.x + 6.0, y), &Style::new(SIZE, FAINT), &more);
    }
    Ok(())
}

fn is_matrix(panel: &Panel<'_>) -> bool {
    let steps = panel.json["transformations"].as_array();
    let is =
        |step: &serde_json::Value| step["id"] == "groupingToMatrix" && step["disabled"] != true;
    steps.is_some_and(|steps| steps.iter().any(is))
}

/// The columns that are shown, which `table` is cut down to.
fn columns(panel: &Panel<'_>, table: &mut Table, matrix: bool) -> Result<Vec<Column>> {
    let mut fields = Vec::new();
    for name in &table.columns {
        let mut field = Field::of(panel.json, name, &table.ref_id)?;
        if name == "Time" || name.starts_with("Time ") {
            field.unit = "dateTimeAsIso".to_owned();
        }
        fields.push(field);
    }
    let shown: Vec<usize> =
        (0..fields.len()).filter(|place| !fields[*place].custom.hidden).collect();
    table.keep(&shown);
    let whole = span(table.rows.iter().flatten());
    let mut columns = Vec::new();
    for (place, number) in shown.into_iter().enumerate() {
        let field = fields[number].clone();
        let cells = || table.rows.iter().map(|row| &row[place]);
        let numeric = cells().any(|cell| matches!(cell, Cell::Number(_)));
        let anchor = match field.custom.align.as_str() {
            "left" => Anchor::Start,
            "center" => Anchor::Middle,
            "right" => Anchor::End,
            _ if matrix && place > 0 => Anchor::Middle,
            _ if numeric && field.custom.cell_options.kind != "gauge" => Anchor::End,
            _ => Anchor::Start,
        };
        let name = field.display_name.clone().unwrap_or_else(|| table.columns[place].clone());
        let span = if matrix { whole } else { span(cells()) };
        columns.push(Column { name, field, span, anchor, x: 0.0, width: 0.0 });
    }
    spread(&mut columns, table, panel.body, matrix);
    Ok(columns)
}

fn span<'a>(cells: impl Iterator<Item = &'a Cell>) -> (f64, f64) {
    let numbers = cells.filter_map(|cell| match cell {
        Cell::Number(number) if number.is_finite() => Some(*number),
        _ => None,
    });
    numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), n| (lo.min(n), hi.max(n)))
}

/// Gives each column what its contents need, or what the dashboard says, and shares what is left.
fn spread(columns: &mut [Column], table: &Table, area: Rect, matrix: bool) {
    for (place, column) in columns.iter_mut().enumerate() {
        let cells = table.rows.iter().map(|row| width(&column.written(&row[place]), SIZE));
        let bar = if column.field.custom.cell_options.kind == "gauge" { 110.0 } else { 0.0 };
        let needed = cells.fold(width(&column.name, SIZE), f64::max) + bar + 20.0;
        column.width = column.field.custom.width.unwrap_or(needed);
    }
    let needed: f64 = columns.iter().map(|column| column.width).sum();
    let left = area.w - needed;
    // In a matrix all values matter the same, and their names take what they need.
    let growing = |place: usize, column: &Column| {
        column.field.custom.width.is_none() && !(matrix && place == 0)
    };
    let places: Vec<usize> =
        (0..columns.len()).filter(|place| growing(*place, &columns[*place])).collect();
    if matrix && !places.is_empty() {
        let first = columns[0].width.min(area.w * 0.3);
        let each = (area.w - first) / places.len() as f64;
        columns[0].width = first;
        places.iter().for_each(|place| columns[*place].width = each);
    } else if left < 0.0 || places.is_empty() {
        let widths: Vec<f64> = columns.iter().map(|column| column.width).collect();
        let most = if left < 0.0 { widest(&widths, area.w) } else { f64::INFINITY };
        columns.iter_mut().for_each(|column| column.width = column.width.min(most));
    } else {
        places.iter().for_each(|place| columns[*place].width += left / places.len() as f64);
    }
    let mut x = area.x;
    for column in columns {
        column.x = x;
        x += column.width;
    }
}

/// How wide columns can be so that all fit into `room`: the wide ones give way, not the narrow.
fn widest(widths: &[f64], room: f64) -> f64 {
    let mut sorted = widths.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut left = room;
    for (number, width) in sorted.iter().enumerate() {
        let each = left / (sorted.len() - number) as f64;
        if *width > each {
            return each;
        }
        left -= width;
    }
    f64::INFINITY
}

impl Column {
    /// What stands in a cell.
    fn written(&self, cell: &Cell) -> String {
        match cell {
            Cell::Empty => self.field.no_value.clone().unwrap_or_default(),
            Cell::Number(number) => self.field.write(*number).to_string(),
            Cell::Text(text) => {
                let shown = self.field.text_shown(text).and_then(|shown| shown.text.clone());
                shown.unwrap_or_else(|| text.clone())
            }
        }
    }

    /// The colour of a cell, if it has one.
    fn colour(&self, cell: &Cell, place: usize) -> Option<Colour> {
        match cell {
            Cell::Empty => None,
            Cell::Number(number) => Some(self.field.colour(*number, self.span, place)),
            Cell::Text(text) => {
                let shown = self.field.text_shown(text)?;
                shown.color.as_deref().map(Colour::of)
            }
        }
    }

    /// Text in the line from `y` on that is `high`, cut to the column.
    fn text(&self, svg: &mut Svg, (y, high): (f64, f64), style: &Style, text: &str) {
        let x = match self.anchor {
            Anchor::Start => self.x + 6.0,
            Anchor::Middle => self.x + self.width / 2.0,
            Anchor::End => self.x + self.width - 8.0,
        };
        let style = Style { anchor: self.anchor, ..*style };
        let text = fitted(text, SIZE, self.width - 8.0);
        svg.text((x, y + high / 2.0 + 4.5), &style, &text);
    }

    fn cell(&self, svg: &mut Svg, (y, high): (f64, f64), cell: &Cell, place: usize) {
        let text = self.written(cell);
        let colour = self.colour(cell, place);
        let plain = Style::new(SIZE, TEXT);
        let options = &self.field.custom.cell_options;
        match (options.kind.as_str(), colour, cell) {
            ("color-background", Some(colour), _) => {
                let box_ = Rect::new(self.x, y, self.width, high).inset(1.0);
                svg.rect(box_, 2.0, colour);
                self.text(svg, (y, high), &Style::new(SIZE, colour.ink()), &text);
            }
            ("color-text", Some(colour), _) => {
                self.text(svg, (y, high), &Style::new(SIZE, colour), &text);
            }
            ("gauge", Some(colour), Cell::Number(number)) => {
                let words = width(&text, SIZE);
                let track = Rect::new(self.x + 6.0, y, self.width - words - 24.0, high);
                let track = Rect { y: y + high * 0.22, h: high * 0.56, ..track };
                gauge(svg, track, &self.field, (*number, self.span), colour, &options.mode);
                let end = (self.x + self.width - 8.0, y + high / 2.0 + 4.5);
                svg.text(end, &Style::new(SIZE, colour).end(), &text);
            }
            _ => self.text(svg, (y, high), &plain, &text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_columns_give_way_to_narrow_ones() {
        assert_eq!(widest(&[10.0, 100.0, 200.0], 110.0), 50.0);
        assert_eq!(widest(&[10.0, 20.0], 110.0), f64::INFINITY);
    }
}
