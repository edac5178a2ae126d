//! Who uses the GPUs: labels on the series of devices, and the families about holders.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use expect_test::{Expect, expect};
use exposition::{HolderSettings, Settings, render};
use model::{
    Attribution, Claim, DeviceKey, DeviceUse, Entity, GpuKey, GpuView, Holder, Identity, Instance,
    Kind, MigDevice, Moment, PartKey, Pod, RefresherView, Snapshot,
};
use proptest::prelude::*;
use testkit::page::Page;

use crate::machine::{identity, int, part, settings, snapshot, text, up, watch};

/// GPUs 0 and 1, of which the second has two GPU instances; a temperature, power, the traffic of a link
/// and a label row.
fn machine() -> Snapshot {
    let watches = vec![
        watch(150, "TEMP", Kind::Gauge, "Temperature."),
        watch(155, "POWER", Kind::Gauge, "Power."),
        watch(449, "LINK", Kind::Gauge, "Traffic of a link."),
        watch(1, "DRIVER", Kind::Label, ""),
    ];
    let gpu = |index: u32| {
        let uuid = format!("GPU-aaaaaaaa-0000-0000-0000-00000000000{index}");
        let readings = vec![int(61), int(400), Err(model::Reason::NoData), text("570")];
        let identity = Identity { minor: Some(index), ..identity(index, &uuid) };
        let mut gpu = up(identity, readings);
        gpu.parts = vec![part(Entity::Link(0), vec![(2, int(5))])];
        gpu
    };
    let mut parted = gpu(1);
    parted.parts.push(instance(3, 0));
    parted.parts.push(instance(4, 1));
    snapshot(watches, vec![gpu(0), parted])
}

/// A GPU instance with one MIG device.
fn instance(gpu_instance: u32, number: u32) -> model::PartView {
    let uuid = format!("MIG-bbbbbbbb-0000-0000-0000-00000000000{number}");
    let instance = Instance {
        gpu_instance,
        compute_instance: None,
        number: 8 + number,
        profile: "2g.20gb".into(),
        mig_devices: vec![MigDevice { number, compute_instance: 0, uuid }],
    };
    part(Entity::Instance(Arc::new(instance)), vec![(1, int(100))])
}

fn gpu_0() -> DeviceKey {
    DeviceKey::uuid("GPU-AAAAAAAA-0000-0000-0000-000000000000")
}

fn pod(name: &str, container: &str) -> Pod {
    let (namespace, name, container) = ("research".into(), name.into(), container.into());
    Pod { namespace, name, container, ..Pod::default() }
}

fn one(holder: Holder) -> DeviceUse {
    DeviceUse { holder: Arc::new(holder), compute_instance: None, share: None }
}

fn share(pod: Pod, share: &str) -> DeviceUse {
    DeviceUse { share: Some(share.into()), ..one(Holder::Pod(pod)) }
}

fn job(id: &str) -> Holder {
    Holder::Job { id: id.into() }
}

fn attribution(uses: Vec<(DeviceKey, Vec<DeviceUse>)>) -> Attribution {
    Attribution {
        uses: uses.into_iter().collect(),
        allocatable: None,
        is_complete: true,
        refreshers: Vec::new(),
        pod_labels_cut: None,
        good_until: Moment::BOOT,
    }
}

/// The samples of these families, without the labels that every device has.
fn lines(attribution: &Attribution, holders: HolderSettings, families: &[&str]) -> String {
    let page = render(&machine(), Some(attribution), &Settings { holders, ..settings() });
    Page::parse(&page).expect("a page that parses");
    let named = |line: &&str| line.split('{').next().is_some_and(|name| families.contains(&name));
    let always = [
        "pci_bus_id=\"00000000:1A:00.0\",",
        "pci_bus_id=\"00000000:1B:00.0\",",
        "device=\"nvidia0\",",
        "device=\"nvidia1\",",
        "modelName=\"NVIDIA H100 80GB HBM3\",",
        "model_name=\"NVIDIA H100 80GB HBM3\",",
        "GPU_I_PROFILE=\"2g.20gb\",",
        "hostname=\"n1\",",
    ];
    let short = |line: &str| {
        let line = always.iter().fold(line.to_owned(), |line, label| line.replace(label, ""));
        line.replace("-0000-0000-0000-00000000000", "-") + "\n"
    };
    page.lines().filter(named).map(short).collect()
}

