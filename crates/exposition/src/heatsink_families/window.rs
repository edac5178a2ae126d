//! Families about what happens between scrapes: minimum, mean and maximum over a rolling window.

use model::{Extent, FieldId, Quantity, field};

use crate::inputs::{Inputs, Samples};
use crate::text::{Family, Labels, Number};

pub(super) const FAMILIES: &[(FieldId, Samples)] = &[(field::WINDOW_SECONDS, window)];

/// Minimum, mean or maximum.
type Statistic = fn(&Extent) -> f64;

/// The quantity and the statistic of a family.
pub(super) fn statistic_of(family: FieldId) -> Option<(Quantity, Statistic)> {
    const STATISTICS: [Statistic; 3] = [|it| it.min, |it| it.mean, |it| it.max];
    Quantity::ALL.into_iter().find_map(|quantity| {
        let place = quantity.families().iter().position(|inputs| *inputs == family)?;
        Some((quantity, STATISTICS[place]))
    })
}

/// Writes the samples of one family.
pub(super) fn extents(
    inputs: &Inputs<'_>,
    family: &mut Family<'_>,
    (quantity, statistic): (Quantity, Statistic),
) {
    for gpu in inputs.gpus.iter().filter(|gpu| gpu.view.up.is_ok()) {
        let extent = gpu.view.extents.iter().find(|extent| extent.quantity == quantity);
        let Some(extent) = extent else { continue };
        if let Some(value) = Number::finite(statistic(extent)) {
            let samples = if extent.from_driver { "driver" } else { "polled" };
            family.line(&gpu.labels).text("samples", samples).value(value);
        }
    }
}

fn window(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    let window = inputs.snapshot.windows.extents;
    if !window.is_zero() {
        family.sample(&Labels::default(), window);
    }
}
