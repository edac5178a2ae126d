//! Exports of recordings that are made by hand; one is read back by a real Prometheus.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use history::event::{HolderInfo, What};
use history::time::Time;
use model::catalog::Generation;
use model::{CLOCK_REASONS, field};
use serde_json::Value as Json;
use testkit::server;

use super::super::made::{self, BEGIN, Held, Made};
use super::*;

fn exported(recording: &Made, range: Range, names: Generation, most_samples: u64) -> String {
    let survey = Survey::of(recording, range).unwrap();
    let more = vec![("job".to_owned(), "gpu".to_owned())];
    let page = PastPage::new(&survey.signals, &survey.xid_codes, names, more);
    let mut out = Vec::new();
    let progress = &mut Progress::silent();
    write_in_passes(recording, range, &survey, &page, progress, &mut out, most_samples).unwrap();
    String::from_utf8(out).unwrap()
}

/// The page's labels of a GPU, written by hand.
fn labels(gpu: u32, address: &str, host: &str, version: &str, holder: &str) -> String {
    format!(
        "gpu=\"{gpu}\",UUID=\"GPU-{gpu}\",pci_bus_id=\"00000000:{address}:00.0\",device=\"nvidia{gpu}\",\
         modelName=\"NVIDIA H100 80GB HBM3\",{host}=\"n1\",{version}=\"570.124.06\"{holder},job=\"gpu\""
    )
}

/// The text with the HELP of these families of heatsink's own.
fn with_help(text: &str) -> String {
    [
        field::GPU_DOWN_INFO,
        field::GPU_HOLDER_INFO,
        field::CLOCK_EVENT_SECONDS_TOTAL,
        field::XID_ERRORS_TOTAL,
        field::XID_CRITICAL_ERRORS_TOTAL,
        field::XID_LAST_TIMESTAMP_SECONDS,
        field::XID_INFO,
        field::XID_SOURCE_INFO,
        field::LAST_INCIDENT_TIMESTAMP_SECONDS,
    ]
    .into_iter()
    .fold(text.to_owned(), |text, field| {
        let row = model::catalog::by_id(field).unwrap();
        let name = row.name.strip_suffix("_total").unwrap_or(row.name);
        text.replace(&format!("# HELP {name} HELP"), &format!("# HELP {name} {}", row.help))
    })
}

const POD: &str = ",container=\"main\",namespace=\"ml\",pod=\"train-";

