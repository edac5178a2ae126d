//! The page of a past moment: which families recorded signals have there, and the series of each GPU.
//!
//! A snapshot is built from what was recorded of a GPU and rendered once; names and labels are taken from
//! the result, so that they are those of the page.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use exposition::{Format, HolderSettings, Layout, Settings, Show, past};
use history::event::HolderInfo;
use history::layout::{GpuInfo, HostInfo, SignalInfo};
use history::signal::{DOWN_REASONS, From};
use model::catalog::builtin::Set;
use model::catalog::{self, Generation, Level, generation, xid};
use model::{
    Attribution, CLOCK_REASONS, ClockEvent, DeviceKey, DeviceUse, Down, Entity, FieldId, Gpu,
    GpuKey, GpuView, HistoryView, Holder, Identity, Kind, Moment, Pace, PartView, Pod, Process,
    Snapshot, SourceView, Tally, Value, Watch, WatchIndex, When, Windows, XidCount, XidLog,
    XidSource, field,
};

use super::counts::{Count, REASONS};

/// Series of a family of the page.
#[derive(Clone, Debug)]
pub(super) struct Family {
    /// Its name on the page. Several may have the same, one after the other: each is a part of that family.
    pub(super) name: Arc<str>,
    /// Its HELP and TYPE lines.
    pub(super) head: String,
    /// Where its values come from.
    pub(super) origin: Origin,
}

/// Where values come from.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Origin {
    /// A signal with this name.
    Signal(String, Sample),
    /// Events and rows, from which they are counted.
    Count(Count),
    /// 1 for each holder of a GPU.
    Holder,
}

impl Origin {
    /// Whether the values are of the machine; else they are of each GPU.
    pub(super) fn is_of_machine(&self) -> bool {
        match self {
            Self::Count(Count::Meaning(_) | Count::XidSource | Count::LastIncident) => true,
            Self::Count(
                Count::Xids(_) | Count::LastXid(_) | Count::CriticalXids | Count::Reason(_),
            )
            | Self::Signal(..)
            | Self::Holder => false,
        }
    }

    /// The state in which the page has the series of a value; `None` for a value that is not known.
    pub(super) fn state(&self, value: f64) -> Option<State> {
        match self {
            Self::Signal(_, sample) => State::of(*sample, value),
            Self::Count(count) => Some(count.code().map_or(State::Up, State::Xid)),
            Self::Holder => Some(State::Up),
        }
    }
}

/// How a recorded value is the value of a sample.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Sample {
    /// It is.
    Same,
    /// Multiplied, because the family has a smaller unit.
    Times(f64),
    /// Divided, because the family has a larger unit.
    Over(f64),
    /// The code of an XID, which labels of the series repeat.
    Xid,
    /// 1, because a label of the series has the value.
    DownReason,
}

impl Sample {
    /// The value of a sample.
    pub(super) fn value(self, recorded: f64) -> f64 {
        match self {
            Self::Same | Self::Xid => recorded,
            Self::Times(factor) => recorded * factor,
            Self::Over(divisor) => recorded / divisor,
            Self::DownReason => 1.0,
        }
    }
}

/// The state of a GPU that labels depend on, besides who it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum State {
    /// It answers.
    Up,
    /// Its last XID has this code.
    Xid(u32),
    /// It is down for this reason.
    Down(Down),
}

impl State {
    /// The state in which a family has the series of this value; `None` for a value that is not known.
    fn of(sample: Sample, recorded: f64) -> Option<Self> {
        match sample {
            Sample::Same | Sample::Times(_) | Sample::Over(_) => Some(Self::Up),
            Sample::Xid => Some(Self::Xid(code(recorded)?)),
            Sample::DownReason => {
                DOWN_REASONS.get(code(recorded)? as usize).copied().map(Self::Down)
            }
        }
    }
}

/// The code that a number stands for; `None` for what is none, as in a damaged recording.
fn code(recorded: f64) -> Option<u32> {
    let code = recorded as u32;
    (f64::from(code) == recorded).then_some(code)
}

/// The page, with the families of some signals only.
pub(super) struct PastPage {
    watches: Arc<[Watch]>,
    layout: Layout,
    host_label: &'static str,
    /// Labels to add.
    more: Vec<(String, String)>,
    families: Vec<Family>,
}

