//! Which GPU has which index: GPUs that move, are replaced, go missing, or are on the bus only.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::{Identity, Moment};

use crate::settings::Selection;
use crate::state::State;
use crate::state::gpu::{AbsentGpu, GpuState};
use crate::state::history::History;
use crate::state::reader::ReaderState;

/// How many GPUs that are gone are remembered.
const MAX_FORMER: usize = 64;

/// How long the driver may take to list a GPU that is on the bus: while it is bound, and while a new
/// session is opened for it.
const SETTLING: Duration = Duration::from_secs(8);

impl State {
    /// Takes the list of GPUs of a session. GPUs that are no longer listed stay, as missing: a GPU
    /// must not disappear without a trace.
    pub(crate) fn list(&mut self, gpus: &[u32], now: Moment) {
        let settings = Arc::clone(&self.settings);
        let (selection, required) = (&settings.gpus, settings.gpus.required());
        for index in required.iter().chain(gpus.iter().filter(|gpu| selection.includes(**gpu))) {
            self.gpu(*index);
        }
        for gpu in &mut self.gpus {
            gpu.set_listed(gpus.contains(&gpu.index), now);
        }
        self.listed = gpus.len();
        // Indexes that no GPU has any more.
        self.gpus
            .retain(|gpu| gpu.listed || gpu.identity.is_some() || required.contains(&gpu.index));
    }

    /// Notes the identity of the GPU at `index`.
    ///
    /// If another GPU was there before, that one is remembered as missing, unless it has another index
    /// by now. The history of the new one comes with it from its index of before.
    pub(crate) fn identify(&mut self, index: u32, mut identity: Arc<Identity>, now: Moment) {
        if let Some(known) =
            self.gpu(index).identity.as_ref().filter(|known| known.is_same_gpu(&identity))
        {
            // It may be more complete than before, or less: XIDs are of an address.
            Arc::make_mut(&mut identity).complete(known);
            self.gpu(index).identity = Some(identity);
            return;
        }
        let mut history = History::default();
        for absent in [&mut self.former, &mut self.unlisted] {
            if let Some(at) = absent.iter().position(|gpu| gpu.identity.is_same_gpu(&identity)) {
                history = absent.remove(at).history;
            }
        }
        for gpu in self.gpus.iter_mut().filter(|gpu| gpu.index != index && gpu.is(&identity)) {
            gpu.identity = None;
            history = std::mem::take(&mut gpu.history);
            // What was read there was of the GPU that has moved.
            for reader in &mut gpu.readers {
                reader.clear();
                reader.last_ok = None;
            }
        }
        let gpu = self.gpu(index);
        // Readings of another GPU must not be shown as those of this one.
        gpu.readers.iter_mut().for_each(ReaderState::clear);
        let before = gpu.identity.replace(identity);
        let earlier = std::mem::replace(&mut gpu.history, history);
        match before {
            Some(before) => {
                // A reader that is still inside the driver reads the GPU that was here.
                gpu.readers.retain(|reader| !reader.stuck);
                let mut former = AbsentGpu { identity: before, history: earlier, since: now };
                former.history.set_listening(false);
                self.former.push(former);
            }
            // What came before the identity was known was of this GPU.
            None => gpu.history.add_earlier(earlier),
        }
        let surplus = self.former.len().saturating_sub(MAX_FORMER);
        self.former.drain(..surplus);
    }

    /// Notes which GPUs are on the bus. Returns whether anything has changed.
    ///
    /// GPUs that the driver does not list are added if all GPUs are selected. A GPU that the driver
    /// lists and that has never answered is identified by its position, if that is beyond doubt: the
    /// driver counts its GPUs in the order of their addresses.
    pub(crate) fn note_bus(&mut self, mut gpus: Vec<Identity>, now: Moment) -> bool {
        gpus.sort_by(|one, other| one.pci_bus_id.cmp(&other.pci_bus_id));
        let on_bus: BTreeSet<_> = gpus.iter().filter_map(|gpu| gpu.pci_bus_id.clone()).collect();
        let mut changed = self.on_bus != on_bus;
        self.on_bus = on_bus;
        if self.source.up.is_err() {
            return changed;
        }
        changed |= self.identify_by_position(&gpus, now);
        if self.has_unidentified() {
            // Any of the others may be the one that is listed and not identified.
            gpus.clear();
        }
        gpus.retain(|gpu| !self.gpus.iter().any(|known| known.listed && known.is(gpu)));
        let is_on_bus = |gpu: &mut AbsentGpu| {
            !gpu.identity.pci_bus_id.as_ref().is_some_and(|address| self.on_bus.contains(address))
        };
        let gone: Vec<AbsentGpu> = self.unlisted.extract_if(.., is_on_bus).collect();
        changed |= !gone.is_empty();
        self.former.extend(gone.into_iter().map(|gpu| AbsentGpu { since: now, ..gpu }));
        let is_there =
            |address: &String| gpus.iter().any(|gpu| gpu.pci_bus_id.as_ref() == Some(address));
        self.unsettled.retain(|address, _| is_there(address));
        if self.settings.gpus == Selection::All {
            for gpu in gpus {
                changed |= self.note_unlisted(gpu, now);
            }
        }
        changed
    }

