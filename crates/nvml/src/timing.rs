//! How long each driver call takes, for `heatsink check --timings`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::code::Code;
use crate::device::Device;
use crate::entry;
use crate::fields::{links, rows};
use crate::gpm::SHORTEST_WINDOW;
use crate::gpm_calls::{MetricsRequest, Sample, SampledEntity};
use crate::library::{DEFAULT_NAME, Library, ReadError, ReadFailure};
use crate::mig;
use crate::prm::{self, PortCounter};
use crate::row::{Call, FIELD_VALUES_CALL, METRICS_CALL, PRM_CALL, Read, Row};

/// How often each call is made.
const ROUNDS: usize = 20;

/// One call's times.
pub struct Timing {
    /// NVML's function, with its main argument.
    pub call: String,
    /// Shortest, median and longest time, in microseconds.
    pub micros: [f64; 3],
    /// The last answer: `ok`, or NVML's code.
    pub answer: String,
}

/// Makes every call that the readers make, again and again, on one GPU, and times it.
///
/// # Errors
///
/// When the library or the GPU cannot be opened.
pub fn time_calls(library: Option<&Path>, index: u32) -> Result<Vec<Timing>, ReadError> {
    Ok(time_all(library.unwrap_or(Path::new(DEFAULT_NAME)), index)?)
}

fn time_all(library: &Path, index: u32) -> Result<Vec<Timing>, ReadFailure> {
    let library = Arc::new(Library::open(library)?);
    let device = Device::by_index(&library, index).map_err(ReadFailure::Driver)?;
    let mut timings = vec![
        time("nvmlDeviceGetCount", || library.device_count().map(|_| ())),
        time("nvmlDeviceGetHandleByIndex", || Device::by_index(&library, index).map(|_| ())),
        time("nvmlDeviceGetMigMode", || mig::is_enabled(&device).map(|_| ())),
    ];
    let mut answers = Vec::new();
    let mut times_link_errors = false;
    for row in rows() {
        let Call::Ordinary(call) = &row.call else { continue };
        let name = match call.read {
            Read::Link(..) if std::mem::replace(&mut times_link_errors, true) => continue,
            Read::Link(..) => format!("{} (link 0)", call.name),
            Read::One(_) | Read::Many(_) => {
                let first = row.fields.iter().find_map(|(_, field)| model::catalog::by_id(field));
                let first = first.map_or("", |field| field.name);
                format!("{} ({})", call.name, first.trim_start_matches("DCGM_FI_DEV_"))
            }
        };
        timings.push(time(&name, || call.make(&device, 0, &mut answers)));
    }
    timings.extend(time_field_values(&library, &device));
    let of_pcie = rows().filter_map(|row| match &row.call {
        Call::Pcie(call) => Some(call),
        _ => None,
    });
    for (direction, call) in of_pcie.enumerate() {
        let name = format!("{} ({direction})", call.name);
        timings.push(time(&name, || call.make(&device, 0, &mut answers)));
    }
    timings.push(time_port_counters(&device));
    timings.extend(time_metrics(&library, &device));
    Ok(timings)
}

/// Times every entry that fields of the GPU are made from, and all of them in one call.
fn time_field_values(library: &Library, device: &Device) -> Vec<Timing> {
    let driver_version = library.driver_version().ok();
    let mut entries = BTreeSet::new();
    for row in rows().filter(|row| !row.call.is_of_link()) {
        let Call::FieldValue(of_row, _) = row.call else { continue };
        for (offset, _) in row.fields.iter() {
            let numbers = of_row.numbers(offset, 0, driver_version.as_deref());
            entries.extend(numbers.into_iter().flatten());
        }
    }
    let one = |(id, scope): &(u32, u32)| {
        let call = match scope {
            0 => format!("{FIELD_VALUES_CALL} ({id})"),
            &u32::MAX => format!("{FIELD_VALUES_CALL} ({id}, all links)"),
            link => format!("{FIELD_VALUES_CALL} ({id}, link {link})"),
        };
        time(&call, || {
            let mut entry = [entry::request(*id, *scope)];
            device.field_values(&mut entry)?;
            Code::check(entry[0].nvmlReturn)
        })
    };
    let mut timings: Vec<Timing> = entries.iter().map(one).collect();
    let mut all: Vec<_> = entries.iter().map(|(id, scope)| entry::request(*id, *scope)).collect();
    let call = format!("{FIELD_VALUES_CALL} (all {})", all.len());
    timings.push(time(&call, || device.field_values(&mut all)));
    timings
}

/// Times a call for every port counter of all NVLinks.
fn time_port_counters(device: &Device) -> Timing {
    let links = links::count_links(device).ok().flatten().unwrap_or(0).max(1);
    let of_row = |row: &'static Row| match row.call {
        Call::PortCounter(id) => Some(move |link| PortCounter::request(id, link)),
        _ => None,
    };
    let of_link = |link| rows().filter_map(of_row).map(move |request| request(link));
    let mut counters: Vec<PortCounter> = (0..links).flat_map(of_link).collect();
    let call = format!("{PRM_CALL} (all {})", counters.len());
    time(&call, || prm::read_counters(device, &mut counters))
}

/// Times a sample, and a call for every profiling metric of the GPU.
fn time_metrics(library: &Arc<Library>, device: &Device) -> Vec<Timing> {
    let (Ok(earlier), Ok(later)) = (Sample::new(library), Sample::new(library)) else {
        return Vec::new();
    };
    let first = earlier.take(device, SampledEntity::Device);
    std::thread::sleep(SHORTEST_WINDOW);
    let mut timings = vec![time("nvmlGpmSampleGet", || later.take(device, SampledEntity::Device))];
    if first.is_ok() {
        let of_row = |row: &'static Row| match row.call {
            Call::Metric(number, _) => {
                Some(row.fields.iter().map(move |(offset, _)| offset.after(number)))
            }
            _ => None,
        };
        let mut request = MetricsRequest::new();
        request.fill(rows().filter_map(of_row).flatten());
        let name = format!("{METRICS_CALL} (all {})", request.metrics().len());
        timings.push(time(&name, || request.send(library, &earlier, &later)));
    }
    timings
}

/// Times a call.
fn time(name: &str, mut call: impl FnMut() -> Result<(), Code>) -> Timing {
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
