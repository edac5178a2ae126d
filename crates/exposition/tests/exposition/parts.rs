//! NVSwitches, their links, CPUs and their cores: selection and labels.

use expect_test::{Expect, expect};
use exposition::{Choice, Devices, Settings, Show, render};
use model::{Down, Entity, GpuView, Kind, PartView, Reason, Snapshot};
use testkit::page::{Page, metric};

use crate::machine::{
    down, float, identity, int, part, settings, snapshot, text, unknown, up, watch,
};

/// Watches of switches, links, CPUs and cores, and label rows of the machine, of GPUs and of CPUs.
const WATCHES: [(u16, &str, Kind); 7] = [
    (858, "SWITCH_TEMP", Kind::Gauge),
    (780, "LINK_TX", Kind::Counter),
    (1110, "CPU_TEMP", Kind::Gauge),
    (1100, "CPU_UTIL", Kind::Gauge),
    (1, "DRIVER", Kind::Label),
    (51, "BRAND", Kind::Label),
    (1141, "MODEL", Kind::Label),
];

/// A machine with one GPU with a link, and these parts.
fn machine(parts: Vec<PartView>) -> Snapshot {
    let readings = [0; 4].map(|_| Err(Reason::NotServed)).into_iter();
    let labels = [text("570"), text("Tesla"), Err(Reason::NotServed)];
    let mut gpu = up(identity(0, "GPU-0"), readings.chain(labels).collect());
    gpu.parts = vec![part(Entity::Link(3), vec![(1, int(7))])];
    with_gpus(vec![gpu], parts)
}

fn with_gpus(gpus: Vec<GpuView>, parts: Vec<PartView>) -> Snapshot {
    let watches = WATCHES.map(|(field, name, kind)| watch(field, name, kind, "Help."));
    Snapshot { machine: parts, ..snapshot(watches.into(), gpus) }
}

/// Two switches with two links each and two CPUs with two cores each, unsorted.
fn parts() -> Vec<PartView> {
    let switch = |n| part(Entity::Switch(n), vec![(0, int(40 + i64::from(n)))]);
    let link = |switch, link| {
        let value = int(i64::from(100 * switch + link));
        part(Entity::SwitchLink { switch, link }, vec![(1, value)])
    };
    let cpu =
        |n| part(Entity::Cpu(n), vec![(2, float(39.5)), (3, float(0.25)), (6, text("Grace"))]);
    let core = |cpu, core| part(Entity::CpuCore { cpu, core }, vec![(3, float(0.5))]);
    vec![
        cpu(0),
        core(0, 0),
        core(0, 1),
        cpu(1),
        core(1, 72),
        core(1, 73),
        link(1, 0),
        link(1, 17),
        link(0, 0),
        link(0, 17),
        switch(0),
        switch(1),
    ]
}

fn lines(snapshot: &Snapshot, settings: &Settings) -> String {
    let page = render(snapshot, None, settings);
    Page::parse(&page).expect("a page that parses");
    let named = |line: &&str| {
        let name = line.split('{').next();
        WATCHES.iter().any(|(_, watch, _)| name == Some(*watch))
    };
    page.lines().filter(named).map(|line| format!("{line}\n")).collect()
}

