//! Whole pages, and the rules for their content.

use std::collections::BTreeMap;
use std::sync::Arc;

use expect_test::expect;
use exposition::{Settings, render};
use model::{Down, FieldId, GpuView, Kind, Reason, Snapshot, Watch, Xid};
use testkit::page::{Page, metric};

use crate::machine::{
    down, float, identity, int, settings, snapshot, text, unknown, up, watch, xids,
};

pub(crate) const FALLEN: Xid = Xid {
    code: 79,
    message: "GPU has fallen off the bus",
    class: "restart_node",
    action: "Restart the machine.",
    critical: true,
};
pub(crate) const ECC: Xid = Xid {
    code: 48,
    message: "Double-bit ECC error",
    class: "follow_procedure",
    action: "Follow \"48\".",
    critical: true,
};

fn watches() -> Vec<Watch> {
    vec![
        watch(150, "DCGM_FI_DEV_GPU_TEMP", Kind::Gauge, "GPU temperature (in C)."),
        watch(1, "DCGM_FI_DRIVER_VERSION", Kind::Label, "Driver version."),
        watch(155, "DCGM_FI_DEV_POWER_USAGE", Kind::Gauge, "Power\ndraw in C:\\W \"now\"."),
        watch(230, "DCGM_FI_DEV_XID_ERRORS", Kind::Gauge, "Last XID."),
        watch(156, "DCGM_FI_DEV_ENERGY", Kind::Counter, "Energy (in mJ)."),
        watch(999, "DCGM_FI_DEV_NOBODY_HAS", Kind::Gauge, "Absent."),
    ]
}

fn one(gpu: GpuView) -> Snapshot {
    snapshot(watches(), vec![gpu])
}

fn page(snapshot: &Snapshot) -> Page {
    Page::parse(&render(snapshot, None, &settings())).expect("a page that parses")
}

