//! Strategies for arbitrary snapshots and settings, for property tests of pages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use exposition::{Choice, Devices, Settings, Show};
use model::{
    ClockEvent, Down, Entity, Extent, FieldId, Gpu, GpuView, Health, HealthStatus, Instance, Kind,
    LinkFault, PartView, Quantity, Reading, Reason, Snapshot, Tally, Value, Watch, Xid, XidCount,
    XidLog,
};
use proptest::array::uniform9;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::machine::{float, identity, int, part, settings, snapshot, started, watch};

/// Fields whose samples do not correspond to one reading each.
pub(crate) const DERIVED: [u16; 7] = [230, 9001, 9002, 9003, 9004, 9005, 9006];

pub(crate) fn any_settings() -> impl Strategy<Value = Settings> {
    let choice = prop_oneof![
        Just(Choice::None),
        Just(Choice::All),
        vec(0..20_u32, 0..4).prop_map(Choice::Only),
    ];
    let listed =
        (choice.clone(), choice).prop_map(|(gpus, instances)| Devices::Listed { gpus, instances });
    let devices = prop_oneof![Just(Devices::Flexible), listed];
    let show = (devices.clone(), any::<bool>(), devices.clone(), devices).prop_map(
        |(devices, compute_instances, switches, cpus)| Show {
            devices,
            compute_instances,
            switches,
            cpus,
        },
    );
    let label = select(vec!["hostname", "Hostname"]);
    (show, label, any::<(bool, bool, bool)>()).prop_map(|(show, host_label, flags)| {
        let (named, old_namespace, replace_blanks_in_model_name) = flags;
        Settings {
            hostname: named.then(|| "n1".into()),
            host_label,
            old_namespace,
            show,
            replace_blanks_in_model_name,
            ..settings()
        }
    })
}

/// Any snapshot with simple texts. Names come from a small pool, so that they collide.
pub(crate) fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let window = select(vec![Duration::ZERO, Duration::from_millis(1_500)]);
    let parts = (vec(any_gpu(), 0..6), vec(any_part_beside_gpus(), 0..8));
    (vec(any_watch(), 0..10), parts, any::<bool>(), window).prop_map(
        |(watches, (gpus, machine), source_up, window)| {
            let mut snapshot = snapshot(watches, gpus);
            snapshot.machine = machine;
            if !source_up {
                snapshot.source.up = Err("gone".into());
                snapshot.source.driver_version = None;
            }
            snapshot.windows.extents = window;
            snapshot
        },
    )
}

fn any_watch() -> impl Strategy<Value = Watch> {
    let names = ["F_a", "F_b", "F_c", "F_d", "F_e", "gpu", "nvlink", "cpu", "err_msg"];
    let fields = [1, 100, 150, 155, 1603, 9101].into_iter().chain(DERIVED).collect::<Vec<_>>();
    let kind = select(vec![
        Kind::Gauge,
        Kind::Gauge,
        Kind::Counter,
        Kind::Untyped,
        Kind::Label,
        Kind::Hidden,
    ]);
    (select(fields), select(names.to_vec()), kind)
        .prop_map(|(field, name, kind)| watch(field, name, kind, "Help."))
}

fn any_gpu() -> impl Strategy<Value = GpuView> {
    let uuid = option::of(select(vec!["", "GPU-a", "GPU-b", "GPU-c"]));
    let up =
        prop_oneof![3 => Just(Ok(())), 1 => select(vec![Down::Lost, Down::Late]).prop_map(Err)];
    let errors = btree_map((select(vec![1, 150, 230, 1013]), any_reason()), 0..9_u64, 0..4);
    let whole = (0..3_u32, uuid, up, vec(any_reading(), 0..11), vec(any_part(), 0..6));
    let events = (any_xids(), vec((select(vec![13, 79, u32::MAX]), 0..4_u64), 0..4));
    let clocks = uniform9(any_clock_event());
    let derived = (clocks, vec(any_extent(), 0..5), vec(any_health(), 0..4));
    let calls = btree_map(select(vec!["temperature", "samples"]), any_duration(), 0..3);
    (whole, events, derived, errors, option::of(any_duration()), calls).prop_map(
        |(whole, events, derived, errors, pass_duration, calls)| {
            let (index, uuid, up, readings, parts) = whole;
            let (xids, xids_in_window) = events;
            let (clock_events, extents, health) = derived;
            GpuView {
                gpu: Gpu {
                    index: Some(index),
                    identity: uuid.map(|uuid| Arc::new(identity(index, uuid))),
                },
                up,
                readings,
                parts,
                xids: Arc::new(xids),
                xids_in_window,
                clock_events,
                extents,
                health,
                calls: Arc::new(calls),
                last_success: None,
                counting_since: Some(started()),
                pass_duration,
                errors: Arc::new(
                    errors
                        .into_iter()
                        .map(|((field, reason), count)| ((FieldId(field), reason), count))
                        .collect(),
                ),
            }
        },
    )
}