/// The parts on the page: `nvswitch0`, `nvswitch0/17`, `cpu0`, `cpu1/72`.
fn parts_on_page(snapshot: &Snapshot, switches: Devices, cpus: Devices) -> String {
    let show = Show { switches, cpus, ..Show::default() };
    let page = Page::parse(&render(snapshot, None, &Settings { show, ..settings() }))
        .expect("a page that parses");
    let families = WATCHES.iter().flat_map(|(_, name, _)| page.samples(name));
    let mut parts: Vec<String> = Vec::new();
    for sample in families {
        let cpu = sample.label("cpu").map(|cpu| format!("cpu{cpu}"));
        let Some(mut part) = sample.label("nvswitch").map(str::to_owned).or(cpu) else { continue };
        for below in ["nvlink", "cpucore"].iter().filter_map(|name| sample.label(name)) {
            part += &format!("/{below}");
        }
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts.join(" ")
}

#[test]
fn switches_and_cpus_follow_the_gpus_in_order() {
    let check = |host_label, expected: Expect| {
        let settings = Settings { host_label, ..settings() };
        expected.assert_eq(&lines(&machine(parts()), &settings));
    };
    check(
        "hostname",
        expect![[r#"
        SWITCH_TEMP{nvswitch="nvswitch0",hostname="n1",DRIVER="570"} 40
        SWITCH_TEMP{nvswitch="nvswitch1",hostname="n1",DRIVER="570"} 41
        LINK_TX{nvlink="3",gpu="0",gpu_uuid="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",model_name="NVIDIA H100 80GB HBM3",hostname="n1",BRAND="Tesla",DRIVER="570"} 7
        LINK_TX{nvlink="0",nvswitch="nvswitch0",hostname="n1",DRIVER="570"} 0
        LINK_TX{nvlink="17",nvswitch="nvswitch0",hostname="n1",DRIVER="570"} 17
        LINK_TX{nvlink="0",nvswitch="nvswitch1",hostname="n1",DRIVER="570"} 100
        LINK_TX{nvlink="17",nvswitch="nvswitch1",hostname="n1",DRIVER="570"} 117
        CPU_TEMP{cpu="0",hostname="n1",DRIVER="570",MODEL="Grace"} 39.5
        CPU_TEMP{cpu="1",hostname="n1",DRIVER="570",MODEL="Grace"} 39.5
        CPU_UTIL{cpu="0",hostname="n1",DRIVER="570",MODEL="Grace"} 0.25
        CPU_UTIL{cpu="1",hostname="n1",DRIVER="570",MODEL="Grace"} 0.25
        CPU_UTIL{cpucore="0",cpu="0",hostname="n1",DRIVER="570"} 0.5
        CPU_UTIL{cpucore="1",cpu="0",hostname="n1",DRIVER="570"} 0.5
        CPU_UTIL{cpucore="72",cpu="1",hostname="n1",DRIVER="570"} 0.5
        CPU_UTIL{cpucore="73",cpu="1",hostname="n1",DRIVER="570"} 0.5
    "#]],
    );
    check(
        "Hostname",
        expect![[r#"
        SWITCH_TEMP{nvswitch="nvswitch0",Hostname="n1",DRIVER="570"} 40
        SWITCH_TEMP{nvswitch="nvswitch1",Hostname="n1",DRIVER="570"} 41
        LINK_TX{nvlink="3",gpu="0",gpu_uuid="GPU-0",pci_bus_id="00000000:1A:00.0",device="nvidia0",model_name="NVIDIA H100 80GB HBM3",hostname="n1",BRAND="Tesla",DRIVER="570"} 7
        LINK_TX{nvlink="0",nvswitch="nvswitch0",hostname="n1",DRIVER="570"} 0
        LINK_TX{nvlink="17",nvswitch="nvswitch0",hostname="n1",DRIVER="570"} 17
        LINK_TX{nvlink="0",nvswitch="nvswitch1",hostname="n1",DRIVER="570"} 100
        LINK_TX{nvlink="17",nvswitch="nvswitch1",hostname="n1",DRIVER="570"} 117
        CPU_TEMP{cpu="0",Hostname="n1",DRIVER="570",MODEL="Grace"} 39.5
        CPU_TEMP{cpu="1",Hostname="n1",DRIVER="570",MODEL="Grace"} 39.5
        CPU_UTIL{cpu="0",Hostname="n1",DRIVER="570",MODEL="Grace"} 0.25
        CPU_UTIL{cpu="1",Hostname="n1",DRIVER="570",MODEL="Grace"} 0.25
        CPU_UTIL{cpucore="0",cpu="0",Hostname="n1",DRIVER="570"} 0.5
        CPU_UTIL{cpucore="1",cpu="0",Hostname="n1",DRIVER="570"} 0.5
        CPU_UTIL{cpucore="72",cpu="1",Hostname="n1",DRIVER="570"} 0.5
        CPU_UTIL{cpucore="73",cpu="1",Hostname="n1",DRIVER="570"} 0.5
    "#]],
    );
}

#[test]
fn without_a_hostname_parts_have_only_their_numbers() {
    let settings = Settings { hostname: None, ..settings() };
    let mut machine = machine(parts());
    machine.gpus.clear();
    expect![[r#"
        SWITCH_TEMP{nvswitch="nvswitch0"} 40
        SWITCH_TEMP{nvswitch="nvswitch1"} 41
        LINK_TX{nvlink="0",nvswitch="nvswitch0"} 0
        LINK_TX{nvlink="17",nvswitch="nvswitch0"} 17
        LINK_TX{nvlink="0",nvswitch="nvswitch1"} 100
        LINK_TX{nvlink="17",nvswitch="nvswitch1"} 117
        CPU_TEMP{cpu="0",MODEL="Grace"} 39.5
        CPU_TEMP{cpu="1",MODEL="Grace"} 39.5
        CPU_UTIL{cpu="0",MODEL="Grace"} 0.25
        CPU_UTIL{cpu="1",MODEL="Grace"} 0.25
        CPU_UTIL{cpucore="0",cpu="0"} 0.5
        CPU_UTIL{cpucore="1",cpu="0"} 0.5
        CPU_UTIL{cpucore="72",cpu="1"} 0.5
        CPU_UTIL{cpucore="73",cpu="1"} 0.5
    "#]]
    .assert_eq(&lines(&machine, &settings));
}

#[test]
fn only_selected_parts_are_on_the_page() {
    let machine = machine(parts());
    let check =
        |switches, cpus, expected| assert_eq!(parts_on_page(&machine, switches, cpus), expected);
    let listed = |gpus, instances| Devices::Listed { gpus, instances };
    let nothing = || listed(Choice::None, Choice::None);
    use Choice::{All, None, Only};
    check(
        Devices::Flexible,
        nothing(),
        "nvswitch0 nvswitch1 nvswitch0/0 nvswitch0/17 nvswitch1/0 nvswitch1/17",
    );
    check(nothing(), listed(All, None), "cpu0 cpu1");
    check(nothing(), listed(None, All), "cpu0/0 cpu0/1 cpu1/72 cpu1/73");
    check(nothing(), listed(Only(vec![1, 9]), Only(vec![0, 73])), "cpu1 cpu0/0 cpu1/73");
    check(listed(Only(vec![1]), None), nothing(), "nvswitch1");
    check(listed(None, Only(vec![17])), nothing(), "nvswitch0/17 nvswitch1/17");
    check(listed(Only(vec![0]), Only(vec![0])), nothing(), "nvswitch0 nvswitch0/0 nvswitch1/0");
    check(nothing(), nothing(), "");
    // The selection of GPUs does not matter.
    let devices = listed(None, None);
    let settings = Settings { show: Show { devices, ..Show::default() }, ..settings() };
    let page = Page::parse(&render(&machine, Option::None, &settings)).unwrap();
    assert_eq!(page.samples("LINK_TX").len(), 4);
}

#[test]
fn an_unread_part_has_no_sample() {
    let missing = |reason| vec![(0, Err(reason)), (1, Err(reason))];
    let link = |link| Entity::SwitchLink { switch: 0, link };
    let page = lines(
        &machine(vec![
            part(Entity::Switch(0), missing(Reason::NoData)),
            part(link(0), missing(Reason::NotSupported)),
            part(link(1), vec![(1, float(f64::NAN))]),
            part(link(2), vec![(1, text("7"))]),
            part(Entity::Cpu(0), vec![]),
        ]),
        &settings(),
    );
    // The GPU's link is on the page.
    assert_eq!(page.lines().count(), 1, "{page}");
}

#[test]
fn a_part_appears_once_and_without_gpu_fields() {
    let twice = |value| part(Entity::Switch(0), vec![(0, int(value))]);
    let of_gpu = [Entity::Gpu, Entity::Link(0), Entity::Peer(1)];
    let mut parts = vec![twice(40), part(Entity::Switch(1), vec![(0, int(50))]), twice(41)];
    parts.extend(of_gpu.map(|entity| part(entity, vec![(0, int(9)), (1, int(9))])));
    let page = Page::parse(&render(&machine(parts), None, &settings())).unwrap();
    let values: Vec<f64> = page.samples("SWITCH_TEMP").iter().map(|sample| sample.value).collect();
    assert_eq!(values, [40.0, 50.0]);
    assert_eq!(page.samples("LINK_TX").len(), 1);
}

#[test]
fn the_driver_version_is_taken_from_any_gpu() {
    let none = |_| Err(Reason::NoData);
    let unread = down(identity(0, "GPU-0"), Down::Lost, (0..7).map(none).collect());
    let mut readings: Vec<_> = (0..7).map(none).collect();
    readings[4] = text("570");
    let gpus = vec![unknown(2, Down::Starting), unread, up(identity(1, "GPU-1"), readings)];
    let page = Page::parse(&render(&with_gpus(gpus, parts()), None, &settings())).unwrap();
    metric("SWITCH_TEMP").label("nvswitch", "nvswitch1").label("DRIVER", "570").assert_in(&page);

    let own = vec![part(Entity::Switch(0), vec![(0, int(40)), (4, text("own"))])];
    let page = Page::parse(&render(&machine(own), None, &settings())).unwrap();
    metric("SWITCH_TEMP").label("DRIVER", "own").without("BRAND").assert_in(&page);
}

#[test]
fn fields_of_switches_and_cpus_are_not_reported_unavailable() {
    let unavailable = metric("heatsink_field_unavailable_info");
    let page = Page::parse(&render(&machine(parts()), None, &settings())).unwrap();
    for (_, name, _) in WATCHES {
        unavailable.clone().label("field", name).assert_absent_from(&page);
    }
    let failing = part(Entity::Switch(0), vec![(0, Err(Reason::NotSupported))]);
    let mut machine = machine(vec![failing]);
    machine.gpus[0].readings[0] = Err(Reason::NoData);
    let page = Page::parse(&render(&machine, None, &settings())).unwrap();
    let why = |field| unavailable.clone().label("field", field);
    why("SWITCH_TEMP").label("reason", Reason::NotSupported.as_str()).assert_in(&page);
    why("CPU_TEMP").label("reason", Reason::NotServed.as_str()).assert_in(&page);
}