#[test]
fn a_whole_page() {
    let none = || Err(Reason::NotSupported);
    let mut well = up(
        identity(0, "GPU-aaaa"),
        vec![int(61), text("570\"x\\y\nz"), float(421.5), none(), int(9_876_543_210_123), none()],
    );
    well.xids = xids(true, &[]);
    well.errors = Arc::new(BTreeMap::from([
        ((FieldId(155), Reason::Failed), 2),
        ((FieldId(1013), Reason::NotPermitted), 1),
    ]));
    let mut lost = down(identity(1, "GPU-bbbb"), Down::Lost, vec![Err(Reason::Lost); 6]);
    lost.xids = xids(false, &[ECC, ECC, FALLEN]);

    expect![[r##"
        # HELP DCGM_FI_DEV_GPU_TEMP GPU temperature (in C).
        # TYPE DCGM_FI_DEV_GPU_TEMP gauge
        DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-aaaa",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",hostname="n1",DCGM_FI_DRIVER_VERSION="570\"x\\y\nz"} 61
        # HELP DCGM_FI_DEV_POWER_USAGE Power\ndraw in C:\\W "now".
        # TYPE DCGM_FI_DEV_POWER_USAGE gauge
        DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-aaaa",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",hostname="n1",DCGM_FI_DRIVER_VERSION="570\"x\\y\nz"} 421.5
        # HELP DCGM_FI_DEV_XID_ERRORS Last XID.
        # TYPE DCGM_FI_DEV_XID_ERRORS gauge
        DCGM_FI_DEV_XID_ERRORS{gpu="0",UUID="GPU-aaaa",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",hostname="n1",DCGM_FI_DRIVER_VERSION="570\"x\\y\nz",err_code="0",err_msg="No Error"} 0
        DCGM_FI_DEV_XID_ERRORS{gpu="1",UUID="GPU-bbbb",pci_bus_id="00000000:1B:00.0",device="nvidia1",modelName="NVIDIA H100 80GB HBM3",hostname="n1",err_code="79",err_msg="GPU has fallen off the bus"} 79
        # HELP DCGM_FI_DEV_ENERGY Energy (in mJ).
        # TYPE DCGM_FI_DEV_ENERGY counter
        DCGM_FI_DEV_ENERGY{gpu="0",UUID="GPU-aaaa",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",hostname="n1",DCGM_FI_DRIVER_VERSION="570\"x\\y\nz"} 9876543210123
        # HELP heatsink_build_info Version of heatsink; always 1
        # TYPE heatsink_build_info gauge
        heatsink_build_info{version="0.1.0"} 1
        # HELP heatsink_source_info Source of the readings and version of its driver; always 1
        # TYPE heatsink_source_info gauge
        heatsink_source_info{source="nvml",driver_version="570.124.06"} 1
        # HELP heatsink_source_up Whether the source of the readings is open, 0 or 1
        # TYPE heatsink_source_up gauge
        heatsink_source_up{source="nvml"} 1
        # HELP heatsink_gpu_up Whether the GPU answers, 0 or 1
        # TYPE heatsink_gpu_up gauge
        heatsink_gpu_up{gpu="0",UUID="GPU-aaaa"} 1
        heatsink_gpu_up{gpu="1",UUID="GPU-bbbb"} 0
        # HELP heatsink_gpu_down_info Why the GPU does not answer; 1 while it does not
        # TYPE heatsink_gpu_down_info gauge
        heatsink_gpu_down_info{gpu="1",UUID="GPU-bbbb",reason="lost"} 1
        # HELP heatsink_read_errors_total Readings that failed by field and reason, as a count
        # TYPE heatsink_read_errors_total counter
        heatsink_read_errors_total{gpu="0",UUID="GPU-aaaa",field="DCGM_FI_DEV_POWER_USAGE",reason="failed"} 2
        heatsink_read_errors_total{gpu="0",UUID="GPU-aaaa",field="1013",reason="not_permitted"} 1
        # HELP heatsink_xid_source_info Source of XIDs: kernel_log, dcgm, sim, or nvml_events, which lacks 79, 119, 120 and a few more; always 1
        # TYPE heatsink_xid_source_info gauge
        heatsink_xid_source_info{source="nvml_events"} 1
        # HELP heatsink_config_rows_skipped Rows of the counters files that were not understood, as a count
        # TYPE heatsink_config_rows_skipped gauge
        heatsink_config_rows_skipped 0
        # HELP heatsink_config_last_reload_successful Whether the configuration could be read the last time, 0 or 1
        # TYPE heatsink_config_last_reload_successful gauge
        heatsink_config_last_reload_successful 1
        # HELP heatsink_config_last_reload_success_timestamp_seconds When the configuration was last read and put in force, in seconds since 1970
        # TYPE heatsink_config_last_reload_success_timestamp_seconds gauge
        heatsink_config_last_reload_success_timestamp_seconds 1699999100
        # HELP heatsink_reader_restarts_total Reader threads that ended or could not be started and are started again, as a count
        # TYPE heatsink_reader_restarts_total counter
        heatsink_reader_restarts_total 0
        # HELP heatsink_http_connections_closed_total HTTP connections closed because the limit of --max-connections was reached, as a count
        # TYPE heatsink_http_connections_closed_total counter
        heatsink_http_connections_closed_total 0
        # HELP process_cpu_seconds_total CPU time that heatsink has used, user and system, in seconds
        # TYPE process_cpu_seconds_total counter
        process_cpu_seconds_total 1.25
        # HELP process_resident_memory_bytes Resident memory of heatsink, in bytes
        # TYPE process_resident_memory_bytes gauge
        process_resident_memory_bytes 7340032
        # HELP process_start_time_seconds When heatsink started, in seconds since 1970
        # TYPE process_start_time_seconds gauge
        process_start_time_seconds 1699999000
        # HELP heatsink_gpu_last_success_timestamp_seconds When the last complete pass over the GPU ended, in seconds since 1970
        # TYPE heatsink_gpu_last_success_timestamp_seconds gauge
        heatsink_gpu_last_success_timestamp_seconds{gpu="0",UUID="GPU-aaaa"} 1700000000.25
        heatsink_gpu_last_success_timestamp_seconds{gpu="1",UUID="GPU-bbbb"} 1700000000.25
        # HELP heatsink_collection_duration_seconds Time that the last complete pass over the GPU took in the driver, in seconds
        # TYPE heatsink_collection_duration_seconds gauge
        heatsink_collection_duration_seconds{gpu="0",UUID="GPU-aaaa"} 0.0042
        heatsink_collection_duration_seconds{gpu="1",UUID="GPU-bbbb"} 0.0042
        # HELP heatsink_field_unavailable_info Why a field that was asked for cannot be read on any GPU of this machine; always 1
        # TYPE heatsink_field_unavailable_info gauge
        heatsink_field_unavailable_info{field="DCGM_FI_DEV_NOBODY_HAS",reason="not_supported"} 1
        # HELP heatsink_xid_errors_total XIDs of the GPU by code, as a count
        # TYPE heatsink_xid_errors_total counter
        heatsink_xid_errors_total{gpu="1",UUID="GPU-bbbb",xid="48"} 2
        heatsink_xid_errors_total{gpu="1",UUID="GPU-bbbb",xid="79"} 1
        # HELP heatsink_xid_critical_errors_total XIDs of the GPU that ask for a reset, a restart or a repair, of all codes that heatsink_xid_source_info can deliver, as a count
        # TYPE heatsink_xid_critical_errors_total counter
        heatsink_xid_critical_errors_total{gpu="0",UUID="GPU-aaaa"} 0
        heatsink_xid_critical_errors_total{gpu="1",UUID="GPU-bbbb"} 3
        # HELP heatsink_xid_last_timestamp_seconds When the last XID of this code came, in seconds since 1970
        # TYPE heatsink_xid_last_timestamp_seconds gauge
        heatsink_xid_last_timestamp_seconds{gpu="1",UUID="GPU-bbbb",xid="48"} 1700000001.5
        heatsink_xid_last_timestamp_seconds{gpu="1",UUID="GPU-bbbb",xid="79"} 1700000002.5
        # HELP heatsink_xid_info Meaning of an XID and what to do about it, for each code on this page; always 1
        # TYPE heatsink_xid_info gauge
        heatsink_xid_info{xid="48",name="Double-bit ECC error",class="follow_procedure",action="Follow \"48\"."} 1
        heatsink_xid_info{xid="79",name="GPU has fallen off the bus",class="restart_node",action="Restart the machine."} 1
    "##]].assert_eq(&render(&snapshot(watches(), vec![well, lost]), None, &settings()));
}