#[test]
fn names_labels_and_values_are_those_of_the_page() {
    let of = |gpu, address, holder: &str| {
        labels(gpu, address, "hostname", "DCGM_FI_DRIVER_VERSION", holder)
    };
    let (first, second) = (of(0, "1A", &format!("{POD}0\"")), of(1, "1B", &format!("{POD}1\"")));
    let free = of(1, "1B", "");
    let short = |gpu| format!("gpu=\"{gpu}\",UUID=\"GPU-{gpu}\"");
    let (zero, one) = (short(0), short(1));
    let (t0, t1, t2, t3) = ("1700000000", "1700000001", "1700000002", "1700000003.001");
    let expected = format!(
        "# HELP heatsink_gpu_up Whether the GPU answers, 0 or 1\n\
         # TYPE heatsink_gpu_up gauge\n\
         heatsink_gpu_up{{{zero},job=\"gpu\"}} 1 {t0}\n\
         heatsink_gpu_up{{{zero},job=\"gpu\"}} 1 {t1}\n\
         heatsink_gpu_up{{{zero},job=\"gpu\"}} 0 {t2}\n\
         heatsink_gpu_up{{{one},job=\"gpu\"}} 1 {t0}\n\
         heatsink_gpu_up{{{one},job=\"gpu\"}} 1 {t1}\n\
         heatsink_gpu_up{{{one},job=\"gpu\"}} 1 {t2}\n\
         heatsink_gpu_up{{{one},job=\"gpu\"}} 1 {t3}\n\
         # HELP heatsink_gpu_down_info HELP\n\
         # TYPE heatsink_gpu_down_info gauge\n\
         heatsink_gpu_down_info{{{zero},reason=\"lost\",job=\"gpu\"}} 1 {t2}\n\
         # HELP DCGM_FI_DEV_GPU_TEMP GPU temperature, in degrees Celsius\n\
         # TYPE DCGM_FI_DEV_GPU_TEMP gauge\n\
         DCGM_FI_DEV_GPU_TEMP{{{first}}} 70 {t0}\n\
         DCGM_FI_DEV_GPU_TEMP{{{first}}} 71 {t1}\n\
         DCGM_FI_DEV_GPU_TEMP{{{second}}} 40 {t0}\n\
         DCGM_FI_DEV_GPU_TEMP{{{free}}} 40 {t1}\n\
         DCGM_FI_DEV_GPU_TEMP{{{free}}} 41 {t2}\n\
         DCGM_FI_DEV_GPU_TEMP{{{free}}} 42 {t3}\n\
         # HELP DCGM_FI_DEV_POWER_USAGE Power drawn by the board, in watts\n\
         # TYPE DCGM_FI_DEV_POWER_USAGE gauge\n\
         DCGM_FI_DEV_POWER_USAGE{{{first}}} 500.125 {t0}\n\
         DCGM_FI_DEV_POWER_USAGE{{{first}}} 501.125 {t1}\n\
         DCGM_FI_DEV_POWER_USAGE{{{second}}} 80 {t0}\n\
         DCGM_FI_DEV_POWER_USAGE{{{free}}} 82 {t2}\n\
         DCGM_FI_DEV_POWER_USAGE{{{free}}} 83 {t3}\n\
         # HELP heatsink_gpu_holder_info HELP\n\
         # TYPE heatsink_gpu_holder_info gauge\n\
         heatsink_gpu_holder_info{{{zero},kind=\"pod\",namespace=\"ml\",pod=\"train-0\",container=\"main\",job=\"gpu\"}} 1 {t0}\n\
         heatsink_gpu_holder_info{{{zero},kind=\"pod\",namespace=\"ml\",pod=\"train-0\",container=\"main\",job=\"gpu\"}} 1 {t1}\n\
         heatsink_gpu_holder_info{{{zero},kind=\"pod\",namespace=\"ml\",pod=\"train-0\",container=\"main\",job=\"gpu\"}} 1 {t2}\n\
         heatsink_gpu_holder_info{{{one},kind=\"pod\",namespace=\"ml\",pod=\"train-1\",container=\"main\",job=\"gpu\"}} 1 {t0}\n\
         # HELP heatsink_last_incident_timestamp_seconds HELP\n\
         # TYPE heatsink_last_incident_timestamp_seconds gauge\n\
         heatsink_last_incident_timestamp_seconds{{job=\"gpu\"}} 1700000002 {t2}\n\
         heatsink_last_incident_timestamp_seconds{{job=\"gpu\"}} 1700000002 {t3}\n\
         # EOF\n"
    );
    let expected = with_help(&expected);
    let recording = made::recording();
    // However many passes it takes.
    for most_samples in [u64::MAX, 12, 1] {
        let text = exported(&recording, Range::ALL, Generation::V4_8, most_samples);
        assert_eq!(text, expected);
    }
}

#[test]
fn each_generation_has_its_names_and_labels() {
    let recording = made::recording();
    let of = |names| exported(&recording, Range::ALL, names, u64::MAX);
    let holder = &format!("{POD}0\"");
    let old = labels(0, "1A", "Hostname", "DCGM_FI_DRIVER_VERSION", holder);
    assert!(of(Generation::V4_8_2).contains(&format!("\nDCGM_FI_DEV_GPU_TEMP{{{old}}} 70 ")));
    let new = labels(0, "1A", "hostname", "DCGM_FI_SYSTEM_DRIVER_VERSION", holder);
    assert!(of(Generation::V4_9).contains(&format!("\nDCGM_FI_DEV_GPU_TEMP_CELSIUS{{{new}}} 70 ")));
    let both = of(Generation::Both);
    for name in ["DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_GPU_TEMP_CELSIUS"] {
        assert!(both.contains(&format!("\n{name}{{gpu=")), "{name}");
    }
}

#[test]
fn who_had_a_gpu_before_the_range_is_known() {
    let range = Range { from: Time(BEGIN + 1_000), to: Time(BEGIN + 1_000) };
    let text = exported(&made::recording(), range, Generation::V4_8, u64::MAX);
    assert!(text.contains("pod=\"train-0\",job=\"gpu\"} 71 1700000001\n"), "{text}");
    assert!(!text.contains("train-1"));
}

#[test]
fn a_clock_that_was_set_back_leaves_a_series_in_order() {
    let mut made = Made {
        items: vec![Held::Layout(made::layout(&["gpu_temperature"], &[0]))],
        ..Made::default()
    };
    for (after, value) in [(0, 1), (1000, 2), (2000, 3), (1000, 4), (1500, 5)] {
        made.items.push(made::row(after, &[Some(value)]));
    }
    let text = exported(&made, Range::ALL, Generation::V4_8, u64::MAX);
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let samples: Vec<&str> = samples.filter_map(|line| line.split("} ").nth(1)).collect();
    assert_eq!(samples, ["1 1700000000", "4 1700000001", "5 1700000001.500", "3 1700000002"]);
}

