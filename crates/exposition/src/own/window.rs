//! Of what happens between scrapes: the least, the mean and the most over a rolling window.

use model::{Extent, FieldId, Quantity, field};

use super::{Known, Samples};
use crate::text::{Family, Labels, Number};

pub(super) const FAMILIES: &[(FieldId, Samples)] = &[(field::WINDOW_SECONDS, window)];

/// Which of the three.
type Statistic = fn(&Extent) -> f64;

/// The quantity and the statistic that a family is of.
pub(super) fn statistic_of(family: FieldId) -> Option<(Quantity, Statistic)> {
    const STATISTICS: [Statistic; 3] = [|it| it.min, |it| it.mean, |it| it.max];
    Quantity::ALL.into_iter().find_map(|quantity| {
        let place = quantity.families().iter().position(|known| *known == family)?;
        Some((quantity, STATISTICS[place]))
    })
}

/// Writes the samples of one family.
pub(super) fn extents(
    known: &Known<'_>,
    family: &mut Family<'_>,
    (quantity, statistic): (Quantity, Statistic),
) {
    for row in known.gpus.iter().filter(|row| row.view.up.is_ok()) {
        let extent = row.view.extents.iter().find(|extent| extent.quantity == quantity);
        let Some(extent) = extent else { continue };
        if let Some(value) = Number::finite(statistic(extent)) {
            let samples = if extent.from_driver { "driver" } else { "polled" };
            family.line(&row.short).text("samples", samples).value(value);
        }
    }
}

fn window(known: &Known<'_>, family: &mut Family<'_>) {
    let window = known.snapshot.windows.extents;
    if !window.is_zero() {
        family.sample(&Labels::default(), window);
    }
}
