//! The reader that identifies a GPU and reads all of its ordinary fields, with its links and its
//! instances.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::field;
use model::{
    Entity, FieldId, Identity, Moment, Pace, PartIndex, Pass, Reader, ReaderKind, Reading,
    Readings, Reason, Samples, SlotIndex, Watch, WatchIndex,
};

use crate::call_times::CallTimes;
use crate::calls::Calls;
use crate::facts::Facts;
use crate::field_table::{self, LINK_TABLE};
use crate::field_values::FieldValues;
use crate::getters::{ERRORS_OF_LINK, GETTERS, LINK_ERRORS, PCIE_GETTERS};
use crate::gpm::{Gpm, Request, Whole};
use crate::gpm_table::{self, GPM_OF_LINK, LINK_UNIT};
use crate::instances::Instances;
use crate::links;
use crate::peers;
use crate::plan::{Paces, Plan, Sink, Target, TargetPart};
use crate::prm::{PRM_TABLE, Prm};
use crate::round::{Round, Tally};
use crate::samples::DriverSamples;
use crate::{Code, Device, Library, Options};

/// How many fields that a GPU does not have are named in one line of the log.
const MOST_NAMED: usize = 10;

/// How often fields that were not supported are asked for again.
pub(crate) const ASK_ALL: Duration = Duration::from_secs(600);

/// How often instances are looked for while MIG is on.
const LOOK_FOR_INSTANCES: Pace = Pace::At(Duration::from_secs(1));

/// A reading that does not change, and where it goes.
struct Fact {
    reading: Reading,
    targets: Vec<Target>,
    turns: u64,
}

/// Reads one GPU at every interval.
pub(crate) struct MainReader {
    index: u32,
    library: Arc<Library>,
    driver_version: Option<Arc<str>>,
    plan: Plan,
    link_plan: Plan,
    paces: Paces,
    facts: Vec<Fact>,
    calls: Calls,
    fields: FieldValues,
    gpm: Gpm,
    prm: Prm,
    request: Request,
    samples: DriverSamples,
    /// How many calls, field values and metrics are of the GPU itself; those of links follow.
    own: [usize; 3],
    /// How many NVLinks it has.
    links: u32,
    instances: Instances,
    /// The part of the readings for each [`TargetPart`].
    parts: Vec<PartIndex>,
    times: CallTimes,
    device: Option<Device>,
    mig_enabled: Option<bool>,
    /// Whether no pass has been made since the GPU was opened.
    fresh: bool,
    /// When everything was last asked for, supported or not.
    asked_all: Option<Moment>,
    /// What has been logged as not supported, so that it is said once.
    logged: BTreeSet<FieldId>,
}

impl MainReader {
    pub(crate) fn new(
        library: Arc<Library>,
        index: u32,
        facts: &Facts,
        options: &Options,
        watches: &[Watch],
    ) -> Self {
        let plan = Plan::of(watches, is_mine);
        let (mut paces, mut times) = (Paces::new(), CallTimes::default());
        let version = facts.driver_version();
        let driver = version.as_deref();
        let mut all_facts = facts.readings();
        let mut calls = Calls::default();
        for getter in GETTERS {
            calls.add(getter, &mut times, |field| {
                plan.targets(field, TargetPart::ITSELF, &mut paces)
            });
        }
        for row in &LINK_ERRORS {
            let targets = plan.targets(row.field, TargetPart::ITSELF, &mut paces);
            calls.add_link_errors(row, 0, &mut times, targets);
        }
        let mut fields = FieldValues::new(&mut times);
        for row in field_table::rows() {
            let targets = plan.targets(row.field, TargetPart::ITSELF, &mut paces);
            if fields.add(row, 0, driver, targets).is_err() {
                all_facts.push((row.field, Err(Reason::NotSupported)));
            }
        }
        let mut gpm = Gpm::new(Arc::clone(&library), Whole::Device);
        for row in gpm_table::rows() {
            let targets = plan.targets(row.field, TargetPart::ITSELF, &mut paces);
            gpm.add(row.field, row.metric, row.unit, targets);
        }
        let facts = all_facts.into_iter().map(|(field, reading)| {
            let (targets, turns) = plan.targets(field, TargetPart::ITSELF, &mut paces);
            Fact { reading, targets, turns }
        });
        Self {
            index,
            driver_version: version.clone(),
            facts: facts.collect(),
            own: [calls.len(), fields.len(), gpm.len()],
            calls,
            fields,
            gpm,
            prm: Prm::new(&mut times),
            request: Request::new(&mut times),
            samples: DriverSamples::new(watches, &mut times),
            links: 0,
            link_plan: Plan::of(watches, links::is_of_link),
            instances: Instances::new(options, index, watches, &mut paces),
            plan,
            paces,
            library,
            parts: Vec::new(),
            times,
            device: None,
            mig_enabled: None,
            fresh: true,
            asked_all: None,
            logged: BTreeSet::new(),
        }
    }