#[test]
fn a_job_whose_begin_was_removed_has_the_gpu_from_the_start() {
    let job = |id: &str| HolderInfo::Job { id: id.to_owned() };
    let mut made = Made {
        items: vec![Held::Layout(made::layout(&["gpu_temperature"], &[0, 1]))],
        ..Made::default()
    };
    made.items.push(made::row(0, &[Some(7), Some(8)]));
    let goes_on = What::HolderGoesOn { holder: job("4711") };
    made.items.push(made::event(500, Some(made::gpu(0)), goes_on));
    let ended = What::HolderEnded { holder: job("4712") };
    made.items.push(made::event(500, Some(made::gpu(1)), ended));
    made.items.push(made::row(1000, &[Some(7), Some(8)]));
    made.items.push(made::event(1500, None, What::Started { before: None }));
    let later = What::HolderGoesOn { holder: job("4713") };
    made.items.push(made::event(1600, Some(made::gpu(1)), later));
    made.items.push(made::row(2000, &[Some(7), Some(8)]));
    let text = exported(&made, Range::ALL, Generation::V4_8, u64::MAX);
    let samples: Vec<(&str, &str)> = text
        .lines()
        .filter(|line| line.starts_with("DCGM_"))
        .filter_map(|line| {
            let (series, sample) = line.split_once("} ")?;
            let job = series.split("hpc_job=\"").nth(1).and_then(|rest| rest.split('"').next());
            Some((job.unwrap_or_default(), sample))
        })
        .collect();
    let expected = [
        ("4711", "7 1700000000"),
        ("4711", "7 1700000001"),
        ("", "7 1700000002"),
        ("4712", "8 1700000000"),
        ("", "8 1700000001"),
        ("4713", "8 1700000002"),
    ];
    assert_eq!(samples, expected);
}