/// Signals that are a family of heatsink's own, or are no reading of a field.
const DERIVED: [(&str, FieldId); 5] = [
    ("up", field::GPU_UP),
    ("down_reason", field::GPU_DOWN_INFO),
    ("slowdown", field::GPU_SLOWDOWN_RATIO),
    ("links_active", field::NVLINKS_ACTIVE),
    ("xid", field::XID_ERRORS),
];

/// Fields that the families above are made from.
const INPUTS: [FieldId; 4] = [
    field::SM_CLOCK,
    field::SM_CLOCK_HERTZ,
    field::MAX_SM_CLOCK_OF_PSTATE,
    field::NVLINK_GET_STATE,
];

/// The field that a signal is on the page; `None` if it is on no page.
fn field_of(signal: &SignalInfo) -> Option<FieldId> {
    if let Some((_, field)) = DERIVED.iter().find(|(name, _)| *name == signal.name) {
        return Some(*field);
    }
    match signal.signal().filter(|known| known.name == signal.name)?.from {
        // The page has a field of a link once for each link, and a recording has it of the GPU.
        From::Field(field) | From::FieldIfWatched(field) => {
            let level = catalog::by_id(field)?.level;
            matches!(level, Level::Gpu | Level::GpuInstance | Level::ComputeInstance)
                .then_some(field)
        }
        _ => None,
    }
}

/// The row that a page has for a field: a field with two names has one of them in each set.
fn watch_of(field: FieldId) -> Option<Watch> {
    let sets = [Set::Health, Set::Default, Set::Monitoring, Set::All].into_iter();
    let mut rows = sets.flat_map(Set::watches);
    rows.find(|watch| watch.field == field).or_else(|| Some(catalog::by_id(field)?.watch()))
}

/// The label rows of a page under the names of a generation.
fn label_rows(names: Generation) -> Vec<Watch> {
    let rows = Set::Default.watches().into_iter().filter(|watch| watch.kind == Kind::Label);
    generation::rename(rows.collect(), names)
}

/// The names of these labels.
pub(super) fn names_of_label_rows(names: Generation) -> Vec<String> {
    label_rows(names).iter().map(|row| row.name.to_string()).collect()
}

impl PastPage {
    /// The page of these signals and XIDs under the names of a generation, with more labels on each series.
    pub(super) fn new(
        signals: &[SignalInfo],
        xid_codes: &BTreeSet<u32>,
        names: Generation,
        more: Vec<(String, String)>,
    ) -> Self {
        let mut families = Vec::new();
        let mut watches: Vec<Watch> = Vec::new();
        let family = |watch: &Watch, origin| {
            let name = Arc::clone(&watch.name);
            Family { name, head: String::new(), origin }
        };
        for signal in signals.iter().filter(|signal| !signal.is_of_host) {
            let Some(watch) = field_of(signal).and_then(watch_of) else { continue };
            let recorded = watch.field;
            // The built-in types come with a row that 4.9 added: it is not recorded.
            let mut served = generation::builtin_types(vec![watch], names);
            served.retain(|watch| watch.field == recorded);
            for watch in generation::rename(served, names) {
                let Some(sample) = sample_of(recorded, watch.field) else { continue };
                if watches.iter().any(|known| known.name == watch.name) {
                    continue;
                }
                families.push(family(&watch, Origin::Signal(signal.name.clone(), sample)));
                watches.push(watch);
            }
        }
        for (field, origins) in counted(signals, xid_codes) {
            for watch in generation::rename(watch_of(field).into_iter().collect(), names) {
                families.extend(origins.iter().map(|origin| family(&watch, origin.clone())));
                watches.push(watch);
            }
        }
        watches.extend(label_rows(names));
        watches.extend(INPUTS.map(hidden));
        let watches: Arc<[Watch]> = watches.into();
        let layout = Layout::new(&watches, Format::OpenMetrics);
        for (watch, head) in layout.heads() {
            for family in families.iter_mut().filter(|family| family.name == watch.name) {
                head.clone_into(&mut family.head);
            }
        }
        Self { watches, layout, host_label: names.host_label(), more, families }
    }

    /// The families, in the order of the signals.
    pub(super) fn families(&self) -> &[Family] {
        &self.families
    }