    /// Adds a GPU that the driver does not list once it has had the time to. Returns whether the GPU
    /// was added.
    fn note_unlisted(&mut self, gpu: Identity, now: Moment) -> bool {
        let Some(address) = gpu.pci_bus_id.clone() else { return false };
        let since = *self.unsettled.entry(address).or_insert(now);
        let settled = self.session_began.map_or(since, |began| began.max(since));
        // One that was listed before has an index still, where it is shown as missing.
        let is_known = self.unlisted.iter().any(|known| known.identity.is_same_gpu(&gpu))
            || self.gpus.iter().any(|known| known.is(&gpu));
        if now - settled < SETTLING || is_known {
            return false;
        }
        let before = self.former.iter().position(|former| former.identity.is_same_gpu(&gpu));
        let before = before.map(|at| self.former.remove(at));
        let known = before.as_ref().map(|before| &*before.identity);
        let identity = Arc::new(Identity {
            uuid: gpu.uuid.or_else(|| known?.uuid.clone()),
            model_name: gpu.model_name.or_else(|| known?.model_name.clone()),
            ..gpu
        });
        let history = before.map(|before| before.history).unwrap_or_default();
        self.unlisted.push(AbsentGpu { identity, history, since });
        true
    }

    /// Whether any listed GPU cannot be matched with those on the bus.
    pub(crate) fn has_unidentified(&self) -> bool {
        self.gpus.iter().any(|gpu| gpu.listed && gpu.address().is_none())
    }

    /// Identifies listed GPUs that have never answered by their position among those on the bus.
    fn identify_by_position(&mut self, gpus: &[Identity], now: Moment) -> bool {
        let at = |index: u32| gpus.get(usize::try_from(index).unwrap_or(usize::MAX));
        let fits = |known: &GpuState| {
            known.identity.is_none() || at(known.index).is_some_and(|gpu| known.is(gpu))
        };
        let listed = || self.gpus.iter().filter(|gpu| gpu.listed);
        if gpus.len() != self.listed || !listed().all(fits) {
            return false;
        }
        let unknown: Vec<u32> =
            listed().filter(|gpu| gpu.identity.is_none()).map(|gpu| gpu.index).collect();
        for index in &unknown {
            if let Some(gpu) = at(*index) {
                let identity = Identity { index: Some(*index), ..gpu.clone() };
                self.identify(*index, Arc::new(identity), now);
            }
        }
        !unknown.is_empty()
    }

    /// Forgets GPUs that have been missing for this long, unless the settings name them. Returns
    /// whether there were any.
    pub(crate) fn forget_missing(&mut self, after: Duration, now: Moment) -> bool {
        let before = (self.former.len(), self.gpus.len());
        self.former.retain(|gpu| now - gpu.since < after);
        let (on_bus, required) = (&self.on_bus, self.settings.gpus.required());
        self.gpus.retain(|gpu| {
            let is_old = gpu.missing_since.is_some_and(|since| now - since >= after);
            let is_on_bus = gpu.address().is_some_and(|address| on_bus.contains(address));
            gpu.listed || is_on_bus || !is_old || required.contains(&gpu.index)
        });
        before != (self.former.len(), self.gpus.len())
    }
}

#[cfg(test)]
mod tests {
    use model::{Down, GpuView, Snapshot};

    use super::*;
    use crate::settings::Settings;
    use crate::state::test_state::*;