#[test]
fn xids_reasons_and_incidents_are_counted() {
    let mut layout = Layout::clone(&made::layout(&["clock_reasons"], &[0, 1]));
    layout.host.xid_source = Some("nvml_events".to_owned());
    let xid = |after, gpu, code, count| {
        let message = String::new();
        let what = What::Xid { code, message, process: None, link: None, line: None, count };
        made::event(after, Some(made::gpu(gpu)), what)
    };
    let braked = 0x80;
    let made = Made {
        items: vec![
            Held::Layout(Arc::new(layout)),
            xid(-500, 1, 31, 2),
            made::row(0, &[Some(0), Some(braked)]),
            xid(250, 0, 79, 1),
            made::row(1_000, &[None, Some(braked)]),
            xid(1_500, 1, 31, 1),
            made::row(2_000, &[None, Some(0)]),
            made::event(2_500, None, What::Started { before: None }),
            made::row(3_000, &[Some(braked), Some(0)]),
        ],
        incidents: vec![made::incident(1)],
    };
    let (t0, t1, t2, t3) = ("1700000000", "1700000001", "1700000002", "1700000003");
    let (zero, one) = ("gpu=\"0\",UUID=\"GPU-0\"", "gpu=\"1\",UUID=\"GPU-1\"");
    let seconds = |gpu: &str, reason: &str, values: &[(&str, &str)]| -> String {
        let line = |(time, value): &(&str, &str)| {
            format!(
                "heatsink_clock_event_seconds_total{{{gpu},reason=\"{reason}\",job=\"gpu\"}} {value} {time}\n"
            )
        };
        values.iter().map(line).collect()
    };
    let reasons: String = CLOCK_REASONS
        .iter()
        .flat_map(|reason| {
            let values: &[(&str, &str)] = match reason.name {
                "hw_power_brake" => &[(t0, "0"), (t1, "1"), (t2, "2"), (t3, "0")],
                _ => &[(t0, "0"), (t1, "0"), (t2, "0"), (t3, "0")],
            };
            [seconds(zero, reason.name, &[(t0, "0"), (t3, "0")]), seconds(one, reason.name, values)]
        })
        .collect();
    let info = |code: u32| {
        let xid = model::catalog::xid::lookup(code);
        format!(
            "heatsink_xid_info{{xid=\"{code}\",name=\"{}\",class=\"{}\",action=\"{}\",job=\"gpu\"}}",
            xid.message, xid.class, xid.action
        )
    };
    let (meaning_of_31, meaning_of_79) = (info(31), info(79));
    let expected = format!(
        "# HELP heatsink_clock_event_seconds HELP\n\
         # TYPE heatsink_clock_event_seconds counter\n\
         {reasons}\
         # HELP heatsink_xid_errors HELP\n\
         # TYPE heatsink_xid_errors counter\n\
         heatsink_xid_errors_total{{{one},xid=\"31\",job=\"gpu\"}} 2 {t0}\n\
         heatsink_xid_errors_total{{{one},xid=\"31\",job=\"gpu\"}} 2 {t1}\n\
         heatsink_xid_errors_total{{{one},xid=\"31\",job=\"gpu\"}} 3 {t2}\n\
         heatsink_xid_errors_total{{{zero},xid=\"79\",job=\"gpu\"}} 1 {t1}\n\
         heatsink_xid_errors_total{{{zero},xid=\"79\",job=\"gpu\"}} 1 {t2}\n\
         # HELP heatsink_xid_critical_errors HELP\n\
         # TYPE heatsink_xid_critical_errors counter\n\
         heatsink_xid_critical_errors_total{{{zero},job=\"gpu\"}} 1 {t1}\n\
         heatsink_xid_critical_errors_total{{{zero},job=\"gpu\"}} 1 {t2}\n\
         # HELP heatsink_xid_last_timestamp_seconds HELP\n\
         # TYPE heatsink_xid_last_timestamp_seconds gauge\n\
         heatsink_xid_last_timestamp_seconds{{{one},xid=\"31\",job=\"gpu\"}} 1699999999.5 {t0}\n\
         heatsink_xid_last_timestamp_seconds{{{one},xid=\"31\",job=\"gpu\"}} 1699999999.5 {t1}\n\
         heatsink_xid_last_timestamp_seconds{{{one},xid=\"31\",job=\"gpu\"}} 1700000001.5 {t2}\n\
         heatsink_xid_last_timestamp_seconds{{{zero},xid=\"79\",job=\"gpu\"}} 1700000000.25 {t1}\n\
         heatsink_xid_last_timestamp_seconds{{{zero},xid=\"79\",job=\"gpu\"}} 1700000000.25 {t2}\n\
         # HELP heatsink_xid_info HELP\n\
         # TYPE heatsink_xid_info gauge\n\
         {meaning_of_31} 1 {t0}\n{meaning_of_31} 1 {t1}\n{meaning_of_31} 1 {t2}\n\
         {meaning_of_79} 1 {t1}\n{meaning_of_79} 1 {t2}\n\
         # HELP heatsink_xid_source_info HELP\n\
         # TYPE heatsink_xid_source_info gauge\n\
         heatsink_xid_source_info{{source=\"nvml_events\",job=\"gpu\"}} 1 {t0}\n\
         heatsink_xid_source_info{{source=\"nvml_events\",job=\"gpu\"}} 1 {t1}\n\
         heatsink_xid_source_info{{source=\"nvml_events\",job=\"gpu\"}} 1 {t2}\n\
         heatsink_xid_source_info{{source=\"nvml_events\",job=\"gpu\"}} 1 {t3}\n\
         # HELP heatsink_last_incident_timestamp_seconds HELP\n\
         # TYPE heatsink_last_incident_timestamp_seconds gauge\n\
         heatsink_last_incident_timestamp_seconds{{job=\"gpu\"}} 1700000002 {t2}\n\
         heatsink_last_incident_timestamp_seconds{{job=\"gpu\"}} 1700000002 {t3}\n\
         # EOF\n"
    );
    let expected = with_help(&expected);
    for range in [Range::ALL, Range { from: Time(BEGIN), to: Time(BEGIN + 9_000) }] {
        for most_samples in [u64::MAX, 12, 1] {
            let text = exported(&made, range, Generation::V4_8, most_samples);
            let text: Vec<&str> = text
                .split_inclusive('\n')
                .filter(|line| !line.contains("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS"))
                .collect();
            assert_eq!(text.concat(), expected);
        }
    }
}

#[test]
fn several_jobs_have_a_series_each() {
    let mut made = Made {
        items: vec![Held::Layout(made::layout(&["gpu_temperature"], &[0]))],
        ..Made::default()
    };
    for id in ["4711", "4712"] {
        let holder = HolderInfo::Job { id: id.to_owned() };
        made.items.push(made::event(0, Some(made::gpu(0)), What::HolderBegan { holder }));
    }
    made.items.push(made::row(0, &[Some(7)]));
    let text = exported(&made, Range::ALL, Generation::V4_8, u64::MAX);
    for id in ["4711", "4712"] {
        assert!(text.contains(&format!("hpc_job=\"{id}\",job=\"gpu\"}} 7 1700000000\n")), "{text}");
    }
}

