//! `heatsink history export`: its mistakes, and the way from a recording to Prometheus and back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use testkit::exporter::{Exporter, run};
use testkit::page::{Page, metric};
use testkit::server;

use crate::rig::{BINARY, PATIENCE, Rig, down, up};

fn export(args: &[&str]) -> Output {
    run(BINARY, &[&["history", "export"], args].concat(), &[])
}

#[test]
fn mistakes_end_it_with_one_line() {
    for (args, why) in [
        (&["--label", "gpu=1"][..], "--label: `gpu` is a label of the page; choose another name"),
        (&["--label", "job"], "--label: `job` is not NAME=VALUE; write job=gpu"),
        (&["--label", "a=1", "--label", "a=2"], "--label: the label a is given twice"),
        (&["--format", "csv", "--label", "a=1"], "--label is for --format openmetrics only"),
        (
            &["--format", "jsonl", "--metric-names", "4.9"],
            "--metric-names is for --format openmetrics only",
        ),
        (&["--from", "-nonsense"], "--from: `-nonsense` is not a time"),
    ] {
        let output = export(&[&["--history-dir", "/nowhere"], args].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains(why), "{args:?}: {errors}");
        assert!(output.stdout.is_empty());
    }
}

/// Of a full disk, one line says so, and the exit status is that of a command that could not do its work.
#[test]
fn an_output_that_cannot_be_written_is_named() {
    let folder = TempDir::new().expect("a temporary folder");
    let history = folder.path().join("history").display().to_string();
    let args = ["--source", "sim", "--sim-scenario", "steady", "--history-dir", &history];
    let exporter = Exporter::start(BINARY, &args, &[]);
    exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8);
    // A row is there at the end of an interval.
    let patience = Instant::now() + PATIENCE;
    while !exporter.get("/api/v1/history?signal=up").body.contains("\"count\"") {
        assert!(Instant::now() < patience, "nothing is recorded");
        std::thread::sleep(Duration::from_millis(100));
    }
    exporter.terminate();
    for command in [&["history", "export"][..], &["report", "--from", "-1h"]] {
        let full = fs::File::options().write(true).open("/dev/full").expect("/dev/full");
        let output = Command::new(BINARY)
            .args(command)
            .args(["--history-dir", &history])
            .stdout(full)
            .stderr(std::process::Stdio::piped())
            .output()
            .expect("heatsink");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {errors}");
        assert!(errors.starts_with("heatsink: cannot write to standard output: "), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

/// Values by series: its name and labels, sorted.
type Samples = BTreeMap<String, f64>;

fn series(name: &str, labels: impl IntoIterator<Item = (String, String)>) -> String {
    let labels: BTreeMap<String, String> =
        labels.into_iter().filter(|(name, _)| name != "job" && name != "instance").collect();
    format!("{name}{labels:?}")
}

fn of_page(page: &Page) -> Samples {
    page.all_samples()
        .map(|sample| (series(&sample.name, sample.labels.iter().cloned()), sample.value))
        .collect()
}

/// When the GPUs of a page that answer were read, in milliseconds since 1970: the first and the last.
fn read_at(page: &Page) -> (i64, i64) {
    let is_up = |gpu: Option<&str>| {
        let mut ups = page.samples("heatsink_gpu_up").into_iter();
        ups.any(|sample| sample.label("gpu") == gpu && sample.value == 1.0)
    };
    let times = page.samples("heatsink_gpu_last_success_timestamp_seconds").into_iter();
    let times = times.filter(|sample| is_up(sample.label("gpu")));
    let times: Vec<i64> = times.map(|sample| (sample.value * 1000.0) as i64).collect();
    let first = times.iter().min().copied().expect("GPUs");
    (first, times.iter().max().copied().unwrap_or(first))
}

/// Everything that Prometheus has at a time.
fn stored(prometheus: &server::Server, time_ms: i64) -> Samples {
    let time = format!("{}.{:03}", time_ms / 1000, time_ms % 1000);
    let url = format!("{}/api/v1/query", prometheus.url());
    let query = ureq::get(&url).query("query", "{__name__=~\".+\"}").query("time", &time);
    let mut answer = query.call().expect("an answer of Prometheus'");
    let answer = answer.body_mut().read_to_string().expect("text");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let rows = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    let row = |row: &Value| {
        let mut labels: BTreeMap<String, String> =
            serde_json::from_value(row["metric"].clone()).expect("labels");
        let name = labels.remove("__name__").expect("a name");
        assert_eq!(labels.get("job").map(String::as_str), Some("heatsink"));
        let value = row["value"][1].as_str().expect("a value").parse().expect("a number");
        (series(&name, labels), value)
    };
    rows.iter().map(row).collect()
}

/// Half of the resolution in which a family is recorded.
fn tolerance(series: &str) -> f64 {
    match series {
        _ if series.starts_with("DCGM_FI_PROF_") && series.contains("X_BYTES") => 500_001.0,
        _ if series.starts_with("DCGM_FI_PROF_") || series.contains("_ratio") => 0.000_051,
        // An export counts from row to row, and from the first one.
        _ if series.starts_with("heatsink_clock_event_seconds_total") => 2.0,
        // A page has an incident once it is found.
        _ if series.starts_with("heatsink_last_incident_timestamp_seconds") => 30.0,
        // The test logs XIDs up to 10 ms ahead, which an event is not.
        _ if series.starts_with("heatsink_xid_last_timestamp_seconds") => 0.011,
        _ => 0.000_51,
    }
}

/// Imports an export into a Prometheus of its own, which knows each value for less than a second.
fn imported(export: &[u8], folder: &Path) -> server::Server {
    let (file, data) = (folder.join("export.txt"), folder.join("prometheus-data"));
    fs::write(&file, export).expect("the temporary folder can be written");
    let promtool = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([&file, &data])
        .output()
        .expect("promtool, from Debian's package prometheus; `cargo xtask test` installs it");
    assert!(promtool.status.success(), "{}", String::from_utf8_lossy(&promtool.stderr));
    let config = folder.join("prometheus.yml");
    fs::write(&config, "").expect("the temporary folder can be written");
    let arguments = ["--query.lookback-delta=900ms"];
    server::prometheus_of(Path::new("prometheus"), &arguments, &config, folder)
}

/// The pages that a row can be of: those on which each GPU was read in the half second after its tick. The
/// time of a row has whole milliseconds.
fn pages_of(pages: &[((i64, i64), Samples)], time: i64) -> Vec<&Samples> {
    let is_it = |(first, last): &(i64, i64)| time - 2 <= *first && *last < time + 500;
    pages.iter().filter(|(read, _)| is_it(read)).map(|(_, samples)| samples).collect()
}

/// Pages until this is so, and of this many seconds from then on, with the times at which they were read.
fn pages_until(
    exporter: &Exporter,
    seconds: usize,
    is_so: impl Fn(&Page) -> bool,
) -> Vec<((i64, i64), Samples)> {
    let (mut pages, mut read) = (Vec::new(), BTreeSet::new());
    let until = Instant::now() + 4 * PATIENCE;
    while read.len() < seconds {
        assert!(Instant::now() < until, "the pages do not change, or not as they should");
        let page = exporter.page();
        let (first, last) = read_at(&page);
        // On a busy machine, some GPUs may be read late in a second, which is not compared then.
        if last < first + 500 && is_so(&page) {
            read.insert(first);
        }
        pages.push(((first, last), of_page(&page)));
        std::thread::sleep(Duration::from_millis(100));
    }
    pages
}

/// Pages of this many seconds.
fn pages_of_seconds(exporter: &Exporter, seconds: usize) -> Vec<((i64, i64), Samples)> {
    pages_until(exporter, seconds, |_| true)
}

/// Exports a recording, imports it into a Prometheus, and compares each second that some of the pages are of.
/// Returns the names of the families that were compared.
fn assert_prometheus_has(pages: &[((i64, i64), Samples)], history: &str) -> BTreeSet<String> {
    let folder = TempDir::new().expect("a temporary folder");
    let flags = ["--history-dir", history, "--label", "job=heatsink", "--label", "instance=n1"];
    let export = export(&flags);
    assert!(export.status.success(), "{}", String::from_utf8_lossy(&export.stderr));
    let text = String::from_utf8_lossy(&export.stdout);
    let times = text.lines().filter(|line| line.starts_with("heatsink_gpu_up{"));
    let times: BTreeSet<i64> = times
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .map(|seconds| (seconds * 1000.0) as i64)
        .collect();
    let prometheus = imported(&export.stdout, folder.path());
    let (mut compared, mut families) = (0, BTreeSet::new());
    for time in times {
        let candidates = pages_of(pages, time);
        let Some((first, others)) = candidates.split_first() else { continue };
        // A series that ended or began in this second may have done so after its row.
        let place = pages.iter().position(|(_, page)| std::ptr::eq(page, *first));
        let Some((_, before)) = place.and_then(|place| pages.get(place.checked_sub(1)?)) else {
            continue;
        };
        compared += 1;
        let stored = stored(&prometheus, time);
        let name = |series: &String| series.split('{').next().unwrap_or_default().to_owned();
        let of_second: BTreeSet<String> = stored.keys().map(name).collect();
        // What is read for the history alone is on no page.
        let on_page: BTreeSet<String> = first.keys().map(name).collect();
        for (series, value) in stored.iter().filter(|(series, _)| on_page.contains(&name(series))) {
            let of_pages: Vec<f64> =
                candidates.iter().filter_map(|page| page.get(series).copied()).collect();
            let is_it = |of_page: &f64| (of_page - value).abs() <= tolerance(series);
            let has_ended = of_pages.is_empty() && before.contains_key(series);
            assert!(has_ended || of_pages.iter().any(is_it), "{time}: {series} {value}");
        }
        // And nothing is missing that the pages of this second had in these families.
        let is_on_all = |series: &&String| {
            before.contains_key(*series) && others.iter().all(|page| page.contains_key(*series))
        };
        for series in first.keys().filter(is_on_all) {
            assert!(
                !of_second.contains(&name(series)) || stored.contains_key(series),
                "{time}: {series}"
            );
        }
        families.extend(of_second.intersection(&on_page).cloned());
    }
    assert!(compared >= 3, "only {compared} seconds of {} pages", pages.len());
    families
}

/// The whole way: recorded by one process, exported by another, imported by promtool, and asked of Prometheus.
#[test]
fn prometheus_has_the_values_of_the_page_at_each_second() {
    let folder = TempDir::new().expect("a temporary folder");
    let history = folder.path().join("history").display().to_string();
    // The second set says when each GPU was read.
    let sim = ["--source", "sim", "--sim-scenario", "steady", "--extra-collectors", "monitoring"];
    let exporter = Exporter::start(BINARY, &[&sim[..], &["--history-dir", &history]].concat(), &[]);
    exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8);
    let pages = pages_of_seconds(&exporter, 10);
    exporter.terminate();
    let families = assert_prometheus_has(&pages, &history);
    assert!(families.len() >= 20, "{families:?}");
}

/// The same while GPUs change: XIDs, a slowdown, another job, and a GPU that is lost.
#[test]
fn prometheus_has_what_happened() {
    let rig = Rig::new().with_kernel_log();
    let (history, jobs) = (rig.path("history"), rig.path("jobs"));
    fs::create_dir_all(&jobs).expect("the temporary folder can be written");
    let job = |gpu: u32, id: &str| {
        fs::write(jobs.join(gpu.to_string()), format!("{id}\n")).expect("it can be written");
    };
    (0..8).for_each(|gpu| job(gpu, "4711"));
    let (history, jobs) = (history.display().to_string(), jobs.display().to_string());
    let args = ["--extra-collectors", "monitoring", "--history-dir", &history];
    let exporter = rig.started(&[&args[..], &["--hpc-job-mapping-dir", &jobs]].concat(), 8);
    exporter.wait_for("the job is known", PATIENCE, |page| {
        let temperatures = page.samples("DCGM_FI_DEV_GPU_TEMP");
        let of_job = temperatures.iter().filter(|one| one.label("hpc_job") == Some("4711"));
        of_job.count() == 8
    });
    // The row of this second may be older.
    pages_of_seconds(&exporter, 2);
    let mut pages = pages_of_seconds(&exporter, 4);
    rig.xid(1, 31);
    rig.control.add(&["gpu 2 set temperature 90", "gpu 2 set clock_reasons 96"]);
    pages.extend(pages_of_seconds(&exporter, 4));
    job(0, "4712");
    rig.xid(7, 79);
    rig.control.add(&["gpu 7 lost"]);
    let other_job = metric("DCGM_FI_DEV_GPU_TEMP").label("gpu", "0").label("hpc_job", "4712");
    let xid = metric("heatsink_xid_errors_total").label("gpu", "7").label("xid", "79");
    let incident = metric("heatsink_last_incident_timestamp_seconds");
    pages.extend(pages_until(&exporter, 6, |page| {
        down(page, 7).as_deref() == Some("lost")
            && [&other_job, &xid, &incident].iter().all(|what| what.is_in(page))
    }));
    exporter.terminate();
    let families = assert_prometheus_has(&pages, &history);
    for family in [
        "heatsink_xid_errors_total",
        "heatsink_xid_last_timestamp_seconds",
        "heatsink_xid_info",
        "heatsink_xid_source_info",
        "heatsink_gpu_down_info",
        "heatsink_gpu_holder_info",
        "heatsink_clock_event_seconds_total",
        "heatsink_last_incident_timestamp_seconds",
    ] {
        assert!(families.contains(family), "{family} of {families:?}");
    }
}