    /// The index, the bus and the state of each GPU.
    fn states(snapshot: &Snapshot) -> Vec<(Option<u32>, &'static str, Option<Down>)> {
        let bus = |view: &GpuView| {
            let uuid = view.gpu.identity.as_ref().and_then(|identity| identity.uuid.as_deref());
            ["A", "B"].into_iter().find(|bus| uuid.is_some_and(|uuid| uuid.ends_with(bus)))
        };
        let state = |view: &GpuView| (view.gpu.index, bus(view).unwrap_or("?"), view.up.err());
        snapshot.gpus.iter().map(state).collect()
    }

    #[test]
    fn a_gpu_that_was_lost_before_the_start_is_identified_by_its_position() {
        let mut test = TestState::new(SECOND);
        let at = test.at;
        test.state.gpu(1).set_listed(true, at);
        test.state.listed = 2;
        test.state.note_bus(vec![on_bus("0B")], at);
        assert_eq!(states(&test.snapshot(0))[1], (Some(1), "?", Some(Down::Starting)), "not sure");
        test.identify(0, on_bus("0A"));
        test.state.note_bus(vec![on_bus("0B"), on_bus("0A")], at);
        assert_eq!(states(&test.snapshot(0))[1], (Some(1), "B", Some(Down::Starting)));
    }

    #[test]
    fn what_was_known_of_a_gpu_stays_known() {
        let mut test = TestState::new(SECOND);
        let whole = Identity { model_name: Some("H100".into()), minor: Some(3), ..on_bus("0A") };
        test.identify(0, whole.clone());
        let known = |test: &TestState| {
            let known = test.snapshot(0).gpus[0].gpu.identity.as_deref().cloned();
            known.expect("it is identified")
        };
        let whole = Identity { index: Some(0), ..whole };
        for part in [
            Identity { uuid: whole.uuid.clone(), ..Identity::default() },
            Identity { pci_bus_id: whole.pci_bus_id.clone(), ..Identity::default() },
        ] {
            test.identify(0, part);
            assert_eq!(known(&test), whole);
        }
        // It may be another GPU at this index.
        test.identify(0, Identity::default());
        assert_eq!(known(&test), Identity { index: Some(0), ..Identity::default() });
    }

    #[test]
    fn a_gpu_that_the_driver_does_not_list_is_shown_once_that_is_certain() {
        let mut test = TestState::new(SECOND);
        let now = test.at;
        test.state.listed = 1;
        test.identify(0, on_bus("0A"));
        let both = || vec![on_bus("0A"), on_bus("0B")];
        assert!(test.state.note_bus(both(), now));
        assert_eq!(test.snapshot(0).gpus.len(), 1, "it may be about to be listed");
        test.state.note_bus(both(), now + 9 * SECOND);
        let not_initialized = (None, "B", Some(Down::NotInitialized));
        assert_eq!(states(&test.snapshot(0))[1], not_initialized);
        // Its XIDs go with it once it is listed.
        let history = &mut test.state.unlisted[0].history;
        Arc::make_mut(&mut history.xids).record(xid(79), None, None);
        test.state.gpu(1).set_listed(true, now);
        test.identify(1, on_bus("0B"));
        let snapshot = test.snapshot(0);
        assert_eq!(states(&snapshot)[1..], [(Some(1), "B", Some(Down::Starting))]);
        assert_eq!(snapshot.gpus[1].xids.last.unwrap().code, 79);
        // A GPU that is no longer listed is missing only if it is not on the bus either.
        test.state.gpu(1).set_listed(false, now);
        test.state.listed = 1;
        test.state.note_bus(both(), now + 20 * SECOND);
        assert_eq!(states(&test.snapshot(0))[1..], [(Some(1), "B", Some(Down::NotInitialized))]);
        test.state.note_bus(vec![on_bus("0A")], now + 25 * SECOND);
        assert_eq!(states(&test.snapshot(0))[1..], [(Some(1), "B", Some(Down::Missing))]);
    }

