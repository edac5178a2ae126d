//! Devices on a page: selection, labels, and the origin of their readings.

use expect_test::{Expect, expect};
use exposition::{Choice, Devices, Settings, Show, render};
use model::{Down, Entity, GpuView, Identity, Kind, Reason, Snapshot, XidEvent};
use testkit::page::{Page, metric};

use crate::machine::{
    down, float, identity, instance, int, part, settings, snapshot, text, up, watch, xids,
};
use crate::page::FALLEN;

/// Watches: temperature, memory use, link traffic, last XID, and a label row.
fn machine(gpus: Vec<GpuView>) -> Snapshot {
    let watches = vec![
        watch(150, "TEMP", Kind::Gauge, "Temperature."),
        watch(252, "USED", Kind::Gauge, "Memory in use."),
        watch(449, "LINK", Kind::Gauge, "Traffic of a link."),
        watch(230, "XID", Kind::Gauge, "Last XID."),
        watch(1, "DRIVER", Kind::Label, ""),
    ];
    snapshot(watches, gpus)
}

/// A GPU with two links and no instances.
fn whole(index: u32) -> GpuView {
    let readings =
        vec![int(61), int(800), Err(Reason::NotServed), Err(Reason::NoData), text("570")];
    let mut gpu = up(identity(index, &format!("GPU-{index}")), readings);
    gpu.parts = [0, 1]
        .map(|link| part(Entity::Link(link), vec![(2, int(5 + i64::from(link)))]))
        .into_iter()
        .collect();
    gpu
}

/// The same GPU with two GPU instances. The first has two compute instances; the second has a reason
/// instead of its memory use.
fn parted(index: u32) -> GpuView {
    let mut gpu = whole(index);
    gpu.parts.extend([
        part(instance(index, 0, None), vec![(1, int(300))]),
        part(instance(index, 0, Some(0)), vec![]),
        part(instance(index, 0, Some(1)), vec![(0, int(62)), (1, int(100))]),
        part(instance(index, 1, None), vec![(1, Err(Reason::NotSupported))]),
    ]);
    gpu
}

/// The samples of these families, without HELP and TYPE.
fn lines(snapshot: &Snapshot, settings: &Settings, families: &[&str]) -> String {
    let page = render(snapshot, None, settings);
    Page::parse(&page).expect("a page that parses");
    let named = |line: &&str| line.split('{').next().is_some_and(|name| families.contains(&name));
    page.lines().filter(named).map(|line| format!("{line}\n")).collect()
}

/// The devices with a temperature: `0`, `0/3`, `0/3/1`.
fn devices_on_page(snapshot: &Snapshot, show: Show) -> String {
    let page = Page::parse(&render(snapshot, None, &Settings { show, ..settings() }))
        .expect("a page that parses");
    let names = ["gpu", "GPU_I_ID", "GPU_CI_ID"];
    let device = |sample: &&testkit::page::Sample| {
        names.iter().filter_map(|name| sample.label(name)).collect::<Vec<_>>().join("/")
    };
    page.samples("TEMP").iter().map(device).collect::<Vec<_>>().join(" ")
}

