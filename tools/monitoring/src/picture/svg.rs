//! The SVG that is drawn: shapes and escaped text, rounded to tenths of a pixel.

use std::fmt::{self, Write};

use super::colour::Colour;

/// A rectangle in pixels, from its top left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) w: f64,
    pub(super) h: f64,
}

impl Rect {
    pub(super) const fn new(x: f64, y: f64, w: f64, h: f64) -> Self {
        Self { x, y, w, h }
    }

    pub(super) fn right(&self) -> f64 {
        self.x + self.w
    }

    pub(super) fn bottom(&self) -> f64 {
        self.y + self.h
    }

    /// The point in the middle.
    pub(super) fn centre(&self) -> (f64, f64) {
        (self.x + self.w / 2.0, self.y + self.h / 2.0)
    }

    /// This with so much less on every side, but never less than nothing.
    pub(super) fn inset(&self, by: f64) -> Self {
        Self::new(
            self.x + by,
            self.y + by,
            (self.w - 2.0 * by).max(0.0),
            (self.h - 2.0 * by).max(0.0),
        )
    }
}

/// Which point of a text stands at its coordinate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) size: f64,
    pub(super) colour: Colour,
    pub(super) anchor: Anchor,
    pub(super) bold: bool,
}

impl Style {
    pub(super) const fn new(size: f64, colour: Colour) -> Self {
        Self { size, colour, anchor: Anchor::Start, bold: false }
    }

    pub(super) const fn middle(self) -> Self {
        Self { anchor: Anchor::Middle, ..self }
    }

    pub(super) const fn end(self) -> Self {
        Self { anchor: Anchor::End, ..self }
    }

    pub(super) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }
}

/// How a line looks.
#[derive(Clone, Debug)]
pub(super) struct Stroke {
    pub(super) colour: Colour,
    pub(super) width: f64,
    /// Lengths of dashes and gaps; empty means solid.
    pub(super) dash: Vec<f64>,
}

impl Stroke {
    pub(super) const fn new(colour: Colour, width: f64) -> Self {
        Self { colour, width, dash: Vec::new() }
    }

    pub(super) fn dashed(self, dash: &[f64]) -> Self {
        Self { dash: dash.to_vec(), ..self }
    }

    fn attributes(&self) -> String {
        let mut out = format!(r#"fill="none" stroke="{}""#, self.colour);
        if self.width != 1.0 {
            let _ = write!(out, r#" stroke-width="{}""#, Px(self.width));
        }
        if !self.dash.is_empty() {
            let dash: Vec<String> = self.dash.iter().map(|len| Px(*len).to_string()).collect();
            let _ = write!(out, r#" stroke-dasharray="{}""#, dash.join(" "));
        }
        out
    }
}

/// What fills a shape: a colour, or a gradient of this drawing. Only [`Svg`] makes the latter.
#[derive(Clone, Debug)]
pub(super) struct Fill(String);

impl From<Colour> for Fill {
    fn from(colour: Colour) -> Self {
        Self(colour.to_string())
    }
}

/// A length as it is written.
pub(super) struct Px(pub(super) f64);

impl fmt::Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Adding zero turns -0 into 0.
        write!(f, "{}", (self.0 * 10.0).round() / 10.0 + 0.0)
    }
}

/// A drawing in the making.
#[derive(Default)]
pub(super) struct Svg {
    definitions: String,
    body: String,
    names: usize,
}

impl Svg {
    /// The whole file, `width` by `height` pixels, for people who cannot see it described by
    /// `title`.
    pub(super) fn finish(self, width: f64, height: f64, title: &str) -> String {
        let Self { definitions, body, .. } = self;
        let (width, height, title) = (Px(width), Px(height), escaped(title));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" \
             font-family=\"Inter, 'Helvetica Neue', Arial, sans-serif\">\n\
             <title>{title}</title>\n<defs>\n{definitions}</defs>\n{body}</svg>\n"
        )
    }

