//! The reader that identifies a GPU and reads all of its ordinary fields, with its links and its
//! instances.

use std::sync::Arc;
use std::time::Duration;

use model::{
    Entity, Identity, Moment, Pace, PartIndex, Pass, Reader, ReaderKind, Readings, Reason, Samples,
    SlotIndex, Watch, WatchIndex,
};

use crate::call_group::CallGroup;
use crate::code::Code;
use crate::device::Device;
use crate::field_values::FieldValues;
use crate::fields::{identity, links, row_of, rows, thermal};
use crate::gpm::Gpm;
use crate::gpm_calls::SampledEntity;
use crate::instances::Instances;
use crate::library::Library;
use crate::mig;
use crate::ordinary_calls::OrdinaryCalls;
use crate::pass::{PassContext, PassOutcome, Shared, TargetFinder};
use crate::plan::{Plan, RETRY_UNSUPPORTED, TargetPart};
use crate::prm::PortCounters;
use crate::samples::DriverSamples;
use crate::session_facts::SessionFacts;
use crate::unsupported_log::UnsupportedLog;

/// How often instances are looked for while MIG is on.
const LOOK_FOR_INSTANCES: Pace = Pace::At(Duration::from_secs(1));

/// Reads one GPU at every interval.
pub(crate) struct MainReader {
    index: u32,
    library: Arc<Library>,
    plan: Plan,
    link_plan: Plan,
    shared: Shared,
    /// What is read of the GPU and its NVLinks, in this order.
    groups: Vec<Box<dyn CallGroup>>,
    instances: Instances,
    /// How many NVLinks it has.
    links: u32,
    /// The part of the readings for each [`TargetPart`].
    parts: Vec<PartIndex>,
    device: Option<Device>,
    mig_enabled: Option<bool>,
    /// Whether the readings may still have slots that are read less often than their watches ask for,
    /// though the groups were reset.
    was_reset: bool,
    /// When everything was last read, supported or not.
    tried_all: Option<Moment>,
    unsupported: UnsupportedLog,
}

impl MainReader {
    pub(crate) fn new(
        library: Arc<Library>,
        index: u32,
        facts: &SessionFacts,
        reads_compute_instances: bool,
        watches: &[Watch],
    ) -> Self {
        let is_mine = |field| row_of(field).is_some_and(|row| row.call.is_of_main_reader());
        let is_of_link = |field| row_of(field).is_some_and(|row| row.call.is_of_link());
        let (plan, link_plan) = (Plan::of(watches, is_mine), Plan::of(watches, is_of_link));
        let mut shared = Shared::new();
        let times = &mut shared.times;
        let mut groups: Vec<Box<dyn CallGroup>> = vec![
            Box::new(facts.group()),
            Box::new(OrdinaryCalls::default()),
            Box::new(FieldValues::new(facts.driver_version.clone(), times)),
            Box::new(Gpm::new(Arc::clone(&library), SampledEntity::Device, times)),
            Box::new(PortCounters::new(times)),
            Box::new(DriverSamples::new(watches, times)),
        ];
        let part = TargetPart::ITSELF;
        let mut targets = TargetFinder { plan: &plan, part, shared: &mut shared };
        for row in rows().filter(|row| !row.call.is_of_link()) {
            groups.iter_mut().for_each(|group| group.add(row, 0, &mut targets));
        }
        groups.iter_mut().for_each(|group| group.shrink_to_fit());
        Self {
            index,
            instances: Instances::new(reads_compute_instances, index, watches, &mut shared.paces),
            plan,
            link_plan,
            shared,
            groups,
            library,
            links: 0,
            parts: Vec::new(),
            device: None,
            mig_enabled: None,
            was_reset: true,
            tried_all: None,
            unsupported: UnsupportedLog::new(index),
        }
    }

    /// Forgets all that may be of another GPU or of another MIG mode.
    fn reset(&mut self) {
        self.groups.iter_mut().for_each(|group| group.reset());
        self.was_reset = true;
    }

    /// MIG on or off changes what a GPU supports.
    fn notice_mig(&mut self, device: &Device, out: &mut Readings) -> Result<(), Code> {
        match mig::is_enabled(device) {
            Err(code) if code.is_about_the_gpu() => return Err(code),
            Err(_) => {}
            Ok(enabled) => {
                if self.mig_enabled.replace(enabled).is_some_and(|before| before != enabled) {
                    self.reset();
                }
                if !enabled {
                    self.instances.clear();
                    self.instances.retain(out);
                }
            }
        }
        Ok(())
    }

