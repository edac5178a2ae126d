//! Colours by Grafana's names, and what is mixed from them.

use std::fmt;

/// A colour that is safe to write into an attribute, whatever text it came from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Colour {
    red: u8,
    green: u8,
    blue: u8,
    alpha: f64,
}

/// The page behind the panels.
pub(super) const PAGE: Colour = Colour::opaque(0x11_12_17);
/// A panel.
pub(super) const PANEL: Colour = Colour::opaque(0x18_1b_1f);
/// A panel's border, and the lines between a table's rows.
pub(super) const BORDER: Colour = Colour::opaque(0x2a_2d_33);
/// The unfilled part of a gauge.
pub(super) const TRACK: Colour = Colour::opaque(0x22_25_2b);
/// Text.
pub(super) const TEXT: Colour = Colour::opaque(0xcc_cc_dc);
/// Text that matters less: axes, legends, headings of tables.
pub(super) const FAINT: Colour = Colour::opaque(0x8e_8e_9c);
/// Text that says there is nothing.
pub(super) const FAINTER: Colour = Colour::opaque(0x6e_6f_7a);

const SHADES: [&str; 5] = ["super-light-", "light-", "", "semi-dark-", "dark-"];

/// A hue in the order of [`SHADES`].
const HUES: &[(&str, [u32; 5])] = &[
    ("red", [0xffa6b0, 0xff7383, 0xf2495c, 0xe02f44, 0xc4162a]),
    ("orange", [0xffcb7d, 0xffb357, 0xff9830, 0xff780a, 0xfa6400]),
    ("yellow", [0xfff899, 0xffee52, 0xfade2a, 0xf2cc0c, 0xe0b400]),
    ("green", [0xc8f2c2, 0x96d98d, 0x73bf69, 0x56a64b, 0x37872d]),
    ("blue", [0xc0d8ff, 0x8ab8ff, 0x5794f2, 0x3274d9, 0x1f60c4]),
    ("purple", [0xdeb6f2, 0xca95e5, 0xb877d9, 0xa352cc, 0x8f3bb8]),
];

const NAMES: &[(&str, Colour)] = &[
    ("transparent", Colour { red: 0, green: 0, blue: 0, alpha: 0.0 }),
    ("text", TEXT),
    ("panel-bg", PANEL),
    ("white", Colour::opaque(0xff_ff_ff)),
    ("black", Colour::opaque(0x00_00_00)),
    ("gray", Colour::opaque(0x80_80_80)),
    ("grey", Colour::opaque(0x80_80_80)),
];

/// Grafana's "classic palette", one colour per series.
const PALETTE: &[u32] = &[
    0x73bf69, 0xf2cc0c, 0x8ab8ff, 0xff780a, 0xf2495c, 0x5794f2, 0xb877d9, 0x705da0, 0x37872d,
    0xfade2a, 0x447ebc, 0xc15c17, 0x890f02, 0x0a437c, 0x6d1f62, 0x584477, 0xb7dbab, 0xf4d598,
    0x70dbed, 0xf9ba8f, 0xf29191, 0x82b5d8, 0xe5a8e2, 0xaea2e0, 0x629e51, 0xe5ac0e, 0x64b0c8,
    0xe0752d, 0xbf1b00, 0x0a50a1, 0x962d82, 0x614d93,
];

/// The colours that a continuous mode runs through, by what follows `continuous-`.
const RAMPS: &[(&str, &[&str])] = &[
    ("GrYlRd", &["green", "yellow", "red"]),
    ("RdYlGr", &["red", "yellow", "green"]),
    ("BlYlRd", &["dark-blue", "super-light-yellow", "dark-red"]),
    ("YlRd", &["super-light-yellow", "dark-red"]),
    ("BlPu", &["blue", "purple"]),
    ("YlBl", &["super-light-yellow", "dark-blue"]),
    ("blues", &["panel-bg", "dark-blue"]),
    ("reds", &["panel-bg", "dark-red"]),
    ("greens", &["panel-bg", "dark-green"]),
    ("purples", &["panel-bg", "dark-purple"]),
];

impl Colour {
    const fn opaque(rgb: u32) -> Self {
        let [_, red, green, blue] = rgb.to_be_bytes();
        Self { red, green, blue, alpha: 1.0 }
    }

    /// The colour of this name: Grafana's own, `#rgb`, `#rrggbb` or `rgba(r, g, b, a)`.
    pub(super) fn named(name: &str) -> Option<Self> {
        let plain = NAMES.iter().find(|(known, _)| *known == name).map(|(_, colour)| *colour);
        plain.or_else(|| shade(name)).or_else(|| hex(name)).or_else(|| function(name))
    }

    /// The colour of this name, or grey, which is what an unknown name deserves.
    pub(super) fn of(name: &str) -> Self {
        Self::named(name).unwrap_or(Self::opaque(0x80_80_80))
    }

    /// The colour of the series with this number, from the classic palette.
    pub(super) fn of_series(number: usize) -> Self {
        Self::opaque(PALETTE[number % PALETTE.len()])
    }

    /// The colour at `share` (0 to 1) of the way through a continuous mode, such as
    /// `continuous-GrYlRd`.
    pub(super) fn on_ramp(mode: &str, share: f64) -> Option<Self> {
        let ramp = mode.strip_prefix("continuous-")?;
        let (_, stops) = RAMPS.iter().find(|(name, _)| *name == ramp)?;
        let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        let place = share * (stops.len() - 1) as f64;
        let before = (place as usize).min(stops.len() - 2);
        Some(Self::of(stops[before]).mixed(Self::of(stops[before + 1]), place - before as f64))
    }

