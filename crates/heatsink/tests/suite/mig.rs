//! Partitioned GPUs: instances replace their GPU, and come and go at run time.

use crate::rig::{PATIENCE, Rig, down, up};
use testkit::page::{Page, Sample, metric};
use testkit::pauses;

/// The instances with a memory series, by GPU and instance.
fn instances(page: &Page, name: &str) -> Vec<(String, String)> {
    let label = |sample: &Sample, name| sample.label(name).unwrap_or("").to_owned();
    let mut found: Vec<(String, String)> = page
        .samples(name)
        .into_iter()
        .map(|sample| (label(sample, "gpu"), label(sample, "GPU_I_ID")))
        .filter(|(_, instance)| !instance.is_empty())
        .collect();
    found.sort_by_key(|(gpu, instance)| (gpu.clone(), instance.parse::<u32>().ok()));
    found
}

#[test]
fn instances_replace_their_gpu() {
    let exporter = Rig::machine("a100x2-mig").started(&["-c", "200"], 2);
    // The driver has no memory values for an instance without compute instances.
    let families =
        [("DCGM_FI_DEV_FB_USED", 2), ("DCGM_FI_DEV_GPU_TEMP", 3), ("DCGM_FI_DEV_POWER_USAGE", 3)];
    let (page, _) = exporter.wait_for("GPU 0, and the instances", PATIENCE, |page| {
        let is_whole = |(name, count): (&str, usize)| {
            instances(page, name).len() == count && page.samples(name).len() == 1 + count
        };
        families.into_iter().all(is_whole)
    });
    for (name, _) in families {
        metric(name).label("gpu", "1").without("GPU_I_ID").assert_absent_from(&page);
    }
    // One series of the parent for all instances, and one for each instance.
    let values = |name: &str| -> Vec<f64> {
        metric(name).label("gpu", "1").find_in(&page).iter().map(|sample| sample.value).collect()
    };
    let heat = values("DCGM_FI_DEV_GPU_TEMP");
    assert!(heat.iter().all(|value| *value == heat[0]));
    let mut memory = values("DCGM_FI_DEV_FB_USED");
    memory.sort_by(f64::total_cmp);
    memory.dedup();
    assert_eq!(memory.len(), 2);
    metric("heatsink_gpu_up").label("gpu", "1").value(1.0).assert_in(&page);
    let of_instance = page.all_samples().find(|sample| sample.label("GPU_I_ID").is_some());
    let labels = &of_instance.expect("an instance").labels;
    let names: Vec<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names[..8],
        [
            "gpu",
            "UUID",
            "pci_bus_id",
            "device",
            "modelName",
            "GPU_I_PROFILE",
            "GPU_I_ID",
            "hostname"
        ]
    );
}

#[test]
fn device_lists_select_gpus_and_instances() {
    let rig = Rig::machine("a100x2-mig");
    let selected = |devices: &str, count: usize| {
        let exporter = rig.start(&["-c", "200", "-d", devices]);
        let name = "DCGM_FI_DEV_GPU_TEMP";
        exporter.wait_for(devices, PATIENCE, |page| page.samples(name).len() == count);
        // The number of series stays constant.
        pauses::sleep(std::time::Duration::from_millis(500));
        let (page, _) =
            exporter.wait_for(devices, PATIENCE, |page| page.samples(name).len() == count);
        instances(&page, name)
    };
    let all = selected("f", 4);
    assert_eq!(selected("g", 2), []);
    assert_eq!(selected("i", 3), all);
    assert_eq!(selected("g+i", 5), all);
    // Instances have DCGM's numbers: seven per GPU, sorted by the size of their profile, the smallest
    // first.
    assert_eq!(selected("i:7,8-9", 3), all);
    assert_eq!(selected("g:0,1+i:7", 3), all[2..]);
    assert_eq!(selected("i:7", 1), all[2..]);
}

#[test]
fn compute_instances_appear_on_request() {
    let exporter = Rig::machine("a100x2-mig").started(&["-c", "200", "--compute-instances"], 2);
    let inner = metric("DCGM_FI_DEV_FB_USED").label("gpu", "1").label("GPU_CI_ID", "0");
    let outer = metric("DCGM_FI_DEV_FB_USED").label("gpu", "1").without("GPU_CI_ID");
    exporter.wait_for("compute instances", PATIENCE, |page| {
        [&inner, &outer].iter().all(|series| series.find_in(page).len() == 2)
    });
}