    #[test]
    fn a_missing_gpu_is_forgotten_unless_the_settings_name_it() {
        let mut test = TestState::new(SECOND);
        let at = test.at;
        test.identify(0, gpu("GPU-a"));
        test.identify(0, gpu("GPU-b"));
        test.state.gpu(1).set_listed(true, at);
        test.identify(1, gpu("GPU-c"));
        test.state.gpu(1).set_listed(false, at);
        assert_eq!(test.snapshot(0).gpus.len(), 3);
        assert!(!test.state.forget_missing(3600 * SECOND, at + 3599 * SECOND));
        assert_eq!(test.snapshot(0).gpus.len(), 3, "not yet");
        assert!(test.state.forget_missing(3600 * SECOND, at + 3600 * SECOND));
        assert_eq!(test.snapshot(0).gpus.len(), 1);
        let gpus = Selection::Only(vec![0, 7]);
        let mut test = TestState::with_settings(Settings { gpus, ..Settings::new(SECOND) });
        test.state.gpu(7).set_listed(false, at);
        test.state.forget_missing(Duration::ZERO, at);
        assert_eq!(test.snapshot(0).gpus.len(), 2);
    }

    #[test]
    fn xids_from_before_the_identity_was_known_stay() {
        let mut test = TestState::new(SECOND).with(|gpu| record(gpu, xid(79)));
        test.identify(0, gpu("GPU-a"));
        assert_eq!(test.snapshot(0).gpus[0].xids.counts[&79].tally.count, 1);
    }

    #[test]
    fn a_stuck_reader_does_not_read_another_gpu() {
        let mut test = TestState::new(SECOND).with(|gpu| gpu.readers[1].stuck = true);
        test.identify(0, gpu("GPU-a"));
        assert_eq!(test.state.gpu(0).readers.len(), 2, "its own GPU");
        test.identify(0, gpu("GPU-b"));
        assert_eq!(test.state.gpu(0).readers.len(), 1);
    }

    #[test]
    fn a_gpu_that_another_one_replaced_is_remembered_as_missing() {
        let mut test = TestState::new(SECOND);
        test.identify(0, gpu("GPU-a"));
        test.identify(0, gpu("GPU-b"));
        let snapshot = test.snapshot(0);
        assert_eq!(snapshot.gpus.len(), 2);
        assert_eq!(snapshot.gpus[1].up, Err(Down::Missing));
        assert_eq!(snapshot.gpus[1].gpu.identity.as_ref().unwrap().uuid.as_deref(), Some("GPU-a"));
        test.state.gpu(1).listed = true;
        test.identify(1, gpu("GPU-a"));
        let uuids = |snapshot: &Snapshot| -> Vec<String> {
            let identities = snapshot.gpus.iter().filter_map(|view| view.gpu.identity.clone());
            identities.filter_map(|identity| identity.uuid.clone()).collect()
        };
        assert_eq!(uuids(&test.snapshot(0)), ["GPU-b", "GPU-a"], "it is back, at a new index");
    }

    #[test]
    fn the_history_of_a_gpu_moves_with_it() {
        let mut test = TestState::new(SECOND);
        for (index, uuid) in [(0, "GPU-a"), (1, "GPU-b"), (2, "GPU-c")] {
            test.state.gpu(index).listed = true;
            test.identify(index, gpu(uuid));
            record(test.state.gpu(index), xid(10 + index));
        }
        // GPU-a was taken out. The others move up, and may answer in any order.
        test.state.gpu(2).listed = false;
        test.identify(1, gpu("GPU-c"));
        test.identify(0, gpu("GPU-b"));
        test.state.list(&[0, 1], test.at);
        let snapshot = test.snapshot(0);
        let known = |view: &GpuView| {
            let uuid = view.gpu.identity.as_ref().and_then(|identity| identity.uuid.clone());
            (view.gpu.index.unwrap(), uuid.unwrap(), view.xids.last.unwrap().code)
        };
        let known: Vec<_> = snapshot.gpus.iter().map(known).collect();
        let expected = [(0, "GPU-b", 11), (1, "GPU-c", 12), (0, "GPU-a", 10)];
        assert_eq!(known, expected.map(|(index, uuid, code)| (index, uuid.to_owned(), code)));
        assert_eq!(snapshot.gpus[2].up, Err(Down::Missing));
        assert!(snapshot.gpus[0].readings[FAST.0].is_err(), "a reading of another GPU");
    }

    #[test]
    fn gpus_that_are_gone_take_bounded_memory() {
        let mut test = TestState::new(SECOND);
        for serial in 0..1000 {
            test.identify(0, gpu(&format!("GPU-{serial}")));
        }
        assert!(test.state.former.len() <= 64);
    }
}
