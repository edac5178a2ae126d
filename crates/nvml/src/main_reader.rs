//! The reader that identifies a GPU and reads all of its ordinary fields.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use catalog::field;
use model::{
    FieldId, Identity, Pace, Pass, Reader, Reading, Readings, Reason, Rhythm, Value, Watch,
};

use crate::device::ask;
use crate::getters::{self, Decode, FIELD_GETTERS, FieldGetter, GETTERS, GPM_GETTERS, Getter};
use crate::gpm::Gpm;
use crate::{Code, Device, Library};

/// How often fields that were not supported are asked for again.
pub(crate) const ASK_ALL: Duration = Duration::from_secs(600);

/// Reads one GPU at every interval.
pub(crate) struct MainReader {
    library: Arc<Library>,
    index: u32,
    driver_version: Option<Arc<str>>,
    watches: Vec<usize>,
    /// Slots that show the driver's version.
    version_slots: Vec<usize>,
    calls: Vec<Planned<&'static Getter, (usize, usize)>>,
    fields: Vec<Planned<&'static FieldGetter, usize>>,
    gpm: Gpm,
    rates: Vec<Option<Total>>,
    entries: Vec<nvml_wrapper_sys::bindings::nvmlFieldValue_t>,
    device: Option<Device>,
    mig_enabled: Option<bool>,
    slot_fields: Vec<FieldId>,
    /// When everything was last asked for, supported or not.
    asked_all: Option<Instant>,
    /// What has been logged as not supported, so that it is said once.
    logged: BTreeSet<FieldId>,
}

/// A getter that somebody watches.
struct Planned<G, S> {
    getter: G,
    /// Where its readings go.
    slots: Vec<S>,
    slow: bool,
    /// Cleared at the first answer that says so; set again when the GPU is opened anew, when its MIG
    /// mode changes, and every [`ASK_ALL`].
    supported: bool,
}

/// A counter at a moment, for rates.
#[derive(Clone, Copy)]
struct Total {
    kibibytes: u64,
    at: Moment,
}

#[derive(Clone, Copy)]
enum Moment {
    /// The driver's own time stamp, µs.
    Driver(i64),
    /// Ours, where the driver gives none.
    Ours(Instant),
}

/// Hands out slots: one per watch that a reader serves.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) watches: Vec<usize>,
}

impl Plan {
    /// The slots of every watch on `field`, and whether all of them are slow.
    pub(crate) fn slots(&mut self, all: &[Watch], field: FieldId) -> (Vec<usize>, bool) {
        let mut slots = Vec::new();
        let mut slow = true;
        for (position, watch) in all.iter().enumerate().filter(|(_, watch)| watch.field == field) {
            slots.push(self.watches.len());
            self.watches.push(position);
            slow &= watch.pace == Pace::Slow;
        }
        (slots, slow)
    }
}

impl MainReader {
    pub(crate) fn new(
        library: Arc<Library>,
        index: u32,
        driver_version: Option<Arc<str>>,
        watches: &[Watch],
    ) -> Self {
        let mut plan = Plan::default();
        let (version_slots, _) = plan.slots(watches, field::DRIVER_VERSION);
        let mut calls = Vec::new();
        for getter in GETTERS {
            let mut slots = Vec::new();
            let mut slow = true;
            for (answer, field) in getter.fields.iter().enumerate() {
                let (of_field, field_slow) = plan.slots(watches, *field);
                slots.extend(of_field.into_iter().map(|slot| (answer, slot)));
                slow &= field_slow;
            }
            if !slots.is_empty() {
                calls.push(Planned { getter, slots, slow, supported: true });
            }
        }
        let mut fields = Vec::new();
        for getter in FIELD_GETTERS {
            let (slots, slow) = plan.slots(watches, getter.field);
            if !slots.is_empty() {
                fields.push(Planned { getter, slots, slow, supported: true });
            }
        }
        let mut metrics = Vec::new();
        for getter in GPM_GETTERS {
            let (slots, _) = plan.slots(watches, getter.field);
            if !slots.is_empty() {
                metrics.push((getter, slots));
            }
        }
        Self {
            gpm: Gpm::new(Arc::clone(&library), metrics),
            library,
            index,
            driver_version,
            asked_all: None,
            slot_fields: plan.watches.iter().map(|position| watches[*position].field).collect(),
            watches: plan.watches,
            version_slots,
            calls,
            rates: vec![None; fields.len()],
            fields,
            entries: Vec::new(),
            device: None,
            mig_enabled: None,
            logged: BTreeSet::new(),
        }
    }

