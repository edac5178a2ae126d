//! The state of the machine, in one sentence.

use model::SourceView;

use super::conditions::CONDITIONS;
use super::gpu::Gpu;

/// The most GPUs that are named one by one; of more, only the number is given.
const MAX_NAMED: usize = 4;

/// `7 of 8 GPUs are healthy; GPU 2 is slowed down by heat.` `missing` GPUs should
/// be there and are not known.
pub(super) fn sentence(source: &SourceView, gpus: &[Gpu<'_>], missing: usize) -> String {
    if source.up.is_err() {
        return match source.name {
            "dcgm" => "DCGM cannot be used, so no GPU is read.".to_owned(),
            _ => "The driver cannot be used, so no GPU is read.".to_owned(),
        };
    }
    let healthy = gpus.iter().filter(|gpu| gpu.state().is_none()).count();
    let summary = match (gpus.len(), healthy) {
        (0, _) => "The driver lists no GPU".to_owned(),
        (1, 1) => "The GPU is healthy".to_owned(),
        (all, healthy) if all == healthy => format!("All {all} GPUs are healthy"),
        // The conditions say enough.
        (1, 0) => String::new(),
        (all, 0) => format!("None of the {all} GPUs is healthy"),
        (all, 1) => format!("1 of {all} GPUs is healthy"),
        (all, healthy) => format!("{healthy} of {all} GPUs are healthy"),
    };
    let unhealthy = (0..CONDITIONS.len()).filter_map(|state| {
        let names: Vec<&str> =
            gpus.iter().filter(|gpu| gpu.state() == Some(state)).map(|gpu| &*gpu.name).collect();
        let condition = &CONDITIONS[state];
        match names.as_slice() {
            [] => None,
            [name] => Some(format!("GPU {name} {}", condition.one)),
            names if names.len() > MAX_NAMED => {
                Some(format!("{} GPUs {}", names.len(), condition.many))
            }
            [names @ .., last] => {
                Some(format!("GPUs {} and {last} {}", names.join(", "), condition.many))
            }
        }
    });
    let missing = match missing {
        0 => None,
        1 => Some("1 more GPU is expected".to_owned()),
        missing => Some(format!("{missing} more GPUs are expected")),
    };
    let parts = std::iter::once(summary).chain(unhealthy).chain(missing);
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("; ") + "."
}
