//! `heatsink check`: what can be read here, field by field, and why not.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use catalog::{FIELDS, Field};
use model::{
    Entity, GpuView, Instance, Kind, PartView, Reading, Reason, Snapshot, Source, Value, Watch,
    Windows,
};
use sampler::Sampler;

use crate::cli::{self, CheckArgs};
use crate::logging::Log;
use crate::{DONE, NO, Outcome, devices, http, logging, origin};

/// From one pass to the next: profiling averages need two that are apart.
const INTERVAL: Duration = Duration::from_millis(250);

/// How long the GPUs may take to show all that they have, and to show anything at all.
const SETTLING: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(8);

/// Reads for a moment as `serve` would, and prints what came.
pub(crate) fn run(args: &CheckArgs) -> Result<Outcome> {
    let _log = logging::start(&Log::default());
    let devices =
        devices::parse(&args.devices).map_err(anyhow::Error::msg).context("-d, --devices")?;
    let source = origin::source(&args.source, INTERVAL, false)?;
    let watches = watches(source.as_ref());
    // Nothing is counted or averaged here.
    let (extents, count) = (Duration::ZERO, Duration::from_secs(1));
    let settings = sampler::Settings {
        gpus: devices::gpus(&devices),
        windows: Windows { extents, xids: count, clock_events: count },
        ..sampler::Settings::new(INTERVAL)
    };
    let log = kernel_log(args)?;
    let sampler =
        Sampler::start(source, watches, settings).context("cannot start the reader threads")?;
    let snapshot = settle(&sampler);
    let mut text = report(&snapshot, &log);
    if args.timings && snapshot.source.name == "nvml" {
        text += &timings(args, &snapshot);
    }
    let stuck = !sampler.stop(Duration::from_secs(1));
    if let Err(error) = io::stdout().lock().write_all(text.as_bytes())
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        return Err(error.into());
    }
    let status = if http::readiness(&snapshot).is_ok() { DONE } else { NO };
    Ok(Outcome { status, stuck })
}

/// A watch on every field that the source serves.
fn watches(source: &dyn Source) -> Arc<[Watch]> {
    let mut fields: Vec<&Field> = FIELDS.iter().filter(|field| source.serves(field.id)).collect();
    // One field has two names.
    fields.dedup_by_key(|field| field.id);
    fields
        .into_iter()
        .map(|field| Watch {
            field: field.id,
            name: field.name.into(),
            kind: field.kind,
            help: "".into(),
            pace: field.pace,
            cumulative: field.is_cumulative(),
        })
        .collect()
}

/// Waits until every GPU has shown what it has, or has had its time: `SETTLING` for those that
/// answer, `PATIENCE` for all.
fn settle(sampler: &Sampler) -> Arc<Snapshot> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        thread::sleep(INTERVAL / 5);
        let snapshot = sampler.snapshot();
        let all =
            |is: fn(&GpuView) -> bool| !snapshot.gpus.is_empty() && snapshot.gpus.iter().all(is);
        let all_up = all(|view| view.up.is_ok());
        let all_shown = all(|view| !view.readings.contains(&Err(Reason::NoData)));
        if all_up && (all_shown || began.elapsed() > SETTLING) {
            return snapshot;
        }
    }
    sampler.snapshot()
}

/// What XIDs come from here, and why.
fn kernel_log(args: &CheckArgs) -> Result<String> {
    let without = "without it XIDs come from the driver's events, which never bring 79 (the GPU has \
                   fallen off the bus), 119 and 120 (its firmware does not answer)";
    Ok(match origin::kernel_log(&args.source, &args.kernel_log)? {
        Some(log) => match log.probe() {
            Ok(name) => format!("Kernel log: {name}; XIDs come from it"),
            Err(why) => format!("Kernel log: {why}; {without}"),
        },
        None if args.kernel_log == "none" => format!("Kernel log: not read; {without}"),
        None => "Kernel log: not read, since the GPUs are not of this machine".to_owned(),
    })
}

fn report(snapshot: &Snapshot, log: &str) -> String {
    let source = &snapshot.source;
    let mut text = match &source.up {
        Ok(()) => format!(
            "Source {}: open, driver {}, {} GPUs\n",
            source.name,
            source.driver_version.as_deref().unwrap_or("unknown"),
            snapshot.gpus.len()
        ),
        Err(why) => format!("Source {}: {why}\n", source.name),
    };
    text += &format!("{log}\n");
    for view in &snapshot.gpus {
        text += &gpu(snapshot, view);
    }
    text += &machine(snapshot);
    text += match http::readiness(snapshot) {
        Ok(()) => "\nData flows.\n".to_owned(),
        Err(why) => format!("\nNo data flows: {why}.\n"),
    }
    .as_str();
    text
}