    /// The series of a GPU and of the machine, without values, by the name of their family: several where
    /// several jobs have the GPU.
    pub(super) fn series(
        &self,
        host: &HostInfo,
        gpu: &GpuInfo,
        holders: &[HolderInfo],
        state: State,
    ) -> SeriesByName {
        let snapshot = self.snapshot(host, gpu, state);
        let settings = Settings {
            hostname: host.hostname.as_deref().map(Arc::from),
            host_label: self.host_label,
            old_namespace: false,
            show: Show::default(),
            holders: HolderSettings::default(),
            version: env!("CARGO_PKG_VERSION"),
            rows_skipped: 0,
            is_reloaded: true,
            reloaded_at: None,
            replace_blanks_in_model_name: false,
            expected_gpus: None,
            labels_since: None,
            connections_closed: 0,
            history: Some(Arc::new(HistoryView {
                last_incident: Some(SystemTime::UNIX_EPOCH),
                ..HistoryView::default()
            })),
        };
        let attribution = attribution(gpu, holders);
        let found =
            past::series(&snapshot, Some(&attribution), &settings, &self.layout, &self.more);
        SeriesByName(found.into_iter().collect())
    }

    /// The machine with this GPU alone, in which every reading has a value.
    fn snapshot(&self, host: &HostInfo, gpu: &GpuInfo, state: State) -> Snapshot {
        let reading = |watch: &Watch| match (watch.kind, &host.driver_version) {
            (Kind::Label, Some(version)) if watch.field == field::DRIVER_VERSION => {
                Ok(Value::Text(version.as_str().into()))
            }
            (Kind::Label, _) => Err(model::Reason::NoData),
            _ => Ok(Value::Int(1)),
        };
        let links = WatchIndex::enumerate(&self.watches)
            .filter(|(_, watch)| watch.field == field::NVLINK_GET_STATE)
            .map(|(index, _)| index);
        let links: Arc<[WatchIndex]> = links.collect();
        let link = PartView {
            entity: Entity::Link(0),
            readings: vec![Ok(Value::Int(1)); links.len()],
            watches: links,
        };
        let last = match state {
            State::Xid(0) => Some(model::Xid::NONE),
            State::Xid(code) => Some(xid::lookup(code)),
            State::Up | State::Down(_) => None,
        };
        let counts = last.map(|xid| {
            let at = When { time: SystemTime::UNIX_EPOCH, moment: Moment::BOOT };
            (xid.code, XidCount { xid, tally: Tally { count: 1, born: None }, last: Some(at) })
        });
        let counts = BTreeMap::from_iter(counts);
        let view = GpuView {
            gpu: Gpu { index: gpu.index, identity: identity(gpu).map(Arc::new) },
            up: match state {
                State::Down(reason) => Err(reason),
                State::Up | State::Xid(_) => Ok(()),
            },
            readings: self.watches.iter().map(reading).collect(),
            parts: vec![link],
            xids: Arc::new(XidLog { last, counts, listening: true, ..XidLog::default() }),
            xids_in_window: Vec::new(),
            clock_events: [ClockEvent { seconds: Some(0.0), ..ClockEvent::default() };
                CLOCK_REASONS.len()],
            extents: Vec::new(),
            health: Vec::new(),
            calls: Arc::default(),
            last_success: None,
            pass_duration: None,
            errors: Arc::default(),
            counting_since: None,
        };
        Snapshot {
            watches: Arc::clone(&self.watches),
            gpus: vec![view],
            machine: Vec::new(),
            source: SourceView {
                name: "",
                up: Ok(()),
                driver_version: host.driver_version.as_deref().map(Arc::from),
                needs_restart: None,
            },
            xid_source: host.xid_source.as_deref().and_then(XidSource::parse),
            driver_log: None,
            reader_restarts: 0,
            process: Process { cpu: None, resident_bytes: None, started: SystemTime::UNIX_EPOCH },
            counting_since: None,
            windows: Windows {
                extents: Duration::ZERO,
                xids: Duration::ZERO,
                clock_events: Duration::ZERO,
            },
            good_until: Moment::BOOT,
        }
    }
}

/// Series without values, by the name of their family.
pub(super) struct SeriesByName(HashMap<Arc<str>, Vec<String>>);

impl SeriesByName {
    /// Those of a family.
    pub(super) fn of(&self, family: &Family) -> &[String] {
        let series = self.0.get(&family.name).map(Vec::as_slice).unwrap_or_default();
        match family.origin {
            // The page has all reasons, in their order.
            Origin::Count(Count::Reason(place)) => series.get(place..=place).unwrap_or_default(),
            _ => series,
        }
    }
}