    pub(super) fn rect(&mut self, rect: Rect, radius: f64, fill: impl Into<Fill>) {
        self.shape(rect, radius, &format!(r#"fill="{}""#, fill.into().0));
    }

    pub(super) fn outline(&mut self, rect: Rect, radius: f64, stroke: &Stroke) {
        self.shape(rect, radius, &stroke.attributes());
    }

    fn shape(&mut self, rect: Rect, radius: f64, attributes: &str) {
        let Rect { x, y, w, h } = rect;
        let round = if radius > 0.0 { format!(r#" rx="{}""#, Px(radius)) } else { String::new() };
        let (x, y, w, h) = (Px(x), Px(y), Px(w.max(0.0)), Px(h.max(0.0)));
        self.element(format_args!(
            r#"<rect x="{x}" y="{y}" width="{w}" height="{h}"{round} {attributes}/>"#
        ));
    }

    pub(super) fn circle(&mut self, (x, y): (f64, f64), radius: f64, fill: impl Into<Fill>) {
        let (x, y, radius, fill) = (Px(x), Px(y), Px(radius), fill.into().0);
        self.element(format_args!(r#"<circle cx="{x}" cy="{y}" r="{radius}" fill="{fill}"/>"#));
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: &Stroke) {
        self.stroke(&path(&[from, to]), stroke);
    }

    /// Draws along `d`, as [`path`] makes it.
    pub(super) fn stroke(&mut self, d: &str, stroke: &Stroke) {
        let attributes = stroke.attributes();
        self.element(format_args!(r#"<path d="{d}" {attributes}/>"#));
    }

    /// Fills what `d` encloses.
    pub(super) fn fill(&mut self, d: &str, fill: impl Into<Fill>) {
        let fill = fill.into().0;
        self.element(format_args!(r#"<path d="{d}" fill="{fill}"/>"#));
    }

    /// Text with its baseline at `at`.
    pub(super) fn text(&mut self, at: (f64, f64), style: &Style, text: &str) {
        self.texts(at, style, "", &escaped(text));
    }

    /// Text that reads upwards.
    pub(super) fn text_upwards(&mut self, (x, y): (f64, f64), style: &Style, text: &str) {
        let turn = format!(r#" transform="rotate(-90 {} {})""#, Px(x), Px(y));
        self.texts((x, y), style, &turn, &escaped(text));
    }

    /// Text whose end is smaller: a number and its unit.
    pub(super) fn text_with_unit(
        &mut self,
        at: (f64, f64),
        style: &Style,
        (text, unit): (&str, &str),
        unit_size: f64,
    ) {
        let (text, unit, size) = (escaped(text), escaped(unit), Px(unit_size));
        let inner = format!(r#"{text}<tspan font-size="{size}">{unit}</tspan>"#);
        self.texts(at, style, "", &inner);
    }

    fn texts(&mut self, (x, y): (f64, f64), style: &Style, more: &str, inner: &str) {
        let Style { size, colour, anchor, bold } = style;
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => r#" text-anchor="middle""#,
            Anchor::End => r#" text-anchor="end""#,
        };
        let weight = if *bold { r#" font-weight="500""# } else { "" };
        let (x, y, size) = (Px(x), Px(y), Px(*size));
        self.element(format_args!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{colour}\"{anchor}{weight}{more}>{inner}</text>"
        ));
    }

    /// A gradient along the line from `from` to `to`, with colours at shares (0 to 1) of it.
    pub(super) fn gradient(
        &mut self,
        from: (f64, f64),
        to: (f64, f64),
        stops: &[(f64, Colour)],
    ) -> Fill {
        let name = self.name();
        let _ = writeln!(
            self.definitions,
            "<linearGradient id=\"{name}\" gradientUnits=\"userSpaceOnUse\" x1=\"{}\" y1=\"{}\" \
             x2=\"{}\" y2=\"{}\">",
            Px(from.0),
            Px(from.1),
            Px(to.0),
            Px(to.1),
        );
        for (share, colour) in stops {
            let share = (share * 1000.0).round() / 1000.0;
            let _ = write!(self.definitions, r#"<stop offset="{share}" stop-color="{colour}"/>"#);
        }
        self.definitions.push_str("</linearGradient>\n");
        Fill(format!("url(#{name})"))
    }

    /// What is drawn in `inside` shows within `rect` alone.
    pub(super) fn clipped(&mut self, rect: Rect, inside: impl FnOnce(&mut Self)) {
        let name = self.name();
        let Rect { x, y, w, h } = rect;
        let _ = writeln!(
            self.definitions,
            r#"<clipPath id="{name}"><rect x="{}" y="{}" width="{}" height="{}"/></clipPath>"#,
            Px(x),
            Px(y),
            Px(w),
            Px(h),
        );
        self.element(format_args!(r#"<g clip-path="url(#{name})">"#));
        inside(self);
        self.element(format_args!("</g>"));
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("d{}", self.names)
    }

    fn element(&mut self, element: fmt::Arguments<'_>) {
        let _ = writeln!(self.body, "{element}");
    }
}

/// A path through `points`. Those that lie on the line between their neighbours are left out, as
/// most of a calm series does.
pub(super) fn path(points: &[(f64, f64)]) -> String {
    let mut out = String::new();
    let mut kept: Option<(f64, f64)> = None;
    for (number, &(x, y)) in points.iter().enumerate() {
        if let (Some(before), Some(after)) = (kept, points.get(number + 1))
            && on_the_way(before, (x, y), *after)
        {
            continue;
        }
        let _ = write!(out, "{}{} {}", if number == 0 { 'M' } else { 'L' }, Px(x), Px(y));
        kept = Some((x, y));
    }
    out
}

/// Horizontal runs only: with others, small errors would add up along the path.
fn on_the_way(before: (f64, f64), at: (f64, f64), after: (f64, f64)) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() < 0.05;
    near(before.1, at.1) && near(at.1, after.1)
}

/// `text` for the inside of an element or of a quoted attribute. What XML does not allow at all is
/// replaced.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' | '\r' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::colour::TEXT;
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        let hostile = "<script>alert(\"1\")</script> & 'x' \u{0}\u{1b}[31m\n";
        let mut svg = Svg::default();
        svg.text((1.0, 2.0), &Style::new(12.0, TEXT), hostile);
        svg.text_with_unit((1.0, 2.0), &Style::new(12.0, TEXT), (hostile, hostile), 9.0);
        let file = svg.finish(10.0, 10.0, hostile);
        assert!(!file.contains("<script") && !file.contains("& ") && !file.contains('\u{0}'));
        assert!(file.contains("&lt;script&gt;alert(&quot;1&quot;)"));
    }

    #[test]
    fn lengths_are_short() {
        let px = |value: f64| Px(value).to_string();
        assert_eq!([px(1.0), px(0.25), px(-0.01), px(1234.56)], ["1", "0.3", "0", "1234.6"]);
    }

    #[test]
    fn a_flat_stretch_is_two_points() {
        let points = [(0.0, 5.0), (1.0, 5.0), (2.0, 5.0), (3.0, 9.0)];
        assert_eq!(path(&points), "M0 5L2 5L3 9");
    }
}