const LABELS: HolderSettings =
    HolderSettings { only_info: false, per_share: false, pod_uid: false };

const DEVICES: [&str; 3] = ["TEMP", "POWER", "LINK"];

const ABOUT_HOLDERS: [&str; 2] = ["heatsink_gpu_holder_info", "heatsink_gpu_allocated"];

fn check(uses: Vec<(DeviceKey, Vec<DeviceUse>)>, holders: HolderSettings, expected: Expect) {
    let families = [&DEVICES[..], &ABOUT_HOLDERS].concat();
    expected.assert_eq(&lines(&attribution(uses), holders, &families));
}

#[test]
fn the_series_of_a_device_have_the_labels_of_its_holder() {
    check(
        vec![
            (gpu_0(), vec![one(Holder::Pod(pod("train-0", "trainer")))]),
            (
                DeviceKey::uuid("mig-bbbbbbbb-0000-0000-0000-000000000001"),
                vec![one(Holder::Pod(pod("infer", "server")))],
            ),
        ],
        LABELS,
        expect![[r#"
            TEMP{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570",container="trainer",namespace="research",pod="train-0"} 61
            TEMP{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="3",DRIVER="570"} 61
            TEMP{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",DRIVER="570",container="server",namespace="research",pod="infer"} 61
            POWER{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570",container="trainer",namespace="research",pod="train-0"} 400
            POWER{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="3",DRIVER="570"} 100
            POWER{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",DRIVER="570",container="server",namespace="research",pod="infer"} 100
            LINK{nvlink="0",gpu="0",gpu_uuid="GPU-aaaaaaaa-0",DRIVER="570",container="trainer",namespace="research",pod="train-0"} 5
            LINK{nvlink="0",gpu="1",gpu_uuid="GPU-aaaaaaaa-1",DRIVER="570"} 5
            heatsink_gpu_holder_info{gpu="0",UUID="GPU-aaaaaaaa-0",kind="pod",namespace="research",pod="train-0",container="trainer"} 1
            heatsink_gpu_holder_info{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",kind="pod",namespace="research",pod="infer",container="server"} 1
            heatsink_gpu_allocated{gpu="0",UUID="GPU-aaaaaaaa-0"} 1
            heatsink_gpu_allocated{gpu="1",UUID="GPU-aaaaaaaa-1"} 1
        "#]],
    );
}

#[test]
fn without_holders_every_series_is_as_before() {
    let plain = render(&machine(), None, &settings());
    let none = render(&machine(), Some(&attribution(vec![])), &settings());
    let added: Vec<&str> = none.lines().filter(|line| !plain.contains(line)).collect();
    expect![[r##"
        # HELP heatsink_gpu_allocated Whether the GPU or a part of it has a holder, 0 or 1
        # TYPE heatsink_gpu_allocated gauge
        heatsink_gpu_allocated{gpu="0",UUID="GPU-aaaaaaaa-0000-0000-0000-000000000000"} 0
        heatsink_gpu_allocated{gpu="1",UUID="GPU-aaaaaaaa-0000-0000-0000-000000000001"} 0"##]]
    .assert_eq(&added.join("\n"));
    assert!(plain.lines().all(|line| none.contains(line)));
}

#[test]
fn a_device_that_several_pods_share_has_no_pod_labels() {
    let shared = || {
        let uses = vec![share(pod("a", "c"), "0"), share(pod("b", "c"), "1")];
        vec![(gpu_0(), uses)]
    };
    check(
        shared(),
        LABELS,
        expect![[r#"
        TEMP{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570"} 61
        TEMP{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="3",DRIVER="570"} 61
        TEMP{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",DRIVER="570"} 61
        POWER{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570"} 400
        POWER{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="3",DRIVER="570"} 100
        POWER{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",DRIVER="570"} 100
        LINK{nvlink="0",gpu="0",gpu_uuid="GPU-aaaaaaaa-0",DRIVER="570"} 5
        LINK{nvlink="0",gpu="1",gpu_uuid="GPU-aaaaaaaa-1",DRIVER="570"} 5
        heatsink_gpu_holder_info{gpu="0",UUID="GPU-aaaaaaaa-0",kind="pod",namespace="research",pod="a",container="c",share="0"} 1
        heatsink_gpu_holder_info{gpu="0",UUID="GPU-aaaaaaaa-0",kind="pod",namespace="research",pod="b",container="c",share="1"} 1
        heatsink_gpu_allocated{gpu="0",UUID="GPU-aaaaaaaa-0"} 1
        heatsink_gpu_allocated{gpu="1",UUID="GPU-aaaaaaaa-1"} 0
    "#]],
    );
    // One series for each holder, without values that are sums over all of them.
    check(
        shared(),
        HolderSettings { per_share: true, ..LABELS },
        expect![[r#"
        TEMP{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570"} 61
        TEMP{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570",container="c",namespace="research",pod="a",vgpu="0"} 61
        TEMP{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570",container="c",namespace="research",pod="b",vgpu="1"} 61
        TEMP{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="3",DRIVER="570"} 61
        TEMP{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",DRIVER="570"} 61
        POWER{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570"} 400
        POWER{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="3",DRIVER="570"} 100
        POWER{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",DRIVER="570"} 100
        LINK{nvlink="0",gpu="0",gpu_uuid="GPU-aaaaaaaa-0",DRIVER="570"} 5
        LINK{nvlink="0",gpu="1",gpu_uuid="GPU-aaaaaaaa-1",DRIVER="570"} 5
        heatsink_gpu_holder_info{gpu="0",UUID="GPU-aaaaaaaa-0",kind="pod",namespace="research",pod="a",container="c",share="0"} 1
        heatsink_gpu_holder_info{gpu="0",UUID="GPU-aaaaaaaa-0",kind="pod",namespace="research",pod="b",container="c",share="1"} 1
        heatsink_gpu_allocated{gpu="0",UUID="GPU-aaaaaaaa-0"} 1
        heatsink_gpu_allocated{gpu="1",UUID="GPU-aaaaaaaa-1"} 0
    "#]],
    );
    // The only holder has all of it now, but not alone.
    let alone = vec![(gpu_0(), vec![share(pod("a", "c"), "7")])];
    check(
        alone.clone(),
        LABELS,
        expect![[r#"
        TEMP{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570",container="c",namespace="research",pod="a"} 61
        TEMP{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="3",DRIVER="570"} 61
        TEMP{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",DRIVER="570"} 61
        POWER{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570",container="c",namespace="research",pod="a"} 400
        POWER{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="3",DRIVER="570"} 100
        POWER{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",DRIVER="570"} 100
        LINK{nvlink="0",gpu="0",gpu_uuid="GPU-aaaaaaaa-0",DRIVER="570",container="c",namespace="research",pod="a"} 5
        LINK{nvlink="0",gpu="1",gpu_uuid="GPU-aaaaaaaa-1",DRIVER="570"} 5
        heatsink_gpu_holder_info{gpu="0",UUID="GPU-aaaaaaaa-0",kind="pod",namespace="research",pod="a",container="c",share="7"} 1
        heatsink_gpu_allocated{gpu="0",UUID="GPU-aaaaaaaa-0"} 1
        heatsink_gpu_allocated{gpu="1",UUID="GPU-aaaaaaaa-1"} 0
    "#]],
    );
    check(
        alone,
        HolderSettings { per_share: true, ..LABELS },
        expect![[r#"
        TEMP{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570"} 61
        TEMP{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570",container="c",namespace="research",pod="a",vgpu="7"} 61
        TEMP{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="3",DRIVER="570"} 61
        TEMP{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",DRIVER="570"} 61
        POWER{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570"} 400
        POWER{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="3",DRIVER="570"} 100
        POWER{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",DRIVER="570"} 100
        LINK{nvlink="0",gpu="0",gpu_uuid="GPU-aaaaaaaa-0",DRIVER="570"} 5
        LINK{nvlink="0",gpu="1",gpu_uuid="GPU-aaaaaaaa-1",DRIVER="570"} 5
        heatsink_gpu_holder_info{gpu="0",UUID="GPU-aaaaaaaa-0",kind="pod",namespace="research",pod="a",container="c",share="7"} 1
        heatsink_gpu_allocated{gpu="0",UUID="GPU-aaaaaaaa-0"} 1
        heatsink_gpu_allocated{gpu="1",UUID="GPU-aaaaaaaa-1"} 0
    "#]],
    );
}

#[test]
fn containers_of_one_pod_have_in_common_what_is_equal() {
    let uses = vec![one(Holder::Pod(pod("a", "main"))), one(Holder::Pod(pod("a", "sidecar")))];
    check(
        vec![(gpu_0(), uses)],
        LABELS,
        expect![[r#"
        TEMP{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570",namespace="research",pod="a"} 61
        TEMP{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="3",DRIVER="570"} 61
        TEMP{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",DRIVER="570"} 61
        POWER{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570",namespace="research",pod="a"} 400
        POWER{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="3",DRIVER="570"} 100
        POWER{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",DRIVER="570"} 100
        LINK{nvlink="0",gpu="0",gpu_uuid="GPU-aaaaaaaa-0",DRIVER="570",namespace="research",pod="a"} 5
        LINK{nvlink="0",gpu="1",gpu_uuid="GPU-aaaaaaaa-1",DRIVER="570"} 5
        heatsink_gpu_holder_info{gpu="0",UUID="GPU-aaaaaaaa-0",kind="pod",namespace="research",pod="a",container="main"} 1
        heatsink_gpu_holder_info{gpu="0",UUID="GPU-aaaaaaaa-0",kind="pod",namespace="research",pod="a",container="sidecar"} 1
        heatsink_gpu_allocated{gpu="0",UUID="GPU-aaaaaaaa-0"} 1
        heatsink_gpu_allocated{gpu="1",UUID="GPU-aaaaaaaa-1"} 0
    "#]],
    );
}

#[test]
fn several_jobs_give_several_series() {
    check(
        vec![(gpu_0(), vec![one(job("17")), one(job("18"))])],
        LABELS,
        expect![[r#"
        TEMP{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570",hpc_job="17"} 61
        TEMP{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570",hpc_job="18"} 61
        TEMP{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="3",DRIVER="570"} 61
        TEMP{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",DRIVER="570"} 61
        POWER{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570",hpc_job="17"} 400
        POWER{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570",hpc_job="18"} 400
        POWER{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="3",DRIVER="570"} 100
        POWER{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",DRIVER="570"} 100
        LINK{nvlink="0",gpu="0",gpu_uuid="GPU-aaaaaaaa-0",DRIVER="570"} 5
        LINK{nvlink="0",gpu="1",gpu_uuid="GPU-aaaaaaaa-1",DRIVER="570"} 5
        heatsink_gpu_holder_info{gpu="0",UUID="GPU-aaaaaaaa-0",kind="job",job_id="17"} 1
        heatsink_gpu_holder_info{gpu="0",UUID="GPU-aaaaaaaa-0",kind="job",job_id="18"} 1
        heatsink_gpu_allocated{gpu="0",UUID="GPU-aaaaaaaa-0"} 1
        heatsink_gpu_allocated{gpu="1",UUID="GPU-aaaaaaaa-1"} 0
    "#]],
    );
    let both = vec![one(Holder::Pod(pod("a", "main"))), one(job("17"))];
    check(
        vec![(gpu_0(), both)],
        LABELS,
        expect![[r#"
        TEMP{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570",container="main",hpc_job="17",namespace="research",pod="a"} 61
        TEMP{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="3",DRIVER="570"} 61
        TEMP{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",DRIVER="570"} 61
        POWER{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570",container="main",hpc_job="17",namespace="research",pod="a"} 400
        POWER{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="3",DRIVER="570"} 100
        POWER{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",DRIVER="570"} 100
        LINK{nvlink="0",gpu="0",gpu_uuid="GPU-aaaaaaaa-0",DRIVER="570",container="main",hpc_job="17",namespace="research",pod="a"} 5
        LINK{nvlink="0",gpu="1",gpu_uuid="GPU-aaaaaaaa-1",DRIVER="570"} 5
        heatsink_gpu_holder_info{gpu="0",UUID="GPU-aaaaaaaa-0",kind="pod",namespace="research",pod="a",container="main"} 1
        heatsink_gpu_holder_info{gpu="0",UUID="GPU-aaaaaaaa-0",kind="job",job_id="17"} 1
        heatsink_gpu_allocated{gpu="0",UUID="GPU-aaaaaaaa-0"} 1
        heatsink_gpu_allocated{gpu="1",UUID="GPU-aaaaaaaa-1"} 0
    "#]],
    );
}

#[test]
fn with_info_only_the_series_of_devices_stay_as_they_are() {
    let uses = || vec![(gpu_0(), vec![one(Holder::Pod(pod("a", "main"))), one(job("17"))])];
    let info = HolderSettings { only_info: true, ..LABELS };
    let with = lines(&attribution(uses()), info, &DEVICES);
    assert_eq!(with, lines(&attribution(vec![]), info, &DEVICES));
    expect![[r#"
        heatsink_gpu_holder_info{gpu="0",UUID="GPU-aaaaaaaa-0",kind="pod",namespace="research",pod="a",container="main"} 1
        heatsink_gpu_holder_info{gpu="0",UUID="GPU-aaaaaaaa-0",kind="job",job_id="17"} 1
        heatsink_gpu_allocated{gpu="0",UUID="GPU-aaaaaaaa-0"} 1
        heatsink_gpu_allocated{gpu="1",UUID="GPU-aaaaaaaa-1"} 0
    "#]].assert_eq(&lines(&attribution(uses()), info, &ABOUT_HOLDERS));
}

#[test]
fn a_device_is_found_under_each_of_its_names() {
    let whole = |gpu| (DeviceKey::whole(gpu), None);
    let of_part = |part| (DeviceKey::part(GpuKey::Index(1), part), Some("4"));
    for (key, gpu_instance) in [
        (gpu_0(), None),
        whole(GpuKey::Index(0)),
        whole(GpuKey::Minor(0)),
        whole(GpuKey::PciBusId("00000000:1A:00.0".into())),
        of_part(PartKey::GpuInstance(4)),
        of_part(PartKey::MigDevice(1)),
        (DeviceKey::uuid("MIG-bbbbbbbb-0000-0000-0000-000000000001"), Some("4")),
    ] {
        let found = attribution(vec![(key.clone(), vec![one(job("17"))])]);
        let page = render(&machine(), Some(&found), &settings());
        let page = Page::parse(&page).expect("a page that parses");
        let held: Vec<_> =
            page.samples("TEMP").into_iter().filter(|s| s.label("hpc_job").is_some()).collect();
        assert_eq!(held.len(), 1, "{key:?}");
        assert_eq!(held[0].label("GPU_I_ID"), gpu_instance, "{key:?}");
    }
}

#[test]
fn a_minor_number_that_differs_from_the_index_counts() {
    let mut machine = machine();
    let mut renumbered = identity(0, "GPU-a");
    renumbered.minor = Some(5);
    machine.gpus[0].gpu.identity = Some(Arc::new(renumbered));
    let held_by = |minor| {
        let found =
            attribution(vec![(DeviceKey::whole(GpuKey::Minor(minor)), vec![one(job("1"))])]);
        render(&machine, Some(&found), &settings()).contains("hpc_job=\"1\"")
    };
    assert!(held_by(5));
    assert!(!held_by(0));
    // Without the number, an index says nothing about device nodes.
    machine.gpus[0].gpu.identity = Some(Arc::new(identity(0, "GPU-a")));
    let found = attribution(vec![(DeviceKey::whole(GpuKey::Minor(0)), vec![one(job("1"))])]);
    assert!(!render(&machine, Some(&found), &settings()).contains("hpc_job"));
}

#[test]
fn claims_pod_labels_and_uids_have_labels_of_their_own() {
    let claim = Claim {
        name: "gpus".into(),
        namespace: "research".into(),
        driver: "gpu.nvidia.com".into(),
        pool: "n1".into(),
        device: "gpu-0-mig-2g.20gb-14-0".into(),
        mig_profile: Some("2g.20gb".into()),
        mig_uuid: Some("MIG-1".into()),
    };
    let labels = [("DRIVER", "taken"), ("app", "llama"), ("empty", ""), ("team", "a\"b\\c\n")];
    let labels = labels.map(|(name, value)| (Arc::from(name), Arc::from(value)));
    let holder = Holder::Pod(Pod {
        uid: Some("u-1".into()),
        labels: labels.into(),
        claim: Some(Arc::new(claim)),
        ..pod("train-0", "trainer")
    });
    let uses = vec![(gpu_0(), vec![one(holder)])];
    check(
        uses.clone(),
        HolderSettings { pod_uid: true, ..LABELS },
        expect![[r#"
        TEMP{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570",app="llama",container="trainer",dra_claim_name="gpus",dra_claim_namespace="research",dra_device_name="gpu-0-mig-2g.20gb-14-0",dra_driver_name="gpu.nvidia.com",dra_mig_device_uuid="MIG-1",dra_mig_profile="2g.20gb",dra_pool_name="n1",namespace="research",pod="train-0",pod_uid="u-1",team="a\"b\\c\n"} 61
        TEMP{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="3",DRIVER="570"} 61
        TEMP{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",DRIVER="570"} 61
        POWER{gpu="0",UUID="GPU-aaaaaaaa-0",DRIVER="570",app="llama",container="trainer",dra_claim_name="gpus",dra_claim_namespace="research",dra_device_name="gpu-0-mig-2g.20gb-14-0",dra_driver_name="gpu.nvidia.com",dra_mig_device_uuid="MIG-1",dra_mig_profile="2g.20gb",dra_pool_name="n1",namespace="research",pod="train-0",pod_uid="u-1",team="a\"b\\c\n"} 400
        POWER{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="3",DRIVER="570"} 100
        POWER{gpu="1",UUID="GPU-aaaaaaaa-1",GPU_I_ID="4",DRIVER="570"} 100
        LINK{nvlink="0",gpu="0",gpu_uuid="GPU-aaaaaaaa-0",DRIVER="570",app="llama",container="trainer",dra_claim_name="gpus",dra_claim_namespace="research",dra_device_name="gpu-0-mig-2g.20gb-14-0",dra_driver_name="gpu.nvidia.com",dra_mig_device_uuid="MIG-1",dra_mig_profile="2g.20gb",dra_pool_name="n1",namespace="research",pod="train-0",pod_uid="u-1",team="a\"b\\c\n"} 5
        LINK{nvlink="0",gpu="1",gpu_uuid="GPU-aaaaaaaa-1",DRIVER="570"} 5
        heatsink_gpu_holder_info{gpu="0",UUID="GPU-aaaaaaaa-0",kind="pod",namespace="research",pod="train-0",container="trainer",pod_uid="u-1"} 1
        heatsink_gpu_allocated{gpu="0",UUID="GPU-aaaaaaaa-0"} 1
        heatsink_gpu_allocated{gpu="1",UUID="GPU-aaaaaaaa-1"} 0
    "#]],
    );
    let old = Settings { old_namespace: true, ..settings() };
    let page = render(&machine(), Some(&attribution(uses)), &old);
    let names = r#"container_name="trainer""#;
    assert!(
        page.contains(names) && page.contains(r#"pod_name="train-0",pod_namespace="research""#)
    );
}

#[test]
fn a_gpu_is_free_only_if_a_holder_would_have_been_found() {
    let allocated = |known: &Attribution| lines(known, LABELS, &["heatsink_gpu_allocated"]);
    let free = attribution(vec![]);
    expect![[r#"
        heatsink_gpu_allocated{gpu="0",UUID="GPU-aaaaaaaa-0"} 0
        heatsink_gpu_allocated{gpu="1",UUID="GPU-aaaaaaaa-1"} 0
    "#]]
    .assert_eq(&allocated(&free));
    assert_eq!(allocated(&Attribution { is_complete: false, ..free.clone() }), "");
    let others = Some(HashSet::from([gpu_0()]));
    expect![[r#"
        heatsink_gpu_allocated{gpu="0",UUID="GPU-aaaaaaaa-0"} 0
    "#]]
    .assert_eq(&allocated(&Attribution { allocatable: others, ..free.clone() }));
    let parts = HashSet::from([DeviceKey::uuid("mig-bbbbbbbb-0000-0000-0000-000000000000")]);
    expect![[r#"
        heatsink_gpu_allocated{gpu="1",UUID="GPU-aaaaaaaa-1"} 0
    "#]]
    .assert_eq(&allocated(&Attribution { allocatable: Some(parts), ..free }));
    let held = attribution(vec![(gpu_0(), vec![one(job("1"))])]);
    expect![[r#"
        heatsink_gpu_allocated{gpu="0",UUID="GPU-aaaaaaaa-0"} 1
    "#]]
    .assert_eq(&allocated(&Attribution { is_complete: false, ..held }));
}

#[test]
fn the_health_of_refreshers_is_served() {
    let refresher = |name, up| RefresherView {
        name,
        up,
        last_success: up.then_some(UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
        duration: up.then_some(Duration::from_millis(3)),
        entries: up.then_some(7),
        errors: BTreeMap::from([("timeout", 2), ("absent", 1)]),
    };
    let known = Attribution {
        refreshers: vec![refresher("kubelet", true), refresher("pods", false)],
        pod_labels_cut: Some(180),
        ..attribution(vec![])
    };
    let page = render(&machine(), Some(&known), &settings());
    let about = page.lines().filter(|line| line.starts_with("heatsink_attribution"));
    expect![[r#"
        heatsink_attribution_up{refresher="kubelet"} 1
        heatsink_attribution_up{refresher="pods"} 0
        heatsink_attribution_last_success_timestamp_seconds{refresher="kubelet"} 1700000000
        heatsink_attribution_duration_seconds{refresher="kubelet"} 0.003
        heatsink_attribution_entries{refresher="kubelet"} 7
        heatsink_attribution_errors_total{refresher="kubelet",reason="absent"} 1
        heatsink_attribution_errors_total{refresher="kubelet",reason="timeout"} 2
        heatsink_attribution_errors_total{refresher="pods",reason="absent"} 1
        heatsink_attribution_errors_total{refresher="pods",reason="timeout"} 2
        heatsink_attribution_pod_labels_cut_total 180"#]]
    .assert_eq(&about.collect::<Vec<_>>().join("\n"));
}

fn any_use() -> impl Strategy<Value = DeviceUse> {
    let text = || prop_oneof![Just(String::new()), Just("a".to_owned()), "\\PC{0,6}|[\"\\\\\n]"];
    let pod = (text(), text(), text(), proptest::option::of(text()), text());
    let pod = pod.prop_map(|(namespace, name, container, uid, label)| {
        Holder::Pod(Pod {
            namespace: namespace.into(),
            name: name.into(),
            container: container.into(),
            uid: uid.map(Into::into),
            labels: [(Arc::from("app"), Arc::from(label))].into(),
            claim: None,
        })
    });
    let job = text().prop_map(|id| Holder::Job { id: id.into() });
    let holder = prop_oneof![pod, job];
    let share = proptest::option::of(text());
    (holder, proptest::option::of(0_u32..2), share).prop_map(|(holder, compute_instance, share)| {
        DeviceUse { holder: Arc::new(holder), compute_instance, share: share.map(Into::into) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_page_with_holders_parses_and_has_no_series_twice(
        uses in proptest::collection::vec(proptest::collection::vec(any_use(), 0..5), 4),
        only_info: bool,
        per_share: bool,
        pod_uid: bool,
    ) {
        let keys = [
            gpu_0(),
            DeviceKey::whole(GpuKey::Minor(0)),
            DeviceKey::part(GpuKey::Index(1), PartKey::GpuInstance(3)),
            DeviceKey::uuid("MIG-bbbbbbbb-0000-0000-0000-000000000000"),
        ];
        let uses: HashMap<DeviceKey, Vec<DeviceUse>> = keys.into_iter().zip(uses).collect();
        let known = attribution(uses.into_iter().collect());
        let holders = HolderSettings { only_info, per_share, pod_uid };
        let page = render(&machine(), Some(&known), &Settings { holders, ..settings() });
        // The strict reader refuses a series that occurs twice.
        let page = Page::parse(&page);
        prop_assert!(page.is_ok(), "{:?}", page.err());
        let page = page.unwrap();
        // No GPU loses its own series.
        prop_assert!(page.samples("POWER").len() >= 3);
    }
}

/// The view of a GPU that is down keeps its holders.
#[test]
fn the_holder_of_a_gpu_that_is_down_stays_known() {
    let mut machine = machine();
    let lost = GpuView { up: Err(model::Down::Lost), ..machine.gpus[0].clone() };
    machine.gpus[0] = lost;
    let known = attribution(vec![(gpu_0(), vec![one(job("17"))])]);
    let page = render(&machine, Some(&known), &settings());
    assert!(page.contains(r#"kind="job",job_id="17""#));
    assert!(!page.contains("hpc_job"));
}