#[test]
fn a_machine_without_readings_has_a_page() {
    let mut snapshot = snapshot(watches(), vec![unknown(0, Down::Starting)]);
    snapshot.source.up = Err("libnvidia-ml.so.1 is not there".into());
    snapshot.source.driver_version = None;
    let page = page(&snapshot);
    metric("heatsink_source_up").label("source", "nvml").value(0).assert_in(&page);
    metric("heatsink_source_info").without("driver_version").value(1).assert_in(&page);
    metric("heatsink_gpu_up").label("gpu", "0").without("UUID").value(0).assert_in(&page);
    metric("heatsink_gpu_down_info").label("reason", "starting").value(1).assert_in(&page);
    metric("heatsink_gpu_last_success_timestamp_seconds").assert_absent_from(&page);
    metric("heatsink_collection_duration_seconds").assert_absent_from(&page);
    assert!(page.families.iter().all(|family| !family.name.starts_with("DCGM_")));
}

#[test]
fn an_unidentified_gpu_has_only_health_series() {
    let mut gpu = unknown(2, Down::Failed);
    gpu.readings = vec![int(61)];
    gpu.xids = xids(true, &[FALLEN]);
    let page = page(&one(gpu));
    assert!(page.families.iter().all(|family| !family.name.starts_with("DCGM_")));
    metric("heatsink_xid_errors_total").label("xid", "79").without("UUID").assert_in(&page);
}

#[test]
fn a_gpu_that_is_down_has_no_old_readings() {
    let stale = vec![int(61), text("570"), float(421.5)];
    let page = page(&one(down(identity(0, "GPU-aaaa"), Down::Late, stale)));
    assert!(page.families.iter().all(|family| !family.name.starts_with("DCGM_")));
    metric("heatsink_gpu_down_info").label("reason", "late").assert_in(&page);
}

#[test]
fn xid_zero_needs_a_gpu_that_is_up_and_an_xid_source() {
    let quiet = metric("DCGM_FI_DEV_XID_ERRORS");
    let view = |answers: bool, log| {
        let identity = identity(0, "GPU-aaaa");
        let gpu = if answers { up(identity, vec![]) } else { down(identity, Down::Lost, vec![]) };
        page(&one(GpuView { xids: log, ..gpu }))
    };
    quiet
        .clone()
        .label("err_code", "0")
        .label("err_msg", "No Error")
        .value(0)
        .assert_in(&view(true, xids(true, &[])));
    quiet.assert_absent_from(&view(true, xids(false, &[])));
    quiet.assert_absent_from(&view(false, xids(true, &[])));
    quiet.assert_absent_from(&view(true, Arc::default()));
    quiet.value(79).assert_in(&view(false, xids(false, &[FALLEN])));
}

#[test]
fn xids_keep_their_labels_while_the_gpu_is_down() {
    let mut gpu = down(identity(0, "GPU-aaaa"), Down::Lost, vec![int(1), text("570")]);
    gpu.xids = xids(false, &[FALLEN]);
    metric("DCGM_FI_DEV_XID_ERRORS")
        .label("DCGM_FI_DRIVER_VERSION", "570")
        .assert_in(&page(&one(gpu)));
}

#[test]
fn non_numeric_readings_have_no_sample() {
    for reading in [float(f64::NAN), float(f64::INFINITY), text("61"), Err(Reason::NoData)] {
        let page = page(&one(up(identity(0, "GPU-aaaa"), vec![reading])));
        metric("DCGM_FI_DEV_GPU_TEMP").assert_absent_from(&page);
        metric("heatsink_gpu_up").value(1).assert_in(&page);
    }
}

