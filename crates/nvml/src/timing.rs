//! How long each driver call takes, for `heatsink check --timings`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::device::ask;
use crate::field_table::{self, Entries};
use crate::getters::{GETTERS, LINK_ERRORS, LINK_ERRORS_CALL, PCIE_GETTERS};
use crate::library::DEFAULT_NAME;
use crate::{Code, Device, Library};

/// How often each call is made.
const ROUNDS: usize = 20;

/// One call's times.
pub struct Timing {
    /// NVML's function, with what it was asked.
    pub call: String,
    /// Shortest, median and longest time, in microseconds.
    pub micros: [f64; 3],
    /// What the last one answered: `ok`, or NVML's code.
    pub answer: String,
}

/// Makes every call that the readers make, again and again, on one GPU, and times it.
///
/// # Errors
///
/// One line, when the library or the GPU cannot be opened.
pub fn time_calls(library: Option<&Path>, index: u32) -> Result<Vec<Timing>, String> {
    let library = Arc::new(
        Library::open(library.unwrap_or(Path::new(DEFAULT_NAME)))
            .map_err(|error| error.to_string())?,
    );
    let device = Device::by_index(&library, index).map_err(|code| code.to_string())?;
    let mut timings = vec![
        time("nvmlDeviceGetCount", || library.device_count().map(|_| ())),
        time("nvmlDeviceGetHandleByIndex", || Device::by_index(&library, index).map(|_| ())),
        time("nvmlDeviceGetMigMode", || device.mig_enabled().map(|_| ())),
    ];
    let mut answers = Vec::new();
    for getter in GETTERS {
        let first = model::catalog::by_id(getter.fields[0]).map_or("", |field| field.name);
        let call = format!("{} ({})", getter.call, first.trim_start_matches("DCGM_FI_DEV_"));
        timings.push(time(&call, || {
            answers.clear();
            (getter.read)(&device, &mut answers)
        }));
    }
    let [link, ..] = LINK_ERRORS;
    let call = format!("{LINK_ERRORS_CALL} (link 0)");
    timings.push(time(&call, || device.link_errors(0, link.counter).map(|_| ())));
    let entries = entries(library.driver_version().ok().as_deref());
    for (id, scope) in &entries {
        let call = match scope {
            0 => format!("nvmlDeviceGetFieldValues ({id})"),
            &u32::MAX => format!("nvmlDeviceGetFieldValues ({id}, all links)"),
            link => format!("nvmlDeviceGetFieldValues ({id}, link {link})"),
        };
        timings.push(time(&call, || {
            let mut entry = [ask(*id, *scope)];
            device.field_values(&mut entry)?;
            Code::check(entry[0].nvmlReturn)
        }));
    }
    let mut all: Vec<_> = entries.iter().map(|(id, scope)| ask(*id, *scope)).collect();
    let call = format!("nvmlDeviceGetFieldValues (all {})", all.len());
    timings.push(time(&call, || device.field_values(&mut all)));
    for (_, counter) in PCIE_GETTERS {
        let call = format!("nvmlDeviceGetPcieThroughput ({counter})");
        timings.push(time(&call, || device.pcie_throughput(*counter).map(|_| ())));
    }
    let links = crate::links::count(&device).ok().flatten().unwrap_or(0);
    timings.push(crate::prm::timing(&device, links));
    timings.extend(crate::gpm::time(&library, &device));
    Ok(timings)
}

/// Every entry that fields of the GPU are made from, once.
fn entries(driver_version: Option<&str>) -> BTreeSet<(u32, u32)> {
    let mut entries = BTreeSet::new();
    for row in field_table::rows() {
        let (ids, scope) = match row.entries {
            Entries::One(id, scope) => ([Some(id), None], scope),
            Entries::Sum(one, other, scope) => ([Some(one), Some(other)], scope),
        };
        let ids = ids.into_iter().flatten().filter_map(|id| id.of_driver(driver_version));
        entries.extend(ids.map(|id| (id, scope.number(0))));
    }
    entries
}

/// Times a call.
pub(crate) fn time(name: &str, mut call: impl FnMut() -> Result<(), Code>) -> Timing {
    let mut micros = [0.0; ROUNDS];
    let mut answer = Ok(());
    for slot in &mut micros {
        let began = Instant::now();
        answer = call();
        *slot = began.elapsed().as_secs_f64() * 1e6;
    }
    micros.sort_by(f64::total_cmp);
    Timing {
        call: name.to_owned(),
        micros: [micros[0], micros[ROUNDS / 2], micros[ROUNDS - 1]],
        answer: answer.map_or_else(|code| code.to_string(), |()| "ok".to_owned()),
    }
}