/// The families whose values are no signal.
fn counted(signals: &[SignalInfo], xid_codes: &BTreeSet<u32>) -> Vec<(FieldId, Vec<Origin>)> {
    let of_codes = |count: fn(u32) -> Count| -> Vec<Origin> {
        xid_codes.iter().map(|code| Origin::Count(count(*code))).collect()
    };
    let has_reasons = signals.iter().any(|signal| signal.name == REASONS);
    let reasons = (0..CLOCK_REASONS.len()).filter(|_| has_reasons);
    vec![
        (field::GPU_HOLDER_INFO, vec![Origin::Holder]),
        (
            field::CLOCK_EVENT_SECONDS_TOTAL,
            reasons.map(|place| Origin::Count(Count::Reason(place))).collect(),
        ),
        (field::XID_ERRORS_TOTAL, of_codes(Count::Xids)),
        (field::XID_CRITICAL_ERRORS_TOTAL, vec![Origin::Count(Count::CriticalXids)]),
        (field::XID_LAST_TIMESTAMP_SECONDS, of_codes(Count::LastXid)),
        (field::XID_INFO, of_codes(Count::Meaning)),
        (field::XID_SOURCE_INFO, vec![Origin::Count(Count::XidSource)]),
        (field::LAST_INCIDENT_TIMESTAMP_SECONDS, vec![Origin::Count(Count::LastIncident)]),
    ]
}

/// A field that is only read.
fn hidden(field: FieldId) -> Watch {
    Watch {
        field,
        name: format!("hidden_{field}").into(),
        kind: Kind::Hidden,
        help: "".into(),
        pace: Pace::Every,
        cumulative: false,
    }
}

/// How values of a recorded field become values of a family; `None` if that is not known.
fn sample_of(recorded: FieldId, served: FieldId) -> Option<Sample> {
    match served {
        field::XID_ERRORS => return Some(Sample::Xid),
        field::GPU_DOWN_INFO => return Some(Sample::DownReason),
        _ if served == recorded => return Some(Sample::Same),
        _ => {}
    }
    let unit = |field| catalog::by_id(field).map(|row| row.unit);
    match (unit(recorded)?, unit(served)?) {
        ("MiB", "B") => Some(Sample::Times(f64::from(1 << 20))),
        ("MHz", "Hz") => Some(Sample::Times(1e6)),
        ("%", "ratio") => Some(Sample::Over(100.0)),
        ("1000 KiB/s", "B/s") => Some(Sample::Times(1_024_000.0)),
        ("mJ", "J") => Some(Sample::Over(1000.0)),
        (one, other) => (one == other).then_some(Sample::Same),
    }
}

/// What the page knows of a GPU; `None` if that is only its index, as before it first answers.
fn identity(gpu: &GpuInfo) -> Option<Identity> {
    let is_known = gpu.uuid.is_some() || gpu.pci_bus_id.is_some() || gpu.model_name.is_some();
    is_known.then(|| Identity {
        index: gpu.index,
        uuid: gpu.uuid.clone(),
        pci_bus_id: gpu.pci_bus_id.clone(),
        model_name: gpu.model_name.clone(),
        minor: gpu.minor,
    })
}

/// The holders of this GPU as a page gets them.
fn attribution(gpu: &GpuInfo, holders: &[HolderInfo]) -> Attribution {
    let key = match (&gpu.uuid, gpu.index) {
        (Some(uuid), _) => Some(DeviceKey::uuid(uuid)),
        (None, Some(index)) => Some(DeviceKey::whole(GpuKey::Index(index))),
        (None, None) => None,
    };
    let used = holders.iter().map(|holder| DeviceUse {
        holder: Arc::new(match holder {
            HolderInfo::Pod { namespace, pod, container, uid } => Holder::Pod(Pod {
                namespace: namespace.as_str().into(),
                name: pod.as_str().into(),
                container: container.as_str().into(),
                uid: uid.as_deref().map(Arc::from),
                ..Pod::default()
            }),
            HolderInfo::Job { id } => Holder::Job { id: id.as_str().into() },
        }),
        compute_instance: None,
        share: None,
    });
    Attribution {
        uses: key.into_iter().map(|key| (key, used.clone().collect())).collect(),
        allocatable: None,
        is_complete: true,
        refreshers: Vec::new(),
        pod_labels_cut: None,
        good_until: Moment::BOOT,
    }
}

#[cfg(test)]
mod tests {
    use super::super::labels;
    use super::*;

