//! The scale of values on an axis: where it begins and ends, and its marks at round numbers.

use super::unit;

/// An axis from `lo` to `hi`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) lo: f64,
    pub(super) hi: f64,
    /// The distance of two marks.
    step: f64,
    /// What values are divided by when they are written.
    divisor: f64,
}

/// What a dashboard says about an axis. Nothing means: from the data.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wish {
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) soft_min: Option<f64>,
    pub(super) soft_max: Option<f64>,
}

impl Axis {
    /// An axis for values from `lo` to `hi` in `unit`, with about `marks` marks.
    pub(super) fn of(lo: f64, hi: f64, wish: Wish, unit: &str, marks: f64) -> Self {
        let (lo, hi) = if lo <= hi { (lo, hi) } else { (0.0, 1.0) };
        let lo = wish.soft_min.map_or(lo, |soft| soft.min(lo));
        let hi = wish.soft_max.map_or(hi, |soft| soft.max(hi));
        let (lo, hi) = (wish.min.unwrap_or(lo), wish.max.unwrap_or(hi));
        let (lo, hi) = with_room(lo, hi, wish);
        let divisor = unit::divisor(lo.abs().max(hi.abs()), unit);
        let step = round_up((hi - lo) / divisor / marks.max(1.0)) * divisor;
        // A little beyond the last mark is no reason for another one.
        let lo = wish.min.unwrap_or(((lo / step + 1e-9).floor()) * step);
        let hi = wish.max.unwrap_or(((hi / step - 1e-9).ceil()) * step);
        Self { lo, hi, step, divisor }
    }

    /// Where `value` is, from 0 at the beginning to 1 at the end.
    pub(super) fn share(&self, value: f64) -> f64 {
        (value - self.lo) / (self.hi - self.lo)
    }

    /// Values to be marked, each as it is written in `unit`.
    pub(super) fn marks(&self, unit: &str, decimals: Option<usize>) -> Vec<(f64, String)> {
        let step = self.step / self.divisor;
        let needed = (0..6).find(|n| whole(step * 10f64.powi(*n))).unwrap_or(6) as usize;
        let first = (self.lo / self.step - 1e-9).ceil();
        let count = ((self.hi - first * self.step) / self.step + 1e-9).floor().clamp(0.0, 100.0);
        (0..=count as usize)
            .map(|number| (first + number as f64) * self.step)
            .map(|value| {
                // A mark below the unit of the others, such as 500 MB on an axis of GB, decides
                // for itself.
                let own = unit::divisor(value, unit);
                let same = value == 0.0 || own == self.divisor;
                let decimals = decimals.or(same.then_some(needed)).filter(|_| value != 0.0);
                (value, unit::write(value, unit, decimals).to_string())
            })
            .collect()
    }
}

/// Values that are all the same get room around them, and what is not far from zero begins there.
fn with_room(lo: f64, hi: f64, wish: Wish) -> (f64, f64) {
    if lo >= hi {
        let room = if lo == 0.0 { 1.0 } else { lo.abs() * 0.1 };
        return match (wish.min, wish.max) {
            (Some(_), _) => (lo, lo + room),
            (_, Some(_)) => (hi - room, hi),
            _ if lo >= 0.0 => ((lo - room).max(0.0), lo + room),
            _ => (lo - room, lo + room),
        };
    }
    let room = (hi - lo) * 0.05;
    let floor = if lo >= 0.0 && lo < (hi - lo) { 0.0 } else { lo - room };
    (wish.min.unwrap_or(floor), wish.max.unwrap_or(hi + room))
}

/// The next of 1, 2, 2.5 and 5 times a power of ten.
fn round_up(step: f64) -> f64 {
    if step <= 0.0 || !step.is_finite() {
        return 1.0;
    }
    let power = 10f64.powf(step.log10().floor());
    let times = [1.0, 2.0, 2.5, 5.0].into_iter().find(|times| times * power >= step * 0.999_999);
    times.unwrap_or(10.0) * power
}

fn whole(value: f64) -> bool {
    (value - value.round()).abs() < 1e-6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(lo: f64, hi: f64, wish: Wish, unit: &str) -> Vec<String> {
        let axis = Axis::of(lo, hi, wish, unit, 5.0);
        axis.marks(unit, None).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn marks_are_round_in_their_unit() {
        let none = Wish::default();
        assert_eq!(
            marks(3.0, 90.0, none, "celsius"),
            ["0 °C", "20 °C", "40 °C", "60 °C", "80 °C", "100 °C"]
        );
        assert_eq!(
            marks(0.0, 80e9, none, "bytes"),
            ["0 B", "20 GiB", "40 GiB", "60 GiB", "80 GiB"]
        );
        assert_eq!(
            marks(0.0, 0.004, none, "percentunit"),
            ["0%", "0.1%", "0.2%", "0.3%", "0.4%", "0.5%"]
        );
        assert_eq!(marks(0.0, 7000.0, none, "s")[..2], ["0 s", "30 mins"]);
    }

    #[test]
    fn a_wish_is_kept() {
        let wish = Wish { min: Some(0.0), max: Some(1.0), ..Wish::default() };
        let axis = Axis::of(0.3, 0.4, wish, "percentunit", 5.0);
        assert_eq!((axis.lo, axis.hi), (0.0, 1.0));
        assert_eq!(axis.share(0.25), 0.25);
        let soft = Wish { soft_max: Some(100.0), ..Wish::default() };
        assert!(Axis::of(0.0, 10.0, soft, "", 5.0).hi >= 100.0);
        assert!(Axis::of(0.0, 200.0, soft, "", 5.0).hi >= 200.0);
    }

    #[test]
    fn any_values_make_an_axis() {
        for (lo, hi) in [
            (0.0, 0.0),
            (5.0, 5.0),
            (-5.0, -5.0),
            (f64::INFINITY, f64::NEG_INFINITY),
            (1e-12, 2e-12),
            (-1e15, 1e15),
            (99.0, 100.0),
            (1.0, 1.0 + 1e-13),
        ] {
            let axis = Axis::of(lo, hi, Wish::default(), "short", 5.0);
            assert!(axis.hi > axis.lo, "{lo} {hi}: {axis:?}");
            assert!((1..=12).contains(&axis.marks("short", None).len()), "{lo} {hi}: {axis:?}");
        }
    }

    #[test]
    fn a_narrow_band_far_from_zero_is_looked_at_closely() {
        assert!(Axis::of(95.0, 100.0, Wish::default(), "", 5.0).lo > 90.0);
    }
}