#[test]
fn instances_replace_their_gpu() {
    let check = |compute_instances, expected: Expect| {
        let show = Show { compute_instances, ..Show::default() };
        let settings = Settings { show, ..settings() };
        let machine = machine(vec![parted(0), whole(1)]);
        expected.assert_eq(&lines(&machine, &settings, &["TEMP", "USED"]));
    };
    check(
        false,
        expect![[r#"
            TEMP{gpu="0",UUID="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",GPU_I_PROFILE="2g.20gb",GPU_I_ID="3",hostname="n1",DRIVER="570"} 61
            TEMP{gpu="0",UUID="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",GPU_I_PROFILE="2g.20gb",GPU_I_ID="4",hostname="n1",DRIVER="570"} 61
            TEMP{gpu="1",UUID="GPU-1",pci_bus_id="00000000:1B:00.0",device="nvidia1",modelName="NVIDIA H100 80GB HBM3",hostname="n1",DRIVER="570"} 61
            USED{gpu="0",UUID="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",GPU_I_PROFILE="2g.20gb",GPU_I_ID="3",hostname="n1",DRIVER="570"} 300
            USED{gpu="1",UUID="GPU-1",pci_bus_id="00000000:1B:00.0",device="nvidia1",modelName="NVIDIA H100 80GB HBM3",hostname="n1",DRIVER="570"} 800
        "#]],
    );
    check(
        true,
        expect![[r#"
        TEMP{gpu="0",UUID="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",GPU_I_PROFILE="2g.20gb",GPU_I_ID="3",hostname="n1",DRIVER="570"} 61
        TEMP{gpu="0",UUID="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",GPU_I_PROFILE="1c.2g.20gb",GPU_I_ID="3",GPU_CI_ID="0",hostname="n1",DRIVER="570"} 61
        TEMP{gpu="0",UUID="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",GPU_I_PROFILE="1c.2g.20gb",GPU_I_ID="3",GPU_CI_ID="1",hostname="n1",DRIVER="570"} 62
        TEMP{gpu="0",UUID="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",GPU_I_PROFILE="2g.20gb",GPU_I_ID="4",hostname="n1",DRIVER="570"} 61
        TEMP{gpu="1",UUID="GPU-1",pci_bus_id="00000000:1B:00.0",device="nvidia1",modelName="NVIDIA H100 80GB HBM3",hostname="n1",DRIVER="570"} 61
        USED{gpu="0",UUID="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",GPU_I_PROFILE="2g.20gb",GPU_I_ID="3",hostname="n1",DRIVER="570"} 300
        USED{gpu="0",UUID="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",GPU_I_PROFILE="1c.2g.20gb",GPU_I_ID="3",GPU_CI_ID="0",hostname="n1",DRIVER="570"} 300
        USED{gpu="0",UUID="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",GPU_I_PROFILE="1c.2g.20gb",GPU_I_ID="3",GPU_CI_ID="1",hostname="n1",DRIVER="570"} 100
        USED{gpu="1",UUID="GPU-1",pci_bus_id="00000000:1B:00.0",device="nvidia1",modelName="NVIDIA H100 80GB HBM3",hostname="n1",DRIVER="570"} 800
    "#]],
    );
}

#[test]
fn only_selected_devices_are_on_the_page() {
    let machine = machine(vec![parted(0), whole(1), parted(2)]);
    let check = |gpus: Choice, instances: Choice, compute_instances, expected| {
        let devices = Devices::Listed { gpus, instances };
        assert_eq!(
            devices_on_page(&machine, Show { devices, compute_instances, ..Show::default() }),
            expected
        );
    };
    use Choice::{All, None, Only};
    check(All, None, false, "0 1 2");
    check(None, All, false, "0/3 0/4 2/3 2/4");
    check(All, All, false, "0 0/3 0/4 1 2 2/3 2/4");
    check(None, Only(vec![1, 16]), false, "0/4 2/3");
    check(None, Only(vec![0, 17]), true, "0/3 0/3/0 0/3/1 2/4");
    check(Only(vec![1, 2, 7]), Only(vec![16]), false, "1 2 2/3");
    check(None, None, true, "");
    assert_eq!(devices_on_page(&machine, Show::default()), "0/3 0/4 1 2/3 2/4");
}

#[test]
fn links_have_the_labels_of_their_gpu() {
    let check = |devices, expected: Expect| {
        let show = Show { devices, compute_instances: true, ..Show::default() };
        let settings = Settings { show, host_label: "Hostname", ..settings() };
        let machine = machine(vec![parted(0), whole(1)]);
        expected.assert_eq(&lines(&machine, &settings, &["LINK"]));
    };
    let listed = |gpus, instances| Devices::Listed { gpus, instances };
    check(
        Devices::Flexible,
        expect![[r#"
        LINK{nvlink="0",gpu="0",gpu_uuid="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",model_name="NVIDIA H100 80GB HBM3",hostname="n1",DRIVER="570"} 5
        LINK{nvlink="1",gpu="0",gpu_uuid="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",model_name="NVIDIA H100 80GB HBM3",hostname="n1",DRIVER="570"} 6
        LINK{nvlink="0",gpu="1",gpu_uuid="GPU-1",pci_bus_id="00000000:1B:00.0",device="nvidia1",model_name="NVIDIA H100 80GB HBM3",hostname="n1",DRIVER="570"} 5
        LINK{nvlink="1",gpu="1",gpu_uuid="GPU-1",pci_bus_id="00000000:1B:00.0",device="nvidia1",model_name="NVIDIA H100 80GB HBM3",hostname="n1",DRIVER="570"} 6
    "#]],
    );
    check(
        listed(Choice::None, Choice::Only(vec![1])),
        expect![[r#"
        LINK{nvlink="0",gpu="0",gpu_uuid="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",model_name="NVIDIA H100 80GB HBM3",hostname="n1",DRIVER="570"} 5
        LINK{nvlink="1",gpu="0",gpu_uuid="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",model_name="NVIDIA H100 80GB HBM3",hostname="n1",DRIVER="570"} 6
    "#]],
    );
    check(listed(Choice::None, Choice::None), expect![[""]]);
}

#[test]
fn an_unread_link_has_no_sample() {
    let mut gpu = whole(0);
    gpu.readings[2] = float(11.5);
    gpu.parts[0].readings = vec![Err(Reason::NotSupported)];
    gpu.parts.push(part(Entity::Peer(1), vec![(2, int(9))]));
    let page = Page::parse(&render(&machine(vec![gpu]), None, &settings())).unwrap();
    let values: Vec<f64> = page.samples("LINK").iter().map(|sample| sample.value).collect();
    assert_eq!(values, [11.5, 6.0]);
    metric("LINK").label("nvlink", "1").without("UUID").value(6).assert_in(&page);
}

#[test]
fn a_gpu_that_is_down_keeps_only_its_xids() {
    let mut gpu = parted(0);
    gpu.up = Err(Down::Lost);
    gpu.xids = xids(false, &[FALLEN]);
    let page = Page::parse(&render(&machine(vec![gpu]), None, &settings())).unwrap();
    for family in ["TEMP", "USED", "LINK"] {
        metric(family).assert_absent_from(&page);
    }
    // With the labels that they had while the GPU was up.
    metric("XID").label("GPU_I_ID", "3").label("DRIVER", "570").value(79).assert_in(&page);
    metric("XID").without("GPU_I_ID").assert_absent_from(&page);
}

#[test]
fn an_instance_has_its_own_xids_and_those_of_the_whole_gpu() {
    let mut gpu = parted(0);
    let mut log = (*xids(true, &[])).clone();
    log.record(XidEvent { xid: FALLEN, instance: Some(3), before: None }, None, None);
    gpu.xids = log.into();
    let machine = machine(vec![gpu]);
    let page = Page::parse(&render(&machine, None, &settings())).unwrap();
    metric("XID").label("GPU_I_ID", "3").label("err_code", "79").value(79).assert_in(&page);
    metric("XID").label("GPU_I_ID", "4").label("err_code", "0").value(0).assert_in(&page);
}

#[test]
fn an_instance_has_its_own_label_rows() {
    let mut gpu = parted(0);
    gpu.parts.pop();
    gpu.parts.push(part(instance(0, 1, None), vec![(4, text("own"))]));
    let page = Page::parse(&render(&machine(vec![gpu]), None, &settings())).unwrap();
    metric("TEMP").label("GPU_I_ID", "3").label("DRIVER", "570").assert_in(&page);
    metric("TEMP").label("GPU_I_ID", "4").label("DRIVER", "own").assert_in(&page);
}

#[test]
fn old_namespace_labels_and_host_label() {
    let mut gpu = parted(0);
    gpu.xids = xids(true, &[]);
    let settings = Settings { old_namespace: true, host_label: "Hostname", ..settings() };
    let machine = machine(vec![gpu]);
    expect![[r#"
        XID{gpu="0",uuid="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",GPU_I_PROFILE="2g.20gb",GPU_I_ID="3",Hostname="n1",DRIVER="570",err_code="0",err_msg="No Error"} 0
        XID{gpu="0",uuid="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",GPU_I_PROFILE="2g.20gb",GPU_I_ID="4",Hostname="n1",DRIVER="570",err_code="0",err_msg="No Error"} 0
        heatsink_gpu_up{gpu="0",uuid="GPU-0"} 1
    "#]].assert_eq(&lines(&machine, &settings, &["XID", "heatsink_gpu_up"]));
    let page = render(&machine, None, &settings);
    assert!(!page.contains("UUID="));
}

#[test]
fn the_model_name_of_a_link_keeps_its_spaces() {
    let settings = Settings { replace_blanks_in_model_name: true, ..settings() };
    let page = Page::parse(&render(&machine(vec![whole(0)]), None, &settings)).unwrap();
    metric("TEMP").label("modelName", "NVIDIA-H100-80GB-HBM3").assert_in(&page);
    metric("LINK")
        .label("nvlink", "0")
        .label("model_name", "NVIDIA H100 80GB HBM3")
        .assert_in(&page);
}

#[test]
fn a_hidden_watch_is_not_on_the_page() {
    let watches = vec![
        watch(100, "A", Kind::Hidden, "Hidden."),
        watch(150, "A", Kind::Gauge, "Shown."),
        watch(1, "L", Kind::Hidden, "Hidden."),
        watch(2, "B", Kind::Hidden, "Hidden."),
    ];
    let mut gpu = up(identity(0, "GPU-aaaa"), vec![int(1), int(2), text("x"), int(3)]);
    let errors =
        [100, 150, 1, 2].map(|field| ((model::FieldId(field), Reason::Failed), u64::from(field)));
    gpu.errors = std::sync::Arc::new(errors.into_iter().collect());
    let page = Page::parse(&render(&snapshot(watches, vec![gpu]), None, &settings())).unwrap();
    assert_eq!(page.value_of(&metric("A").without("L")), Some(2.0));
    assert_eq!(page.family("A").unwrap().help, "Shown.");
    metric("B").assert_absent_from(&page);
    // Without another watch of the field, a hidden watch is listed by its name.
    let failed = metric("heatsink_read_errors_total");
    for (name, field) in [("100", 100), ("A", 150), ("L", 1), ("B", 2)] {
        failed.clone().label("field", name).value(field).assert_in(&page);
    }
}

#[test]
fn label_rows_cannot_use_label_names_of_families() {
    let reserved = ["Hostname", "uuid", "nvlink", "GPU_CI_ID", "xid", "peer_gpu", "cpucore"];
    let mut watches = vec![watch(150, "T", Kind::Gauge, "T.")];
    watches.extend(reserved.map(|name| watch(1, name, Kind::Label, "")));
    let readings = (0..8).map(|_| text("7")).collect();
    let gpu = up(Identity { model_name: Some("M".into()), ..identity(0, "GPU-a") }, readings);
    let mut gpu = gpu;
    gpu.readings[0] = int(1);
    let page = Page::parse(&render(&snapshot(watches, vec![gpu]), None, &settings())).unwrap();
    assert_eq!(page.samples("T")[0].labels.len(), 6);
}

#[test]
fn selected_instances_of_a_gpu_that_is_down_are_absent() {
    let show = Show {
        devices: Devices::Listed { gpus: Choice::None, instances: Choice::All },
        ..Show::default()
    };
    let gpu = down(identity(0, "GPU-aaaa"), Down::Late, vec![]);
    let page = Page::parse(&render(&machine(vec![gpu]), None, &Settings { show, ..settings() }))
        .expect("a page that parses");
    metric("heatsink_gpu_up").value(0).assert_in(&page);
    metric("TEMP").assert_absent_from(&page);
}
