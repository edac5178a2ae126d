//! NVSwitches, their links, CPUs and their cores, which only DCGM reads.

use testkit::page::metric;
use testkit::pauses;

use crate::rig::{BINARY, PATIENCE, Rig};

const EQUIPMENT: &str = r#"
[[switch]]
id = 0
links = 2

[[switch]]
id = 1
links = 1

[[cpu]]
id = 0
cores = [0, 1, 2, 3]

[[value]]
entity = "switch 0"
field = 858
int = 47

[[value]]
entity = "switch 1"
field = 858
int = 51

[[value]]
entity = "switch 0 link 1"
field = 787
int = 12

[[value]]
entity = "switch 1 link 0"
field = 787
int = 0

[[value]]
entity = "cpu 0"
field = 1110
float = 63.5

[[value]]
entity = "cpu 0"
field = 1100
float = 0.25

[[value]]
entity = "core 3"
field = 1100
float = 0.75
"#;

fn rig() -> Rig {
    let rig = Rig::new();
    let path = rig.file("equipment.toml", EQUIPMENT);
    rig.with("FAKE_DCGM_EQUIPMENT", &path)
}

const ARGS: &[&str] = &["-c", "500", "--extra-collectors", "machine"];

#[test]
fn switches_and_cpus_have_the_labels_of_dcgm_exporter() {
    let rig = rig();
    let exporter = rig.started(ARGS, 8);
    let heat = metric("DCGM_FI_DEV_NVSWITCH_TEMPERATURE_CURRENT");
    exporter.wait_for("switches", PATIENCE, |page| heat.find_in(page).len() == 2);
    let used = || metric("DCGM_FI_DEV_CPU_UTIL_TOTAL").label("cpu", "0");
    let all = [
        heat.label("nvswitch", "nvswitch1").value(51.0),
        used().label("cpucore", "3").value(0.75),
        used().without("cpucore").value(0.25),
        metric("DCGM_FI_DEV_CPU_TEMP_CURRENT").value(63.5),
    ];
    exporter.wait_for("CPUs and cores", PATIENCE, |page| all.iter().all(|one| one.is_in(page)));
    let lines = [
        r#"DCGM_FI_DEV_NVSWITCH_TEMPERATURE_CURRENT{nvswitch="nvswitch0",hostname="node-1""#,
        r#"DCGM_FI_DEV_NVSWITCH_LINK_CRC_ERRORS{nvlink="1",nvswitch="nvswitch0",hostname="node-1""#,
        r#"DCGM_FI_DEV_CPU_TEMP_CURRENT{cpu="0",hostname="node-1""#,
        r#"DCGM_FI_DEV_CPU_UTIL_TOTAL{cpucore="3",cpu="0",hostname="node-1""#,
    ];
    exporter.wait_for(&lines.join("\n"), PATIENCE, |_| {
        let body = exporter.get("/metrics").body;
        lines.iter().all(|line| body.contains(line))
    });
}

#[test]
fn switches_and_cpus_can_be_selected() {
    let rig = rig();
    let exporter = rig.started(&[ARGS, &["-s", "g:1", "-p", "i:0-2"]].concat(), 8);
    let heat = metric("DCGM_FI_DEV_NVSWITCH_TEMPERATURE_CURRENT");
    let (page, _) = exporter.wait_for("one switch", PATIENCE, |page| heat.find_in(page).len() == 1);
    heat.label("nvswitch", "nvswitch1").assert_in(&page);
    pauses::sleep(std::time::Duration::from_secs(1));
    let page = exporter.page();
    metric("DCGM_FI_DEV_NVSWITCH_LINK_CRC_ERRORS").assert_absent_from(&page);
    metric("DCGM_FI_DEV_CPU_TEMP_CURRENT").assert_absent_from(&page);
    metric("DCGM_FI_DEV_CPU_UTIL_TOTAL").assert_absent_from(&page);
}

#[test]
fn switches_and_cpus_are_absent_without_the_engine() {
    let rig = rig();
    let exporter = rig.started(&[ARGS, &["-r", "localhost:5555"]].concat(), 8);
    let heat = metric("DCGM_FI_DEV_NVSWITCH_TEMPERATURE_CURRENT");
    exporter.wait_for("switches", PATIENCE, |page| heat.find_in(page).len() == 2);
    rig.engine.set(&["engine stopped"]);
    exporter.wait_for("they are late", PATIENCE, |page| heat.absent_from(page));
    rig.engine.clear();
    exporter.wait_for("they are back", PATIENCE, |page| heat.find_in(page).len() == 2);
}

#[test]
fn check_lists_switches_and_cpus() {
    let rig = rig();
    let library = rig.dcgm_library().display().to_string();
    let args = ["check", "--all", "--source", "dcgm", "--dcgm-library", &library];
    let run = || testkit::exporter::run(BINARY, &args, &rig.environment());
    let (output, _) = pauses::in_time(run);
    let report = String::from_utf8(output.stdout).expect("UTF-8");
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = report.lines().map(squeezed).collect();
    for line in [
        "NVSwitch 0-1 - 1/3 0/7 - - - 0/3 - 1/56 - 0/6",
        "CPU 0 - 1/3 0/4 0/1 1/5 - - - - - 0/2",
        "heat DCGM_FI_DEV_NVSWITCH_TEMPERATURE_CURRENT 47 °C NVSwitch 0",
        "nvlink DCGM_FI_DEV_NVSWITCH_LINK_CRC_ERRORS 12 NVSwitch 0 NVLink 1",
        "use DCGM_FI_DEV_CPU_UTIL_TOTAL 0.75 CPU 0 core 3",
    ] {
        assert!(lines.iter().any(|known| known == line), "{line}\n{report}");
    }
}
