//! XIDs, through an event set of this GPU's own.
//!
//! One set per GPU, because waiting on a shared one fails for all GPUs when one is lost; and because
//! the handle in an event of a lost GPU does not identify that GPU any more.

use std::mem;
use std::ptr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use model::catalog::xid;
use model::{Identity, Pass, Reader, ReaderKind, Readings, Reason, WatchIndex, XidEvent};
use nvml_wrapper_sys::bindings as sys;

use crate::call::function;
use crate::code::Code;
use crate::device::Device;
use crate::fields::identity::identify;
use crate::library::Library;

/// How long one wait for an event lasts. A reader that is to end does so after the wait.
const WAIT: Duration = Duration::from_millis(500);

/// How many events are taken in one pass: a storm of them must not keep the reader from ending.
const MOST_AT_ONCE: usize = 1000;

/// NVML may end a wait early, on an interrupt. A wait that keeps doing so must not spin.
const SHORTEST_ROUND: Duration = Duration::from_millis(10);

/// The instance of an event that is about the whole GPU.
const NO_INSTANCE: u32 = u32::MAX;

/// Listens for one GPU's XIDs.
pub(crate) struct EventReader {
    library: Arc<Library>,
    gpu: u32,
    set: Option<EventSet>,
    /// Whether a first wait has shown that the set works.
    has_waited: bool,
    taken: Vec<XidEvent>,
}

struct EventSet {
    library: Arc<Library>,
    raw: sys::nvmlEventSet_t,
}

// SAFETY: NVML's event functions may be called from any thread, by one at a time; the reader that
// owns the set is that one.
unsafe impl Send for EventSet {}

impl EventSet {
    /// A set that holds this GPU's XIDs and nothing else.
    fn listening_to(device: &Device) -> Result<Self, Code> {
        let library = &device.library;
        let create = function(&library.symbols.nvmlEventSetCreate)?;
        let register = function(&library.symbols.nvmlDeviceRegisterEvents)?;
        let mut raw = ptr::null_mut();
        // SAFETY: the call writes one handle, to a live local.
        Code::check(unsafe { create(&mut raw) })?;
        let set = Self { library: Arc::clone(library), raw };
        let xids = u64::from(sys::nvmlEventTypeXidCriticalError);
        // SAFETY: device and set are of the same library, and both are live.
        Code::check(unsafe { register(device.handle, xids, set.raw) })?;
        Ok(set)
    }

    /// The next XID, if one comes within `timeout`.
    fn wait(&self, timeout: Duration) -> Result<Option<XidEvent>, Code> {
        let wait = function(&self.library.symbols.nvmlEventSetWait_v2)?;
        // SAFETY: all-zero bytes are a valid value of this C struct of integers and a null pointer.
        let mut data: sys::nvmlEventData_t = unsafe { mem::zeroed() };
        // SAFETY: the set is live until it is dropped; the call writes one such struct, to a live local.
        let code = unsafe { wait(self.raw, &mut data, timeout.as_millis() as u32) };
        match Code::check(code) {
            Ok(()) => {
                let is_xid = data.eventType & u64::from(sys::nvmlEventTypeXidCriticalError) != 0;
                Ok(is_xid.then(|| xid_event(data.eventData, data.gpuInstanceId)))
            }
            Err(Code::TIMEOUT) => Ok(None),
            Err(code) => Err(code),
        }
    }
}

impl Drop for EventSet {
    fn drop(&mut self) {
        if let Ok(free) = function(&self.library.symbols.nvmlEventSetFree) {
            // A failure to free leaves nothing to do about it.
            // SAFETY: the set was created by this library, and is not used after this.
            let _ = unsafe { free(self.raw) };
        }
    }
}

/// An XID as the driver reports it, with the GPU instance that it is about.
fn xid_event(code: u64, gpu_instance: u32) -> XidEvent {
    XidEvent {
        xid: xid::lookup(u32::try_from(code).unwrap_or(u32::MAX)),
        instance: (gpu_instance != NO_INSTANCE).then_some(gpu_instance),
        before: None,
    }
}

impl EventReader {
    /// Listens even where no watch is on the newest XID: all XIDs are counted.
    pub(crate) fn new(library: Arc<Library>, index: u32) -> Self {
        Self { library, gpu: index, set: None, has_waited: false, taken: Vec::new() }
    }
}

impl Reader for EventReader {
    fn name(&self) -> &'static str {
        "events"
    }

    fn kind(&self) -> ReaderKind {
        ReaderKind::Events
    }

    fn watches(&self) -> Arc<[WatchIndex]> {
        // Events are no readings, so this reader goes on when the watches change.
        Arc::new([])
    }

    fn open(&mut self) -> Result<Option<Arc<Identity>>, Reason> {
        self.set = None;
        self.has_waited = false;
        let open = || {
            let device = Device::by_index(&self.library, self.gpu)?;
            // Registered first: no XID from here on is missed.
            Ok((EventSet::listening_to(&device)?, identify(&device, self.gpu)?))
        };
        let (set, identity) = open().map_err(|code: Code| code.reason())?;
        self.set = Some(set);
        Ok(Some(Arc::new(identity)))
    }

    fn read(&mut self, _: Pass, _: &mut Readings) -> Result<(), Reason> {
        let Some(set) = &self.set else { return Err(Reason::Failed) };
        let began = Instant::now();
        // The first call does not wait, so that it is known at once that XIDs are delivered.
        let mut event = set.wait(if self.has_waited { WAIT } else { Duration::ZERO });
        self.has_waited = true;
        // All events of a burst are taken in one pass.
        while let Ok(Some(xid)) = event {
            self.taken.push(xid);
            if self.taken.len() == MOST_AT_ONCE {
                return Ok(());
            }
            event = set.wait(Duration::ZERO);
        }
        if let Err(code) = event {
            self.set = None;
            return Err(code.reason());
        }
        if self.taken.is_empty() && began.elapsed() < SHORTEST_ROUND {
            thread::sleep(SHORTEST_ROUND);
        }
        Ok(())
    }

    fn delivers_xids(&self) -> bool {
        self.set.is_some()
    }

    fn take_xids(&mut self) -> Vec<XidEvent> {
        std::mem::take(&mut self.taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_xid_has_the_instance_of_its_event() {
        let event = xid_event(79, 0xFFFF_FFFF);
        assert_eq!((event.xid.code, event.instance), (79, None));
        assert_eq!(xid_event(31, 3).instance, Some(3));
        assert_eq!(xid_event(31, 0).instance, Some(0));
        assert_eq!(xid_event(1 << 40, 0).xid.code, u32::MAX);
    }
}
