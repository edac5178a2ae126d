//! The families that were asked for: one sample per GPU, under the name, type and help of the row.

use model::{FieldId, GpuView, Watch};

use crate::asked::Asked;
use crate::gpus::Row;
use crate::text::{Family, Labels, Number};

/// The labels that some of these families add.
pub(crate) const ATTRIBUTES: [&str; 2] = ["err_code", "err_msg"];

/// Writes all of them, in the order in which they were asked for.
pub(crate) fn write(out: &mut String, asked: &Asked<'_>, gpus: &[Row<'_>]) {
    for (position, watch) in &asked.families {
        let Watch { name, kind, help, .. } = watch;
        let family = &mut Family::new(out, name, kind.as_str(), help);
        let known = gpus.iter().filter_map(|row| Some((row.view, row.full.as_ref()?)));
        for (gpu, labels) in known {
            if watch.field == FieldId::XID_ERRORS {
                last_xid(family, gpu, labels);
            } else if let Some(number) = reading(gpu, *position) {
                family.sample(labels, number);
            }
        }
    }
}

/// The number that was read; of a GPU that is down there is none, whatever its slots say.
fn reading(gpu: &GpuView, position: usize) -> Option<Number> {
    let reading = gpu.up.is_ok().then(|| gpu.readings.get(position))??;
    Number::of(reading.as_ref().ok()?)
}

/// The last XID, with its number and its meaning as labels.
fn last_xid(family: &mut Family<'_>, gpu: &GpuView, labels: &Labels) {
    let Some(xid) = gpu.last_xid() else { return };
    let code = Number::from(u64::from(xid.code));
    let mut labels = labels.clone();
    labels.number("err_code", code);
    labels.text("err_msg", xid.message);
    family.sample(&labels, code);
}