#[test]
fn hostname_can_be_omitted_and_model_name_dashed() {
    let mut identity = identity(0, "GPU-aaaa");
    identity.model_name = Some(" NVIDIA  H100 80GB".into());
    let settings = Settings {
        hostname: None,
        replace_blanks_in_model_name: true,
        rows_skipped: 3,
        ..settings()
    };
    let page = Page::parse(&render(&one(up(identity, vec![int(61)])), None, &settings)).unwrap();
    metric("DCGM_FI_DEV_GPU_TEMP")
        .label("modelName", "NVIDIA-H100-80GB")
        .without("hostname")
        .assert_in(&page);
    metric("heatsink_config_rows_skipped").value(3).assert_in(&page);
}

#[test]
fn label_rows_are_sorted_and_numbers_formatted_as_samples() {
    let watches = vec![
        watch(2, "Z", Kind::Label, ""),
        watch(3, "A", Kind::Label, ""),
        watch(4, "M", Kind::Label, ""),
        watch(5, "N", Kind::Label, ""),
        watch(150, "T", Kind::Gauge, ""),
    ];
    let readings = vec![float(2.0), text("x"), float(f64::NAN), Err(Reason::NoData), int(61)];
    let page = page(&snapshot(watches, vec![up(identity(0, "GPU-aaaa"), readings)]));
    let names: Vec<&str> =
        page.samples("T")[0].labels.iter().map(|(name, _)| name.as_str()).collect();
    let expected = ["gpu", "UUID", "pci_bus_id", "device", "modelName", "hostname", "A", "Z"];
    assert_eq!(names, expected);
    metric("T").label("A", "x").label("Z", "2").assert_in(&page);
}

#[test]
fn gpus_are_sorted_by_index_and_a_replaced_gpu_stays() {
    let gpus = vec![
        up(identity(1, "GPU-bbbb"), vec![int(2)]),
        down(identity(0, "GPU-gone"), Down::Missing, vec![]),
        up(identity(0, "GPU-aaaa"), vec![int(1)]),
    ];
    let page = page(&snapshot(watches(), gpus));
    let values: Vec<_> =
        page.samples("DCGM_FI_DEV_GPU_TEMP").iter().map(|sample| sample.value).collect();
    assert_eq!(values, [1.0, 2.0]);
    let health = metric("heatsink_gpu_up").label("gpu", "0");
    assert_eq!(page.value_of(&health.clone().label("UUID", "GPU-gone")), Some(0.0));
    assert_eq!(page.value_of(&health.label("UUID", "GPU-aaaa")), Some(1.0));
}

#[test]
fn a_gpu_listed_twice_appears_once_and_is_up() {
    let gpus = vec![
        down(identity(0, "GPU-aaaa"), Down::Missing, vec![]),
        up(identity(0, "GPU-aaaa"), vec![int(61)]),
        unknown(0, Down::Starting),
        unknown(0, Down::Starting),
    ];
    let page = page(&snapshot(watches(), gpus));
    let health = metric("heatsink_gpu_up").label("gpu", "0");
    assert_eq!(page.value_of(&health.clone().label("UUID", "GPU-aaaa")), Some(1.0));
    assert_eq!(page.value_of(&health.without("UUID")), Some(0.0));
}

#[test]
fn a_duplicate_family_name_is_skipped() {
    let watches = vec![
        watch(150, "T", Kind::Gauge, "First."),
        watch(151, "T", Kind::Counter, "Second."),
        watch(153, "UUID", Kind::Label, "Nor this."),
        watch(154, "err_msg", Kind::Label, "Nor that."),
    ];
    let readings = vec![int(1), int(2), text("x"), text("y")];
    let mut gpu = up(identity(0, "GPU-aaaa"), readings);
    gpu.errors = Arc::new(
        [150, 151].map(|field| ((FieldId(field), Reason::Failed), 1)).into_iter().collect(),
    );
    let page = page(&snapshot(watches, vec![gpu]));
    metric("T").label("UUID", "GPU-aaaa").without("err_msg").value(1).assert_in(&page);
    for field in ["T", "151"] {
        metric("heatsink_read_errors_total").label("field", field).assert_in(&page);
    }
}

#[test]
fn process_families_without_data_are_absent() {
    let mut snapshot = one(up(identity(0, "GPU-aaaa"), vec![]));
    snapshot.process.cpu = None;
    snapshot.process.resident_bytes = None;
    let page = page(&snapshot);
    metric("process_cpu_seconds_total").assert_absent_from(&page);
    metric("process_resident_memory_bytes").assert_absent_from(&page);
    metric("process_start_time_seconds").assert_in(&page);
}
