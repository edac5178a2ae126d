//! The families that were asked for: one sample per GPU, under the name, type and help of the row.

use model::{FieldId, GpuView, Watch};

use crate::asked::Asked;
use crate::gpus::Row;
use crate::text::{Family, Labels, Number};

/// The labels that some of these families add.
pub(crate) const ATTRIBUTES: [&str; 2] = ["err_code", "err_msg"];

/// The last XID: an event that was delivered, not something that a pass reads.
const XID_ERRORS: FieldId = FieldId(230);

/// Writes all of them, in the order in which they were asked for.
pub(crate) fn write(out: &mut String, asked: &Asked<'_>, gpus: &[Row<'_>]) {
    for (position, watch) in &asked.families {
        let Watch { name, kind, help, .. } = watch;
        let family = &mut Family::new(out, name, kind.as_str(), help);
        let known = gpus.iter().filter_map(|row| Some((row.view, row.full.as_ref()?)));
        for (gpu, labels) in known {
            if watch.field == XID_ERRORS {
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

/// An XID that was delivered stays true when its GPU is down; that none happened is known only
/// while the GPU is up and the driver delivers events for it.
fn last_xid(family: &mut Family<'_>, gpu: &GpuView, labels: &Labels) {
    let Some(log) = &gpu.xids else { return };
    let (code, message) = match log.last {
        Some(xid) => (xid.code, xid.message),
        None if log.listening && gpu.up.is_ok() => (0, "No Error"),
        None => return,
    };
    let code = Number::from(u64::from(code));
    let mut labels = labels.clone();
    labels.number("err_code", code);
    labels.text("err_msg", message);
    family.sample(&labels, code);
}
