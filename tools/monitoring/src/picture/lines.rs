//! Panels of type `timeseries`: curves over time between two axes.

use anyhow::Result;

use super::answers::{Line, extremes, lines};
use super::axis::{Axis, Wish};
use super::colour::FAINT;
use super::curves::{Curve, Point, colour, curves};
use super::legend::{self, Entry};
use super::letters::width;
use super::plot::{Plot, SIZE, TIMES, faint_line, texts_height};
use super::svg::{Fill, Rect, Stroke, Style, Svg, path};
use super::{Panel, nothing};

/// One of the two axes, with the curves that belong to it.
struct Side<'a> {
    axis: Axis,
    curves: Vec<&'a Curve>,
    marks: Vec<(f64, String)>,
    label: &'a str,
    hidden: bool,
}

pub(super) fn draw(svg: &mut Svg, panel: &Panel<'_>) -> Result<()> {
    let lines = lines(panel.json, &panel.answers)?;
    let curves = curves(&lines, panel.window.step);
    if curves.iter().all(|curve| curve.parts.is_empty()) {
        nothing(svg, panel);
        return Ok(());
    }
    let mut area = panel.body;
    let legend = legend::placed(panel, entries(panel, &lines), &mut area);
    // Axes take about this much of the width; exactly how much is known only with the height.
    let texts =
        if panel.first { texts_height(panel.marks, panel.window, area.w - 60.0) } else { 0.0 };
    let above = texts.max(6.0);
    let inner = Rect::new(area.x, area.y + above, area.w, area.h - TIMES - above);
    let sides = [false, true].map(|right| side(&curves, right, inner.h));
    let [left, right] = [0, 1].map(|side: usize| sides[side].as_ref().map_or(6.0, Side::width));
    let plot = Plot {
        area: Rect::new(
            inner.x + left,
            inner.y,
            (inner.w - left - right).max(1.0),
            inner.h.max(1.0),
        ),
        window: panel.window,
    };
    plot.times(svg);
    for (number, side) in sides.iter().enumerate() {
        if let Some(side) = side {
            side.scale(svg, &plot, number == 1, sides[0].is_none());
        }
    }
    svg.clipped(plot.area, |svg| {
        for side in sides.iter().flatten() {
            side.thresholds(svg, &plot);
        }
        for side in sides.iter().flatten() {
            side.fills(svg, &plot);
        }
        for side in sides.iter().flatten() {
            side.strokes(svg, &plot);
        }
    });
    plot.marks(svg, panel.marks, above);
    if let Some(legend) = legend {
        legend.draw(svg);
    }
    Ok(())
}

fn entries(panel: &Panel<'_>, lines: &[Line]) -> Vec<Entry> {
    let calculations = legend::calculations(panel);
    let span = extremes(lines);
    let shown =
        |line: &Line| !line.field.custom.hide_from.legend && !line.field.custom.hide_from.viz;
    lines
        .iter()
        .enumerate()
        .filter(|(_, line)| shown(line))
        .map(|(number, line)| {
            let value = |calculation: &&str| {
                let value = line.reduced(calculation);
                value.map_or(String::new(), |value| line.field.write(value).to_string())
            };
            Entry {
                colour: colour(line, span, number),
                name: line.name.clone(),
                values: calculations.iter().map(value).collect(),
            }
        })
        .collect()
}

fn side(curves: &[Curve], right: bool, height: f64) -> Option<Side<'_>> {
    let curves: Vec<&Curve> = curves.iter().filter(|curve| curve.right() == right).collect();
    let first = curves.iter().find(|curve| !curve.parts.is_empty()).or(curves.first())?;
    let values = curves.iter().flat_map(|curve| curve.values());
    let (lo, hi) = values
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), value| (lo.min(value), hi.max(value)));
    let wish =
        curves.iter().map(|curve| curve.field.wish()).fold(Wish::default(), |all, one| Wish {
            min: all.min.or(one.min),
            max: all.max.or(one.max),
            soft_min: all.soft_min.or(one.soft_min),
            soft_max: all.soft_max.or(one.soft_max),
        });
    let unit = &first.field.unit;
    let axis = Axis::of(lo, hi, wish, unit, (height / 36.0).clamp(2.0, 8.0));
    let marks = axis.marks(unit, first.field.decimals);
    let custom = &first.field.custom;
    let hidden = custom.axis_placement == "hidden";
    Some(Side { marks, axis, label: &custom.axis_label, hidden, curves })
}