    /// Takes back every "not supported" and every earlier sample: the GPU may be another than it
    /// was.
    fn start_afresh(&mut self) {
        self.calls.iter_mut().for_each(|call| call.supported = true);
        self.fields.iter_mut().for_each(|field| field.supported = true);
        self.rates.fill(None);
        self.gpm.start_afresh();
    }

    fn call_getters(
        &mut self,
        pass: Pass,
        out: &mut Readings,
        tally: &mut Tally,
    ) -> Result<(), Code> {
        let Some(device) = &self.device else { return Ok(()) };
        for call in &mut self.calls {
            if !call.supported || (call.slow && !pass.slow) {
                continue;
            }
            let answers = (call.getter.read)(device);
            match &answers {
                // A driver may know the slow ones by heart: they prove nothing of the GPU.
                Ok(_) => tally.answered |= !call.slow,
                Err(code) if code.is_about_the_gpu() => return Err(*code),
                Err(code) => tally.note(code.reason()),
            }
            if answers.as_ref().is_err_and(|code| code.reason() == Reason::NotSupported) {
                call.supported = false;
                tally.unsupported.extend(call.slots.iter().map(|(_, slot)| *slot));
            }
            for (answer, slot) in &call.slots {
                let reading = match &answers {
                    Ok(answers) => answers[*answer].clone(),
                    Err(code) => Err(code.reason()),
                };
                out.set(*slot, reading);
            }
        }
        Ok(())
    }

    fn read_field_values(
        &mut self,
        pass: Pass,
        out: &mut Readings,
        tally: &mut Tally,
    ) -> Result<(), Code> {
        let Some(device) = &self.device else { return Ok(()) };
        let due =
            |field: &Planned<&FieldGetter, usize>| field.supported && (pass.slow || !field.slow);
        self.entries.clear();
        for field in self.fields.iter().filter(|field| due(field)) {
            self.entries.extend(field.getter.entries.iter().map(|(id, scope)| ask(*id, *scope)));
        }
        if self.entries.is_empty() {
            return Ok(());
        }
        if let Err(code) = device.field_values(&mut self.entries) {
            if code.is_about_the_gpu() {
                return Err(code);
            }
            tally.note(code.reason());
            for field in self.fields.iter().filter(|field| due(field)) {
                field.slots.iter().for_each(|slot| out.set(*slot, Err(code.reason())));
            }
            return Ok(());
        }
        let read_at = Instant::now();
        let mut answers = &self.entries[..];
        for (field, rate) in self.fields.iter_mut().zip(&mut self.rates) {
            if !due(field) {
                continue;
            }
            let (mine, rest) = answers.split_at(field.getter.entries.len());
            answers = rest;
            let reading = match field.getter.decode {
                Decode::One(decode) => decode(&mine[0]),
                Decode::Rate(convert) => growth(mine, read_at, rate, convert),
            };
            match reading {
                Err(Reason::Lost) => return Err(Code::GPU_IS_LOST),
                Err(Reason::NotSupported) => {
                    field.supported = false;
                    tally.unsupported.extend(&field.slots);
                }
                Err(reason) => tally.note(reason),
                Ok(_) => tally.answered |= !field.slow,
            }
            for slot in &field.slots {
                out.set(*slot, reading.clone());
            }
        }
        Ok(())
    }