    /// Instances that came or went.
    fn notice_instances(
        &mut self,
        device: &Device,
        thoroughly: bool,
        out: &mut Readings,
    ) -> Result<(), Code> {
        if self.instances.look(device, thoroughly, &mut self.shared)? {
            self.instances.retain(out);
            self.instances.retry_unsupported();
            self.reset();
        }
        Ok(())
    }

    /// Links that the driver did not list before.
    fn notice_links(&mut self, device: &Device, out: &mut Readings) -> Result<(), Code> {
        if self.link_plan.watches.is_empty() {
            return Ok(());
        }
        let Some(links) = links::count_links(device)? else {
            // Looked for again at the next slow pass.
            self.tried_all = None;
            return Ok(());
        };
        if links == 0 {
            // Of the GPU itself these fields have no value either way.
            let slots = SlotIndex::all(self.plan.watches.len()).zip(&*self.plan.watches);
            for (slot, _) in slots.filter(|(_, watch)| self.link_plan.watches.contains(watch)) {
                out.set(slot, Err(Reason::NotSupported));
            }
        }
        if links != self.links {
            self.links = links;
            self.add_links();
            out.retain(|entity| !matches!(entity, Entity::Link(link) if *link >= links));
        }
        Ok(())
    }

    fn add_links(&mut self) {
        let Self { groups, link_plan: plan, shared, .. } = self;
        groups.iter_mut().for_each(|group| group.remove_links());
        for link in 0..self.links {
            let part = TargetPart::of_link(link);
            let mut targets = TargetFinder { plan, part, shared };
            for row in rows().filter(|row| row.call.is_of_link()) {
                groups.iter_mut().for_each(|group| group.add(row, link, &mut targets));
            }
        }
        groups.iter_mut().for_each(|group| group.shrink_to_fit());
    }

    /// Notices changes since the last pass in what there is to read.
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
            if self.tried_all.is_none_or(|at| pass.now - at > RETRY_UNSUPPORTED) {
                self.tried_all = Some(pass.now);
                self.groups.iter_mut().for_each(|group| group.retry_unsupported());
                self.instances.retry_unsupported();
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
        outcome: &mut PassOutcome,
    ) -> Result<(), Code> {
        self.look_around(device, &pass, out)?;
        if std::mem::take(&mut self.was_reset) {
            out.forget_slower();
        }
        self.parts.clear();
        self.parts.push(PartIndex::GPU);
        for link in 0..self.links {
            self.parts.push(out.part(&Entity::Link(link), &self.link_plan.watches));
        }
        let mut pass = PassContext {
            gpu: self.index,
            pass,
            due: self.shared.paces.due(&pass),
            shared: &mut self.shared,
            out,
            parts: &self.parts,
            outcome,
        };
        for group in &mut self.groups {
            group.read(device, &mut pass)?;
        }
        self.instances.read(device, &mut pass)
    }
}

/// Whether a GPU without an answer in a pass answers at all: perhaps only slow fields are watched, or
/// only fields that it does not have, or the only watched field fails.
fn probe_device(device: &Device, failed: Option<Reason>) -> Result<(), Reason> {
    match thermal::temperature(device).map_err(Code::reason) {
        Ok(_) => Ok(()),
        Err(Reason::NotSupported | Reason::NoData) => failed.map_or(Ok(()), Err),
        Err(reason) => Err(reason),
    }
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
        self.tried_all = None;
        self.instances.clear();
        self.reset();
        let gpu = self.index;
        let (device, identity) = identity::open_gpu(&self.library, gpu).map_err(|code| {
            tracing::debug!(gpu, "cannot be opened: {code}");
            // "Not supported" and "no data" are about fields; a GPU that cannot be opened is failing.
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
        let mut outcome = PassOutcome::default();
        let result = self.read_all(&device, pass, out, &mut outcome);
        if !outcome.unsupported.is_empty() {
            self.unsupported.log(&outcome.unsupported);
            // MIG may have been switched on since the last slow pass. Unless that is known now, the
            // next slow pass would see nothing change if it is off again by then.
            self.mig_enabled = mig::is_enabled(&device).ok();
        }
        let result = result.map_err(|code| {
            tracing::debug!(gpu = self.index, "stopped answering: {code}");
            code.reason()
        });
        let result = result.and_then(|()| match outcome.answered {
            true => Ok(()),
            false => probe_device(&device, outcome.failed),
        });
        self.device = Some(device);
        result
    }

    fn take_samples(&mut self) -> Vec<Samples> {
        std::mem::take(&mut self.shared.samples)
    }

    fn take_call_times(&mut self) -> Vec<(&'static str, Duration)> {
        self.shared.times.take()
    }
}