    /// The names of the labels of a series whose values have no `="`.
    fn labels_of(series: &str) -> Vec<&str> {
        let parts: Vec<&str> = series.split("=\"").collect();
        let names = parts.iter().take(parts.len() - 1);
        names.filter_map(|part| part.rsplit(['{', ',']).next()).collect()
    }

    #[test]
    fn numbers_that_are_no_code_have_no_state() {
        for sample in [Sample::Xid, Sample::DownReason] {
            for recorded in [-1.0, 0.5, 1e12, f64::NAN] {
                assert_eq!(State::of(sample, recorded), None, "{sample:?} {recorded}");
            }
        }
        assert_eq!(State::of(Sample::Xid, 79.0), Some(State::Xid(79)));
        assert_eq!(State::of(Sample::DownReason, 1.0), Some(State::Down(Down::Lost)));
        assert_eq!(State::of(Sample::DownReason, 99.0), None);
    }

    #[test]
    fn every_field_that_4_9_has_in_another_unit_is_converted() {
        for pair in generation::pairs() {
            let sample = sample_of(pair.v4_8.field, pair.v4_9.field);
            assert!(sample.is_some(), "{pair:?}");
        }
    }

    #[test]
    fn names_are_those_of_the_default_page_or_of_another_set() {
        let signals: Vec<SignalInfo> =
            history::signal::SIGNALS.iter().map(SignalInfo::from).collect();
        let names = |set: Set| -> Vec<Arc<str>> {
            set.watches().into_iter().map(|watch| watch.name).collect()
        };
        let pages = [Set::Default, Set::Health, Set::Monitoring, Set::All].map(names);
        let fields = Set::Default.watches();
        let page = PastPage::new(&signals, &BTreeSet::from([79]), Generation::V4_8, Vec::new());
        for Family { name, origin, .. } in page.families() {
            assert!(pages.iter().any(|page| page.contains(name)), "{name}");
            let Origin::Signal(signal, _) = origin else { continue };
            let field = signals.iter().find(|known| known.name == *signal).and_then(field_of);
            if fields.iter().any(|watch| Some(watch.field) == field) {
                assert!(pages[0].contains(name), "{name}");
            }
        }
        assert!(pages[0].iter().any(|name| **name == *"DCGM_FI_DEV_CLOCK_THROTTLE_REASONS"));
    }

    #[test]
    fn every_signal_of_a_field_of_gpus_is_a_family_in_each_generation() {
        let signals: Vec<SignalInfo> =
            history::signal::SIGNALS.iter().map(SignalInfo::from).collect();
        for names in Generation::ALL {
            let page = PastPage::new(&signals, &BTreeSet::from([48, 79]), names, Vec::new());
            let host =
                HostInfo { xid_source: Some("kernel_log".to_owned()), ..HostInfo::default() };
            let gpu =
                GpuInfo { index: Some(0), uuid: Some("GPU-0".to_owned()), ..GpuInfo::default() };
            let holders = [HolderInfo::Job { id: "4711".to_owned() }];
            let up = page.series(&host, &gpu, &holders, State::Up);
            let xid = page.series(&host, &gpu, &holders, State::Xid(79));
            let down = page.series(&host, &gpu, &holders, State::Down(Down::Lost));
            for family in page.families() {
                let Family { name, head, origin } = family;
                assert!(head.starts_with("# HELP "), "{name}");
                let series = match origin {
                    Origin::Signal(_, Sample::DownReason) => &down,
                    Origin::Signal(_, Sample::Xid) => &xid,
                    Origin::Count(count) if count.code().is_some() => &xid,
                    _ => &up,
                };
                let [one] = series.of(family) else { panic!("{name}: {origin:?}") };
                assert_eq!(one.contains("gpu=\"0\""), !origin.is_of_machine(), "{one}");
                for label in labels_of(one) {
                    let typed = [format!("{label}=x")];
                    let added = labels::parse(&typed, &names_of_label_rows(names));
                    assert!(added.is_err(), "{label} is already in {one}");
                }
                if let Origin::Count(Count::Reason(place)) = origin {
                    let reason = CLOCK_REASONS[*place].name;
                    assert!(one.contains(&format!("reason=\"{reason}\"")), "{one}");
                }
            }
            for signal in &signals {
                let is_of = |family: &Family| matches!(&family.origin, Origin::Signal(name, _) if *name == signal.name);
                let has = page.families().iter().any(is_of);
                assert_eq!(has, field_of(signal).is_some() && !signal.is_of_host, "{signal:?}");
            }
        }
    }
}