/// The samples of a text: by time in milliseconds, the value of each series with its labels sorted.
fn samples(text: &str) -> BTreeMap<i64, BTreeMap<String, f64>> {
    let mut samples: BTreeMap<i64, BTreeMap<String, f64>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, rest) = line.rsplit_once("} ").unwrap();
        let (value, time) = rest.split_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap();
        // No label value of these tests has a comma.
        let mut labels: BTreeMap<String, String> = labels
            .split(',')
            .map(|label| label.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
            .collect();
        labels.insert("__name__".to_owned(), name.to_owned());
        let time = (time.parse::<f64>().unwrap() * 1000.0) as i64;
        let of_time = samples.entry(time).or_default();
        of_time.insert(format!("{labels:?}"), value.parse().unwrap());
    }
    samples
}

/// Everything that Prometheus has at a time.
fn stored(prometheus: &server::Server, time_ms: i64) -> BTreeMap<String, f64> {
    let time = format!("{}.{:03}", time_ms / 1000, time_ms % 1000);
    let url = format!("{}/api/v1/query", prometheus.url());
    let query = ureq::get(&url).query("query", "{__name__=~\".+\"}").query("time", &time);
    let text = query.call().unwrap().body_mut().read_to_string().unwrap();
    let answer: Json = serde_json::from_str(&text).unwrap();
    let rows = answer["data"]["result"].as_array().unwrap().clone();
    let row = |row: &Json| {
        let labels: BTreeMap<String, String> =
            serde_json::from_value(row["metric"].clone()).unwrap();
        (format!("{labels:?}"), row["value"][1].as_str().unwrap().parse().unwrap())
    };
    rows.iter().map(row).collect()
}

/// Imports a text into a Prometheus of its own, which knows each value for less than a second.
fn imported(text: &str, folder: &Path) -> server::Server {
    let (file, data) = (folder.join("export.txt"), folder.join("prometheus-data"));
    fs::write(&file, text).unwrap();
    let promtool = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([&file, &data])
        .output()
        .expect("promtool, from Debian's package prometheus; `cargo xtask test` installs it");
    assert!(promtool.status.success(), "{}", String::from_utf8_lossy(&promtool.stderr));
    let config = folder.join("prometheus.yml");
    fs::write(&config, "").unwrap();
    let arguments = ["--query.lookback-delta=900ms", "--storage.tsdb.retention.time=100y"];
    server::prometheus_of(Path::new("prometheus"), &arguments, &config, folder)
}

/// A recording over the border of two blocks, with GPUs that come and go, in which values differ in each
/// second and some are missing.
fn long_recording(seconds: i64) -> Made {
    let signals = ["up", "down_reason", "gpu_temperature", "power"];
    let mut made = Made::default();
    made.items.push(Held::Layout(made::layout(&signals, &[0, 1])));
    for second in 0..seconds {
        if second % 20 == 0 {
            let holder = made::pod(&format!("train-{second}"));
            let what = match second % 40 {
                0 => What::HolderBegan { holder },
                _ => What::HolderEnded { holder: made::pod(&format!("train-{}", second - 20)) },
            };
            made.items.push(made::event(second * 1000, Some(made::gpu(1)), what));
        }
        let is_lost = (30..45).contains(&second);
        let of_up = |value: i64| (!is_lost).then_some(value);
        let power = (second % 7 != 0).then_some(300_000 + second);
        let values = [
            Some(i64::from(!is_lost)),
            is_lost.then_some(1),
            of_up(40 + second % 50),
            of_up(700_001 + second * 13),
            Some(1),
            None,
            Some(30),
            power,
        ];
        made.items.push(made::row(second * 1000 + 123, &values));
    }
    made
}

#[test]
fn prometheus_reads_back_each_second() {
    let folder = tempfile::TempDir::new().unwrap();
    // Blocks of two hours end at multiples of two hours.
    let to_border = 7_200 - (BEGIN / 1000) % 7_200;
    let mut made = long_recording(60);
    for item in &mut made.items {
        match item {
            Held::Row(row) => {
                row.time = row.time.after(Duration::from_secs(to_border.unsigned_abs() - 30));
            }
            Held::Event(event) => {
                event.time = event.time.after(Duration::from_secs(to_border.unsigned_abs() - 30));
            }
            Held::Layout(_) => {}
        }
    }
    let text = exported(&made, Range::ALL, Generation::V4_8, 100);
    let prometheus = imported(&text, folder.path());
    let samples = samples(&text);
    assert_eq!(samples.len(), 60);
    for (time, expected) in samples {
        assert_eq!(stored(&prometheus, time), expected, "{time}");
    }
}