/// Any parts, including duplicates.
fn any_part() -> impl Strategy<Value = PartView> {
    let instance = (0..3_u32, option::of(0..2_u32), select(vec!["", "1g.10gb", "2g.20gb"]));
    let instance = instance.prop_map(|(gpu_instance, compute_instance, profile)| {
        let (place, profile) = (gpu_instance, profile.into());
        let instance = Instance {
            gpu_instance,
            compute_instance,
            number: place,
            profile,
            mig_devices: Vec::new(),
        };
        Entity::Instance(Arc::new(instance))
    });
    let entity = prop_oneof![
        1 => Just(Entity::Gpu),
        2 => (0..3_u32).prop_map(Entity::Link),
        2 => (0..3_u32).prop_map(Entity::Peer),
        4 => instance,
    ];
    (entity, any_readings()).prop_map(|(entity, readings)| part(entity, readings))
}

/// Any parts of the machine, including duplicates and entities of GPUs.
fn any_part_beside_gpus() -> impl Strategy<Value = PartView> {
    let numbers = || (0..2_u32, 0..3_u32);
    let entity = prop_oneof![
        1 => select(vec![Entity::Gpu, Entity::Link(0), Entity::Peer(1)]),
        4 => (0..3_u32).prop_map(Entity::Switch),
        4 => numbers().prop_map(|(switch, link)| Entity::SwitchLink { switch, link }),
        4 => (0..3_u32).prop_map(Entity::Cpu),
        4 => numbers().prop_map(|(cpu, core)| Entity::CpuCore { cpu, core }),
    ];
    (entity, any_readings()).prop_map(|(entity, readings)| part(entity, readings))
}

/// Readings of a part, by position.
fn any_readings() -> impl Strategy<Value = Vec<(usize, Reading)>> {
    btree_map(0..11_usize, any_reading(), 0..6).prop_map(|readings| readings.into_iter().collect())
}

fn any_reading() -> impl Strategy<Value = Reading> {
    prop_oneof![
        any::<i64>().prop_map(int),
        (0..9_i64).prop_map(int),
        proptest::num::f64::ANY.prop_map(float),
        "[a-z0-9.]{0,6}".prop_map(|text| Ok(Value::Text(text.into()))),
        any_reason().prop_map(Err),
    ]
}

fn any_reason() -> impl Strategy<Value = Reason> {
    select(vec![Reason::NotServed, Reason::NotSupported, Reason::NoData, Reason::Failed])
}

fn any_clock_event() -> impl Strategy<Value = ClockEvent> {
    use proptest::num::f64::{INFINITE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    // Time is not negative.
    let seconds = option::of(POSITIVE | NORMAL | SUBNORMAL | ZERO | INFINITE);
    (option::of(any::<bool>()), seconds, 0..9_u64, 0..9_u64).prop_map(
        |(active, seconds, samples_in_window, begun)| ClockEvent {
            active,
            seconds,
            driver_counted: false,
            samples_in_window,
            begun,
        },
    )
}

fn any_extent() -> impl Strategy<Value = Extent> {
    let value = || proptest::num::f64::ANY;
    (select(Quantity::ALL.to_vec()), value(), value(), value(), any::<bool>()).prop_map(
        |(quantity, min, mean, max, from_driver)| Extent { quantity, min, mean, max, from_driver },
    )
}

fn any_health() -> impl Strategy<Value = Health> {
    let status = select(vec![HealthStatus::Pass, HealthStatus::Warn, HealthStatus::Fail]);
    (select(vec!["MEM", "PCIE", "ALL"]), status, select(vec!["", "DCGM_FR_X"]))
        .prop_map(|(subsystem, status, error)| Health { subsystem, status, error })
}

fn any_duration() -> impl Strategy<Value = Duration> {
    (0..1000_u64).prop_map(Duration::from_micros)
}

fn any_xids() -> impl Strategy<Value = XidLog> {
    let xid = |code| Xid {
        code,
        message: "It happened",
        class: "reset_gpu",
        action: "Reset.",
        critical: true,
    };
    let last = option::of(0..200_u32).prop_map(move |code| code.map(xid));
    let last_of_instances = btree_map(0..3_u32, (0..200_u32).prop_map(xid), 0..3);
    let time = option::of(any_duration().prop_map(|since| UNIX_EPOCH + since));
    let count = (0..200_u32, 0..4_u64, time).prop_map(move |(code, count, last)| XidCount {
        xid: xid(code),
        tally: Tally { count, born: last },
        last: last.map(|time| model::When { time, moment: model::Moment::BOOT }),
    });
    let counts = btree_map(select(vec![13, 48, 79, u32::MAX]), count, 0..4);
    let fault = (144..151_u32, select(vec!["", "RLW_CTRL"]), option::of(0..2_u32));
    let fault = fault.prop_map(|(code, unit, link)| LinkFault {
        code,
        unit: unit.into(),
        severity: "fatal",
        link,
    });
    let faults = btree_map(fault, (0..4_u64).prop_map(|count| Tally { count, born: None }), 0..4);
    (last.clone(), last, last_of_instances, counts, faults, any::<bool>()).prop_map(
        |(last, last_of_gpu, last_of_instances, counts, link_faults, listening)| XidLog {
            last,
            last_of_gpu,
            last_of_instances,
            critical: Tally { count: 1, born: None },
            counts: counts as BTreeMap<_, _>,
            link_faults,
            listening,
        },
    )
}