impl Side<'_> {
    /// Pixels beside the plot that the axis takes.
    fn width(&self) -> f64 {
        if self.hidden {
            return 6.0;
        }
        let marks = self.marks.iter().map(|(_, text)| width(text, SIZE)).fold(0.0, f64::max);
        marks + 10.0 + if self.label.is_empty() { 0.0 } else { 18.0 }
    }

    fn y(&self, plot: &Plot, value: f64) -> f64 {
        plot.area.bottom() - self.axis.share(value) * plot.area.h
    }

    /// Writes the marks, with a line across from each if `lined` or on the left.
    fn scale(&self, svg: &mut Svg, plot: &Plot, right: bool, lined: bool) {
        let Rect { x, y, h, .. } = plot.area;
        let end = plot.area.right();
        for (value, text) in &self.marks {
            let mark_y = self.y(plot, *value);
            if !right || lined {
                svg.line((x, mark_y), (end, mark_y), &Stroke::new(faint_line(), 1.0));
            }
            let style = Style::new(SIZE, FAINT);
            match (self.hidden, right) {
                (true, _) => {}
                (_, true) => svg.text((end + 7.0, mark_y + 4.0), &style, text),
                (_, false) => svg.text((x - 7.0, mark_y + 4.0), &style.end(), text),
            }
        }
        if !self.label.is_empty() && !self.hidden {
            let label_x = if right { end + self.width() - 2.0 } else { x - self.width() + 12.0 };
            let style = Style::new(SIZE, FAINT).middle();
            svg.text_upwards((label_x, y + h / 2.0), &style, self.label);
        }
    }

    /// Lines and areas from thresholds on, as the first curve that has some asks for.
    fn thresholds(&self, svg: &mut Svg, plot: &Plot) {
        let style = |curve: &&&Curve| !matches!(mode(curve), "" | "off");
        let Some(curve) = self.curves.iter().find(style) else { return };
        let span = curve.field.span((self.axis.lo, self.axis.hi));
        let steps: Vec<_> = curve.field.thresholds.absolute(span).collect();
        let mode = mode(curve);
        for (number, (from, colour)) in steps.iter().enumerate() {
            let to = steps.get(number + 1).map_or(self.axis.hi, |(to, _)| *to);
            let top = self.y(plot, to.clamp(self.axis.lo, self.axis.hi));
            let bottom = self.y(plot, from.clamp(self.axis.lo, self.axis.hi));
            if mode.contains("area") {
                let band = Rect::new(plot.area.x, top, plot.area.w, bottom - top);
                svg.rect(band, 0.0, colour.faded(0.1));
            }
            if mode != "area" && from.is_finite() {
                let y = self.y(plot, *from);
                let solid = Stroke::new(colour.faded(0.85), 1.5);
                let stroke =
                    if mode.contains("dashed") { solid.dashed(&[8.0, 6.0]) } else { solid };
                svg.line((plot.area.x, y), (plot.area.right(), y), &stroke);
            }
        }
    }

    fn fills(&self, svg: &mut Svg, plot: &Plot) {
        for curve in &self.curves {
            let custom = &curve.field.custom;
            let opacity = match (custom.draw_style.as_str(), custom.fill_opacity) {
                ("points", _) => continue,
                ("bars", None) => 0.8,
                (_, opacity) => opacity.unwrap_or(0.0) / 100.0,
            };
            if opacity <= 0.0 {
                continue;
            }
            if custom.draw_style == "bars" {
                self.columns(svg, plot, curve, opacity);
                continue;
            }
            let fill = self.filling(svg, plot, curve, opacity);
            for part in &curve.parts {
                let upper = self.along(plot, curve, part, |point| Some(point.value));
                let mut lower = self.along(plot, curve, part, |point| point.floor);
                lower.reverse();
                let around: Vec<(f64, f64)> = upper.into_iter().chain(lower).collect();
                svg.fill(&path(&around), fill.clone());
            }
        }
    }

    fn filling(&self, svg: &mut Svg, plot: &Plot, curve: &Curve, opacity: f64) -> Fill {
        if curve.field.custom.gradient_mode != "opacity" {
            return curve.colour.faded(opacity).into();
        }
        let highest = curve.values().fold(self.axis.lo, f64::max);
        let x = plot.area.x;
        let stops = [(0.0, curve.colour.faded(opacity)), (1.0, curve.colour.faded(0.02))];
        svg.gradient((x, self.y(plot, highest)), (x, plot.area.bottom()), &stops)
    }

    fn columns(&self, svg: &mut Svg, plot: &Plot, curve: &Curve, opacity: f64) {
        let wide = (plot.x(plot.window.from + plot.window.step) - plot.area.x) * 0.75;
        let wide = wide.max(1.0);
        for point in curve.parts.iter().flatten() {
            let (top, bottom) = (self.y(plot, point.value), self.y(plot, self.floor(point)));
            let (top, bottom) = (top.min(bottom), top.max(bottom));
            let column = Rect::new(plot.x(point.time) - wide / 2.0, top, wide, bottom - top);
            svg.rect(column, 0.0, curve.colour.faded(opacity));
        }
    }

    fn strokes(&self, svg: &mut Svg, plot: &Plot) {
        for curve in &self.curves {
            let custom = &curve.field.custom;
            let line_width = custom.line_width.unwrap_or(1.0);
            if custom.draw_style == "bars" {
                continue;
            }
            let points_only = custom.draw_style == "points";
            let mut stroke = Stroke::new(curve.colour, line_width * 1.25);
            if custom.line_style.fill == "dash" {
                let dash = &custom.line_style.dash;
                stroke = stroke.dashed(if dash.is_empty() { &[8.0, 6.0] } else { dash });
            }
            for part in &curve.parts {
                let along = self.along(plot, curve, part, |point| Some(point.value));
                if !points_only && line_width > 0.0 {
                    svg.stroke(&path(&along), &stroke);
                }
                // One point alone would be a line of no length.
                if points_only || part.len() == 1 || custom.show_points == "always" {
                    for point in part {
                        let at = (plot.x(point.time), self.y(plot, point.value));
                        svg.circle(at, 2.0, curve.colour);
                    }
                }
            }
        }
    }

    /// The pixels of a part's values, or of its floors.
    fn along(
        &self,
        plot: &Plot,
        curve: &Curve,
        part: &[Point],
        value: impl Fn(&Point) -> Option<f64>,
    ) -> Vec<(f64, f64)> {
        let stepped = curve.field.custom.line_interpolation == "stepAfter";
        let mut points: Vec<(f64, f64)> = Vec::new();
        for point in part {
            let value = value(point).unwrap_or_else(|| self.bottom());
            let at = (plot.x(point.time), self.y(plot, value));
            if stepped && let Some(last) = points.last() {
                points.push((at.0, last.1));
            }
            points.push(at);
        }
        points
    }

    fn floor(&self, point: &Point) -> f64 {
        point.floor.unwrap_or_else(|| self.bottom())
    }

    /// Where areas are filled from: zero, or the end of the axis that is nearest to it.
    fn bottom(&self) -> f64 {
        0.0_f64.clamp(self.axis.lo, self.axis.hi)
    }
}

fn mode(curve: &Curve) -> &str {
    &curve.field.custom.thresholds_style.mode
}