    /// This colour, with `share` (0 to 1) of it replaced by `other`.
    pub(super) fn mixed(self, other: Self, share: f64) -> Self {
        let mix =
            |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * share).round() as u8;
        Self {
            red: mix(self.red, other.red),
            green: mix(self.green, other.green),
            blue: mix(self.blue, other.blue),
            alpha: self.alpha + (other.alpha - self.alpha) * share,
        }
    }

    /// This colour, `alpha` (0 to 1) times as opaque.
    pub(super) fn faded(self, alpha: f64) -> Self {
        Self { alpha: self.alpha * alpha, ..self }
    }

    /// Black or white, whichever is read more easily on this colour.
    pub(super) fn ink(self) -> Self {
        let on_panel = PANEL.mixed(Self { alpha: 1.0, ..self }, self.alpha);
        let light = 0.299 * f64::from(on_panel.red)
            + 0.587 * f64::from(on_panel.green)
            + 0.114 * f64::from(on_panel.blue);
        Self::opaque(if light > 140.0 { 0x11_12_17 } else { 0xf7_f8_fa })
    }
}

fn shade(name: &str) -> Option<Colour> {
    HUES.iter().find_map(|(hue, shades)| {
        let prefix = name.strip_suffix(hue)?;
        let shade = SHADES.iter().position(|shade| *shade == prefix)?;
        Some(Colour::opaque(shades[shade]))
    })
}

fn hex(text: &str) -> Option<Colour> {
    let digits = text.strip_prefix('#')?;
    let value = u32::from_str_radix(digits, 16).ok()?;
    match digits.len() {
        3 => {
            let digit = |shift: u32| (value >> shift & 0xf) * 0x11;
            Some(Colour::opaque(digit(8) << 16 | digit(4) << 8 | digit(0)))
        }
        6 => Some(Colour::opaque(value)),
        8 => Some(Colour::opaque(value >> 8).faded(f64::from(value & 0xff) / 255.0)),
        _ => None,
    }
}

fn function(text: &str) -> Option<Colour> {
    let (_, arguments) = text.strip_suffix(')')?.split_once('(')?;
    if !text.starts_with("rgb") {
        return None;
    }
    let parts: Vec<f64> =
        arguments.split(',').map(|part| part.trim().parse()).collect::<Result<_, _>>().ok()?;
    let &[red, green, blue, ref alpha @ ..] = parts.as_slice() else { return None };
    let alpha = alpha.first().map_or(1.0, |alpha| alpha.clamp(0.0, 1.0));
    Some(Colour { red: red as u8, green: green as u8, blue: blue as u8, alpha })
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { red, green, blue, alpha } = self;
        if *alpha >= 1.0 {
            write!(f, "#{red:02x}{green:02x}{blue:02x}")
        } else {
            write!(f, "rgba({red},{green},{blue},{})", (alpha * 1000.0).round() / 1000.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_known_by_every_form_of_name() {
        for (name, written) in [
            ("green", "#73bf69"),
            ("semi-dark-red", "#e02f44"),
            ("dark-orange", "#fa6400"),
            ("light-blue", "#8ab8ff"),
            ("super-light-yellow", "#fff899"),
            ("text", "#ccccdc"),
            ("transparent", "rgba(0,0,0,0)"),
            ("#abc", "#aabbcc"),
            ("#1F60C4", "#1f60c4"),
            ("#00000080", "rgba(0,0,0,0.502)"),
            ("rgba(237, 129, 40, 0.89)", "rgba(237,129,40,0.89)"),
            ("rgb(1,2,3)", "#010203"),
        ] {
            assert_eq!(Colour::named(name).unwrap().to_string(), written, "{name}");
        }
    }

    #[test]
    fn no_text_comes_through_as_a_colour() {
        for name in ["\"/><script>", "#12345", "#gggggg", "url(#x)", "mauve", "", "rgb(a,b,c)"] {
            assert_eq!(Colour::named(name), None, "{name}");
            assert_eq!(Colour::of(name).to_string(), "#808080");
        }
    }

    #[test]
    fn every_colour_of_a_ramp_exists() {
        for (name, stops) in RAMPS {
            assert!(stops.iter().all(|stop| Colour::named(stop).is_some()), "{name}");
        }
    }

    #[test]
    fn a_ramp_runs_from_end_to_end() {
        let at = |share| Colour::on_ramp("continuous-GrYlRd", share).unwrap();
        assert_eq!(at(0.0), Colour::of("green"));
        assert_eq!(at(0.5), Colour::of("yellow"));
        assert_eq!(at(1.0), Colour::of("red"));
        assert_eq!(at(7.0), Colour::of("red"));
        assert_eq!(at(f64::NAN), Colour::of("green"));
        assert_eq!(Colour::on_ramp("thresholds", 0.5), None);
    }

    #[test]
    fn text_on_a_colour_can_be_read() {
        assert_eq!(Colour::of("yellow").ink().to_string(), "#111217");
        assert_eq!(Colour::of("dark-red").ink().to_string(), "#f7f8fa");
        assert_eq!(Colour::of("transparent").ink().to_string(), "#f7f8fa");
    }
}
