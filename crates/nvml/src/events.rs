//! XIDs, through an event set of this GPU's own.
//!
//! One set per GPU, because waiting on a shared one fails for all GPUs when one is lost; and
//! because the event of a lost GPU names a handle that answers no more questions, while a set of
//! its own says whose event it is.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use catalog::{field, xid};
use model::{Identity, Pass, Reader, Readings, Reason, Rhythm, Watch, XidLog};
use nvml_wrapper_sys::bindings as sys;

use crate::device::call;
use crate::main_reader::Plan;
use crate::pcie::anonymous;
use crate::{Code, Device, Library};

/// How long one wait for an event lasts: as long as the program may need to notice that it should
/// let the library go.
const WAIT: Duration = Duration::from_millis(500);

/// Listens for one GPU's XIDs.
pub(crate) struct EventReader {
    library: Arc<Library>,
    identity: Arc<Identity>,
    watches: Vec<usize>,
    set: Option<EventSet>,
    log: Arc<XidLog>,
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
        let mut raw = ptr::null_mut();
        call!(library, nvmlEventSetCreate(&mut raw))?;
        let set = Self { library: Arc::clone(library), raw };
        let xids = u64::from(sys::nvmlEventTypeXidCriticalError);
        call!(library, nvmlDeviceRegisterEvents(device.handle, xids, set.raw))?;
        Ok(set)
    }

    /// The next XID, if one comes within `timeout`.
    fn wait(&self, timeout: Duration) -> Result<Option<u64>, Code> {
        let mut data = MaybeUninit::<sys::nvmlEventData_t>::zeroed();
        let millis = timeout.as_millis() as u32;
        match call!(self.library, nvmlEventSetWait_v2(self.raw, data.as_mut_ptr(), millis)) {
            Ok(()) => {
                // SAFETY: all-zero bytes are a valid value of this plain C struct, and the call
                // may only have written more of them.
                let data = unsafe { data.assume_init() };
                let is_xid = data.eventType & u64::from(sys::nvmlEventTypeXidCriticalError) != 0;
                Ok(is_xid.then_some(data.eventData))
            }
            Err(Code::TIMEOUT) => Ok(None),
            Err(code) => Err(code),
        }
    }
}

impl Drop for EventSet {
    fn drop(&mut self) {
        // A failure to free leaves nothing to do about it.
        let _ = call!(self.library, nvmlEventSetFree(self.raw));
    }
}

impl EventReader {
    /// `None` if nobody watches XIDs.
    pub(crate) fn new(library: Arc<Library>, index: u32, watches: &[Watch]) -> Option<Self> {
        let mut plan = Plan::default();
        let (slots, _) = plan.slots(watches, field::XID_ERRORS);
        (!slots.is_empty()).then(|| Self {
            library,
            identity: anonymous(index),
            watches: plan.watches,
            set: None,
            log: Arc::default(),
        })
    }

    fn record(&mut self, code: u64) {
        let xid = xid::lookup(u32::try_from(code).unwrap_or(u32::MAX));
        tracing::warn!(gpu = self.identity.index, xid = xid.code, "XID: {}", xid.message);
        Arc::make_mut(&mut self.log).record(xid);
    }

    fn set_listening(&mut self, listening: bool) {
        if self.log.listening != listening {
            Arc::make_mut(&mut self.log).listening = listening;
        }
    }
}

impl Reader for EventReader {
    fn rhythm(&self) -> Rhythm {
        Rhythm::Waiting
    }

    fn watches(&self) -> &[usize] {
        &self.watches
    }

    fn open(&mut self) -> Result<Arc<Identity>, Reason> {
        self.set = None;
        self.set_listening(false);
        let set = Device::by_index(&self.library, self.identity.index)
            .and_then(|device| EventSet::listening_to(&device));
        self.set = Some(set.map_err(|code| code.reason())?);
        self.set_listening(true);
        Ok(Arc::clone(&self.identity))
    }

    fn read(&mut self, _: Pass, _: &mut Readings) -> Result<(), Reason> {
        let Some(set) = &self.set else { return Err(Reason::Failed) };
        let mut event = set.wait(WAIT);
        // A burst is taken whole before anybody is told.
        while let Ok(Some(code)) = event {
            self.record(code);
            let Some(set) = &self.set else { break };
            event = set.wait(Duration::ZERO);
        }
        let result = event.map(|_| ()).map_err(|code| code.reason());
        if result.is_err() {
            self.set_listening(false);
        }
        result
    }

    fn xids(&self) -> Option<Arc<XidLog>> {
        Some(Arc::clone(&self.log))
    }
}