#[test]
fn instances_come_and_go_at_run_time() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    rig.control.set(&["gpu 1 mig on"]);
    let whole = metric("DCGM_FI_DEV_FB_USED").label("gpu", "1").without("GPU_I_ID");
    let name = "DCGM_FI_DEV_FB_USED";
    rig.control.add(&["gpu 1 mig-create 3 1g.10gb"]);
    let (page, _) = exporter.wait_for("the first", PATIENCE, |page| {
        instances(page, name) == [("1".to_owned(), "3".to_owned())]
    });
    whole.assert_absent_from(&page);
    let profiled = metric(name).label("gpu", "1").label("GPU_I_PROFILE", "1g.10gb");
    profiled.assert_in(&page);
    rig.control.add(&["gpu 1 mig-create 5 1g.10gb"]);
    exporter.wait_for("the second", PATIENCE, |page| instances(page, name).len() == 2);
    rig.control.add(&["gpu 1 mig-destroy 3"]);
    exporter.wait_for("the first is gone", PATIENCE, |page| {
        instances(page, name) == [("1".to_owned(), "5".to_owned())] && up(page) == 8
    });
    rig.control.clear();
    exporter.wait_for("it is whole again", PATIENCE, |page| {
        whole.is_in(page) && instances(page, name).is_empty()
    });
}

#[test]
fn an_event_of_one_instance_does_not_count_for_others() {
    let rig = Rig::machine("a100x2-mig");
    let exporter = rig.started(&["-c", "200"], 2);
    let (page, _) = exporter.wait_for("instances", PATIENCE, |page| {
        instances(page, "DCGM_FI_DEV_XID_ERRORS").len() == 3
    });
    let ids = instances(&page, "DCGM_FI_DEV_XID_ERRORS");
    let (first, second) = (&ids[0].1, &ids[1].1);
    rig.control.set(&[&format!("gpu 1 xid 43 instance {first}")]);
    let of = |instance: &str| {
        metric("DCGM_FI_DEV_XID_ERRORS").label("gpu", "1").label("GPU_I_ID", instance)
    };
    let (page, _) = exporter.wait_for("the event is counted", PATIENCE, |page| {
        page.value_of(&of(first)) == Some(43.0) && of(second).is_in(page)
    });
    assert_eq!(page.value_of(&of(second)), Some(0.0));
    metric("heatsink_xid_errors_total").label("gpu", "1").label("xid", "43").assert_in(&page);

    // An instance that is destroyed and created again.
    rig.control.add(&["gpu 1 lost"]);
    let (page, _) = exporter.wait_for("it is lost, and XIDs not delivered", PATIENCE, |page| {
        down(page, 1).is_some() && of(second).absent_from(page)
    });
    assert_eq!(page.value_of(&of(first)), Some(43.0));
    assert!(instances(&page, "DCGM_FI_DEV_FB_USED").iter().all(|(gpu, _)| gpu != "1"));
}

#[test]
fn a_recreated_instance_has_no_xids_of_its_predecessor() {
    let rig = Rig::new();
    let (on, made) = ("gpu 6 mig on", "gpu 6 mig-create 3 1g.10gb");
    rig.control.set(&[on, made]);
    let exporter = rig.started(&["-c", "200"], 8);
    let last = |page: &Page| {
        let of_instance = metric("DCGM_FI_DEV_XID_ERRORS").label("gpu", "6").label("GPU_I_ID", "3");
        page.value_of(&of_instance)
    };
    exporter.wait_for("nothing has happened", PATIENCE, |page| last(page) == Some(0.0));
    let xid = "gpu 6 xid 43 instance 3";
    rig.control.set(&[on, made, xid]);
    exporter.wait_for("its XID", PATIENCE, |page| last(page) == Some(43.0));
    rig.control.set(&[on, made, xid, "gpu 6 mig-destroy 3"]);
    exporter.wait_for("it is gone", PATIENCE, |page| last(page).is_none());
    rig.control.set(&[on, made, xid, "gpu 6 mig-destroy 3", made]);
    let (page, _) =
        exporter.wait_for("another one is there", PATIENCE, |page| last(page).is_some());
    assert_eq!(last(&page), Some(0.0), "the XID of the one before");
    metric("heatsink_xid_errors_total").label("gpu", "6").label("xid", "43").assert_in(&page);
}