    /// MIG on or off changes what a GPU supports.
    fn notice_mig(&mut self) -> Result<(), Code> {
        let Some(device) = &self.device else { return Ok(()) };
        match device.mig_enabled() {
            Err(code) if code.is_about_the_gpu() => Err(code),
            Ok(enabled) => {
                if self.mig_enabled.replace(enabled).is_some_and(|before| before != enabled) {
                    self.start_afresh();
                }
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    /// Says once which fields this GPU does not have.
    fn log_unsupported(&mut self, slots: &[usize]) {
        let new: Vec<&str> = slots
            .iter()
            .map(|slot| self.slot_fields[*slot])
            .filter(|field| self.logged.insert(*field))
            .filter_map(|field| catalog::by_id(field).map(|row| row.name))
            .collect();
        if !new.is_empty() {
            tracing::info!(gpu = self.index, "not supported by this GPU: {}", new.join(", "));
        }
    }

    /// Whether a GPU that has answered nothing in this pass answers at all: perhaps only slow fields
    /// are watched, or only such as it does not have, or the one that is watched fails.
    fn feel_pulse(&self, failed: Option<Reason>) -> Result<(), Reason> {
        let Some(device) = &self.device else { return Err(Reason::Failed) };
        match device.temperature().map_err(Code::reason) {
            Ok(_) => Ok(()),
            Err(Reason::NotSupported | Reason::NoData) => failed.map_or(Ok(()), Err),
            Err(reason) => Err(reason),
        }
    }

    fn read_all(&mut self, pass: Pass, out: &mut Readings, tally: &mut Tally) -> Result<(), Code> {
        if pass.slow {
            self.notice_mig()?;
            // What a GPU supports may change without a sign: links that come up, instances of MIG.
            if self.asked_all.is_none_or(|at| pass.now - at > ASK_ALL) {
                self.asked_all = Some(pass.now);
                self.calls.iter_mut().for_each(|call| call.supported = true);
                self.fields.iter_mut().for_each(|field| field.supported = true);
                self.gpm.ask_again();
            }
        }
        self.call_getters(pass, out, tally)?;
        self.read_field_values(pass, out, tally)?;
        if let Some(device) = &self.device {
            self.gpm.read(device, pass.interval, out, tally)?;
        }
        Ok(())
    }
}

impl Reader for MainReader {
    fn rhythm(&self) -> Rhythm {
        Rhythm::Main
    }

    fn watches(&self) -> &[usize] {
        &self.watches
    }

    fn open(&mut self) -> Result<Option<Arc<Identity>>, Reason> {
        self.device = None;
        self.mig_enabled = None;
        self.start_afresh();
        let index = self.index;
        let open = || -> Result<(Device, Identity), Code> {
            let device = Device::by_index(&self.library, index)?;
            let identity = device.identity(index)?;
            Ok((device, identity))
        };
        let (device, identity) = open().map_err(|code| {
            tracing::debug!(gpu = index, "cannot be opened: {code}");
            // "Not supported" and "no data" are said of fields; a GPU that cannot be had is failing.
            match code.reason() {
                Reason::NotSupported | Reason::NoData => Reason::Failed,
                reason => reason,
            }
        })?;
        self.device = Some(device);
        Ok(Some(Arc::new(identity)))
    }

    fn read(&mut self, pass: Pass, out: &mut Readings) -> Result<(), Reason> {
        let mut tally = Tally::default();
        let result = self.read_all(pass, out, &mut tally);
        if !tally.unsupported.is_empty() {
            self.log_unsupported(&tally.unsupported);
            // MIG may have been switched on since the last slow pass. Unless that is known now, the
            // next slow pass would see nothing change if it is off again by then.
            self.mig_enabled = self.device.as_ref().and_then(|device| device.mig_enabled().ok());
        }
        result.map_err(|code| {
            tracing::debug!(gpu = self.index, "stopped answering: {code}");
            code.reason()
        })?;
        for slot in &self.version_slots {
            let version = self.driver_version.clone().map(Value::Text);
            out.set(*slot, version.ok_or(Reason::Failed));
        }
        if tally.answered { Ok(()) } else { self.feel_pulse(tally.failed) }
    }
}

/// What a pass met.
#[derive(Default)]
pub(crate) struct Tally {
    /// Whether the GPU itself was asked for something and answered.
    pub(crate) answered: bool,
    /// The first failure that was not "not supported" or "no data".
    failed: Option<Reason>,
    /// Slots that turned out not to be supported.
    pub(crate) unsupported: Vec<usize>,
}

impl Tally {
    /// Notes a call that brought no value. "Not supported" may be the library's own knowledge, so
    /// it proves nothing of the GPU either way.
    pub(crate) fn note(&mut self, reason: Reason) {
        if !matches!(reason, Reason::NotSupported | Reason::NoData) {
            self.failed = self.failed.or(Some(reason));
        }
    }
}

/// The rate at which the sum of `entries` grew since the last pass.
fn growth(
    entries: &[nvml_wrapper_sys::bindings::nvmlFieldValue_t],
    now: Instant,
    last: &mut Option<Total>,
    convert: fn(u64, u64) -> Reading,
) -> Reading {
    let mut kibibytes = 0u64;
    for entry in entries {
        kibibytes = kibibytes.wrapping_add(getters::unsigned(entry)?);
    }
    let at = match entries[0].timestamp {
        0 => Moment::Ours(now),
        stamp => Moment::Driver(stamp),
    };
    let before = last.replace(Total { kibibytes, at });
    let Some(before) = before else { return Err(Reason::NoData) };
    let micros = match (before.at, at) {
        (Moment::Driver(then), Moment::Driver(now)) => {
            now.checked_sub(then).and_then(|micros| u64::try_from(micros).ok()).unwrap_or(0)
        }
        (Moment::Ours(then), Moment::Ours(now)) => (now - then).as_micros() as u64,
        _ => 0,
    };
    // A counter that fell was reset: there is no rate across that.
    match kibibytes.checked_sub(before.kibibytes) {
        Some(grown) if micros > 0 => convert(grown, micros),
        _ => Err(Reason::NoData),
    }
}