fn gpu(snapshot: &Snapshot, view: &GpuView) -> String {
    let known = view.gpu.identity.as_deref().map_or(Vec::new(), |identity| {
        let texts = [&identity.model_name, &identity.uuid, &identity.pci_bus_id];
        texts.into_iter().filter_map(Option::as_deref).collect()
    });
    let who = if known.is_empty() { String::new() } else { format!(": {}", known.join(", ")) };
    let mut text = format!("\nGPU {}{who}\n", http::name_of(&view.gpu));
    if let Err(down) = view.up {
        return text + &format!("  down: {down}\n");
    }
    let widest = widest(snapshot);
    for (watch, reading) in snapshot.watches.iter().zip(&view.readings) {
        // Of what belongs to no GPU there is nothing to be said with each of them.
        let level = catalog::by_id(watch.field).map(|field| field.level);
        if level.is_none_or(|level| !level.is_beside_gpus()) {
            text += &line("  ", widest, watch, reading);
        }
    }
    for part in view.parts.iter().filter(|part| part.entity != Entity::Gpu) {
        text += &format!("  {}\n", what(&part.entity));
        text += &readings("    ", widest, snapshot, part);
    }
    text
}

/// What belongs to no GPU.
fn machine(snapshot: &Snapshot) -> String {
    let widest = widest(snapshot);
    let mut text = String::new();
    for part in &snapshot.machine {
        text += &format!("\n{}\n", what(&part.entity));
        text += &readings("  ", widest, snapshot, part);
    }
    text
}

fn what(entity: &Entity) -> String {
    match entity {
        Entity::Gpu => "GPU".to_owned(),
        Entity::Link(link) => format!("NVLink {link}"),
        Entity::Peer(peer) => format!("to GPU {peer}"),
        Entity::Instance(instance) => {
            let Instance { gpu_instance, compute_instance, profile, .. } = &**instance;
            let inside = compute_instance.map_or(String::new(), |ci| format!(".{ci}"));
            format!("MIG instance {gpu_instance}{inside}, {profile}")
        }
        Entity::Switch(switch) => format!("NVSwitch {switch}"),
        Entity::SwitchLink { switch, link } => format!("NVSwitch {switch} NVLink {link}"),
        Entity::Cpu(cpu) => format!("CPU {cpu}"),
        Entity::CpuCore { cpu, core } => format!("CPU {cpu} core {core}"),
    }
}

fn readings(indent: &str, widest: usize, snapshot: &Snapshot, part: &PartView) -> String {
    let readings = part.watches.iter().zip(&part.readings);
    let lines = readings.filter_map(|(position, reading)| {
        Some(line(indent, widest, snapshot.watches.get(*position)?, reading))
    });
    lines.collect()
}

/// How long the longest name of a field is.
fn widest(snapshot: &Snapshot) -> usize {
    snapshot.watches.iter().map(|watch| watch.name.len()).max().unwrap_or_default()
}

fn line(indent: &str, widest: usize, watch: &Watch, reading: &Reading) -> String {
    let unit = match catalog::by_id(watch.field) {
        Some(field) if watch.kind != Kind::Label => field.unit,
        _ => "",
    };
    let shown = match reading {
        Ok(Value::Int(number)) => format!("{number} {unit}"),
        Ok(Value::Float(number)) => format!("{number} {unit}"),
        Ok(Value::Text(text)) => text.to_string(),
        Err(reason) => format!("- ({reason})"),
    };
    let line = format!("{indent}{:widest$}  {shown}", watch.name);
    line.trim_end().to_owned() + "\n"
}

/// How long each driver call takes on the first GPU that answers.
fn timings(args: &CheckArgs, snapshot: &Snapshot) -> String {
    let mut answering = snapshot.gpus.iter().filter(|view| view.up.is_ok());
    let Some(index) = answering.find_map(|view| view.gpu.index) else {
        return "\nNo GPU to time driver calls on.\n".to_owned();
    };
    match nvml::time_calls(cli::path(&args.source.nvml_library), index) {
        Err(error) => format!("\nDriver calls cannot be timed: {error}\n"),
        Ok(timings) => {
            let widest = timings.iter().map(|timing| timing.call.len()).max().unwrap_or_default();
            let mut text = format!(
                "\nDriver calls on GPU {index}, microseconds:\n  {:widest$} {:>9} {:>9} {:>9}  {}\n",
                "CALL", "MIN", "MEDIAN", "MAX", "ANSWER"
            );
            for timing in timings {
                let [min, median, max] = timing.micros;
                let call = timing.call;
                text += &format!(
                    "  {call:widest$} {min:>9.1} {median:>9.1} {max:>9.1}  {}\n",
                    timing.answer
                );
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entity_has_words_of_its_own() {
        let instance = Instance {
            gpu_instance: 3,
            compute_instance: Some(1),
            number: 0,
            profile: "1c.2g.20gb".into(),
        };
        for (entity, expected) in [
            (Entity::Instance(instance.into()), "MIG instance 3.1, 1c.2g.20gb"),
            (Entity::Link(3), "NVLink 3"),
            (Entity::Switch(0), "NVSwitch 0"),
            (Entity::SwitchLink { switch: 0, link: 3 }, "NVSwitch 0 NVLink 3"),
            (Entity::Cpu(0), "CPU 0"),
            (Entity::CpuCore { cpu: 0, core: 5 }, "CPU 0 core 5"),
        ] {
            assert_eq!(what(&entity), expected);
        }
    }
}