    /// Takes back every "not supported".
    fn ask_again(&mut self) {
        self.calls.ask_again();
        self.fields.ask_again();
        self.gpm.ask_again();
        self.prm.ask_again();
        self.samples.ask_again();
        self.instances.ask_again();
    }

    /// Takes back every "not supported" and every earlier sample: the GPU may be another than it
    /// was.
    fn start_afresh(&mut self) {
        self.ask_again();
        self.fields.forget_totals();
        self.gpm.start_afresh();
    }

    /// MIG on or off changes what a GPU supports.
    fn notice_mig(&mut self, device: &Device, out: &mut Readings) -> Result<(), Code> {
        match device.mig_enabled() {
            Err(code) if code.is_about_the_gpu() => Err(code),
            Ok(enabled) => {
                if self.mig_enabled.replace(enabled).is_some_and(|before| before != enabled) {
                    self.start_afresh();
                }
                if !enabled {
                    self.instances.clear();
                    self.instances.retain(out);
                }
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    /// Instances that came or went.
    fn notice_instances(
        &mut self,
        device: &Device,
        thoroughly: bool,
        out: &mut Readings,
    ) -> Result<(), Code> {
        let (paces, times) = (&mut self.paces, &mut self.times);
        if self.instances.look(device, thoroughly, paces, times)? {
            self.instances.retain(out);
            self.start_afresh();
        }
        Ok(())
    }

    /// Links that the driver did not know of before.
    fn notice_links(&mut self, device: &Device, out: &mut Readings) -> Result<(), Code> {
        if self.link_plan.watches.is_empty() {
            return Ok(());
        }
        let Some(links) = links::count(device)? else {
            // Looked for again at the next slow pass.
            self.asked_all = None;
            return Ok(());
        };
        if links == 0 {
            // Of the GPU itself these fields have no value either way.
            let slots = SlotIndex::all(self.plan.watches.len()).zip(&*self.plan.watches);
            for (slot, _) in slots.filter(|(_, watch)| self.link_plan.watches.contains(watch)) {
                out.set(slot, Err(Reason::NotSupported));
            }
        }
        if links == self.links {
            return Ok(());
        }
        self.links = links;
        let [calls, fields, metrics] = self.own;
        self.calls.truncate(calls);
        self.fields.truncate(fields);
        self.gpm.truncate(metrics);
        self.prm.clear();
        let (plan, paces) = (&self.link_plan, &mut self.paces);
        for link in 0..links {
            let part = TargetPart(1 + link as usize);
            for row in &ERRORS_OF_LINK {
                let targets = plan.targets(row.field, part, paces);
                self.calls.add_link_errors(row, link, &mut self.times, targets);
            }
            for row in LINK_TABLE {
                let targets = plan.targets(row.field, part, paces);
                // Their numbers do not depend on the driver.
                let _ = self.fields.add(row, link, self.driver_version.as_deref(), targets);
            }
            for (field, metric) in &GPM_OF_LINK {
                let targets = plan.targets(*field, part, paces);
                self.gpm.add(*field, metric(link), LINK_UNIT, targets);
            }
            for row in PRM_TABLE {
                self.prm.add(row, link, plan.targets(row.0, part, paces));
            }
        }
        out.retain(|entity| !matches!(entity, Entity::Link(link) if *link >= links));
        self.calls.fit();
        self.fields.fit();
        self.gpm.fit();
        Ok(())
    }

    /// What may have changed since the last pass in what there is to read.
    fn look_around(
        &mut self,
        device: &Device,
        pass: &Pass,
        out: &mut Readings,
    ) -> Result<(), Code> {
        let slow = pass.is_due(Pace::Slow);
        if slow {
            self.notice_mig(device, out)?;
            // What a GPU supports may change without a sign, such as links that come up.
            if self.asked_all.is_none_or(|at| pass.now - at > ASK_ALL) {
                self.asked_all = Some(pass.now);
                self.ask_again();
                self.notice_links(device, out)?;
            }
        }
        if self.mig_enabled == Some(true) && (slow || pass.is_due(LOOK_FOR_INSTANCES)) {
            self.notice_instances(device, slow, out)?;
        }
        Ok(())
    }

    fn read_all(
        &mut self,
        device: &Device,
        pass: Pass,
        out: &mut Readings,
        tally: &mut Tally,
    ) -> Result<(), Code> {
        if std::mem::take(&mut self.fresh) {
            out.forget_slower();
        }
        self.look_around(device, &pass, out)?;
        self.parts.clear();
        self.parts.push(PartIndex::GPU);
        for link in 0..self.links {
            self.parts.push(out.part(&Entity::Link(link), &self.link_plan.watches));
        }
        let mut round = Round {
            gpu: self.index,
            pass,
            due: self.paces.due(&pass),
            paces: &self.paces,
            times: &mut self.times,
            sink: Sink { out, parts: &self.parts },
            tally,
        };
        for fact in self.facts.iter().filter(|fact| fact.turns & round.due != 0) {
            round.sink.set(&fact.targets, &fact.reading);
        }
        self.calls.read(device, &mut round)?;
        self.fields.read(device, &mut round)?;
        self.gpm.read(device, &mut self.request, &mut round)?;
        self.prm.read(device, &mut round)?;
        self.instances.read(device, &mut self.request, &mut round)?;
        self.samples.read(device, &mut round)
    }

    /// Says once which fields this GPU does not have.
    fn log_unsupported(&mut self, fields: &[FieldId]) {
        let new: Vec<&str> = fields
            .iter()
            .filter(|field| self.logged.insert(**field))
            .filter_map(|field| model::catalog::by_id(*field).map(|row| row.name))
            .collect();
        // Where the whole catalogue is asked for, some GPUs lack hundreds.
        let (shown, rest) = new.split_at(new.len().min(MOST_NAMED));
        let gpu = self.index;
        match (shown.join(", "), rest.len()) {
            (names, _) if names.is_empty() => {}
            (names, 0) => tracing::info!(gpu, "not supported by this GPU: {names}"),
            (names, more) => tracing::info!(
                gpu,
                "not supported by this GPU: {names} and {more} more; `heatsink check --all` lists them"
            ),
        }
    }
}

/// Whether a GPU that has answered nothing in a pass answers at all: perhaps only slow fields are
/// watched, or only such as it does not have, or the one that is watched fails.
fn feel_pulse(device: &Device, failed: Option<Reason>) -> Result<(), Reason> {
    match device.temperature().map_err(Code::reason) {
        Ok(_) => Ok(()),
        Err(Reason::NotSupported | Reason::NoData) => failed.map_or(Ok(()), Err),
        Err(reason) => Err(reason),
    }
}

/// Whether this reader serves a field, of the GPU or of what is smaller: those that no other does.
fn is_mine(field: FieldId) -> bool {
    let elsewhere = field == field::XID_ERRORS
        || peers::FIELDS.contains(&field)
        || PCIE_GETTERS.iter().any(|(of, _)| *of == field);
    crate::served(field).is_some() && !elsewhere
}

impl Reader for MainReader {
    fn name(&self) -> &'static str {
        "main"
    }

    fn kind(&self) -> ReaderKind {
        ReaderKind::Main
    }

    fn watches(&self) -> Arc<[WatchIndex]> {
        Arc::clone(&self.plan.watches)
    }

    fn open(&mut self) -> Result<Option<Arc<Identity>>, Reason> {
        self.device = None;
        self.mig_enabled = None;
        self.asked_all = None;
        self.fresh = true;
        self.instances.clear();
        self.start_afresh();
        self.calls.start_afresh();
        self.fields.start_afresh();
        self.prm.start_afresh();
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
        let Some(device) = self.device.take() else { return Err(Reason::Failed) };
        let mut tally = Tally::default();
        let result = self.read_all(&device, pass, out, &mut tally);
        if !tally.unsupported.is_empty() {
            self.log_unsupported(&tally.unsupported);
            // MIG may have been switched on since the last slow pass. Unless that is known now, the
            // next slow pass would see nothing change if it is off again by then.
            self.mig_enabled = device.mig_enabled().ok();
        }
        let result = result.map_err(|code| {
            tracing::debug!(gpu = self.index, "stopped answering: {code}");
            code.reason()
        });
        let result = result.and_then(|()| match tally.answered {
            true => Ok(()),
            false => feel_pulse(&device, tally.failed),
        });
        self.device = Some(device);
        result
    }

    fn take_samples(&mut self) -> Vec<Samples> {
        self.samples.take()
    }

    fn take_call_times(&mut self) -> Vec<(&'static str, Duration)> {
        self.times.take()
    }
}
