//! Event sets.

use std::{
    ffi::{c_uint, c_ulonglong},
    time::Duration,
};

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlEventData_t, nvmlEventSet_t, nvmlReturn_t};

use super::{answer, out::Out};
use crate::{
    call::Call,
    event_set::{EventSet, XID},
    events, session,
};

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlEventSetCreate(set: *mut nvmlEventSet_t) -> nvmlReturn_t {
    answer(|| {
        let (session, _) = session::current()?;
        // SAFETY: the caller promises NVML a place for one handle.
        let out = unsafe { Out::new(set) }?;
        out.set(session.event_sets.insert(EventSet::default()));
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceRegisterEvents(
    device: nvmlDevice_t,
    kinds: c_ulonglong,
    set: nvmlEventSet_t,
) -> nvmlReturn_t {
    answer(|| {
        let call = Call::on("nvmlDeviceRegisterEvents", device)?;
        let set = call.session.event_sets.get(set)?;
        set.register(call.gpu, &call.board, kinds, &call.session.watch)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlEventSetWait_v2(
    set: nvmlEventSet_t,
    data: *mut nvmlEventData_t,
    timeout_ms: c_uint,
) -> nvmlReturn_t {
    answer(|| {
        let (session, _) = session::current()?;
        // SAFETY: the caller promises NVML a place for the struct.
        let out = unsafe { Out::new(data) }?;
        let set = session.event_sets.get(set)?;
        let timeout = Duration::from_millis(timeout_ms.into());
        let event = events::wait(&set, "nvmlEventSetWait_v2", timeout, &session)?;
        out.set(nvmlEventData_t {
            device: session.handle(event.gpu),
            eventType: XID,
            eventData: event.xid.code.into(),
            gpuInstanceId: event.xid.instance,
            computeInstanceId: event.xid.compute_instance,
        });
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlEventSetFree(set: nvmlEventSet_t) -> nvmlReturn_t {
    answer(|| {
        let (session, _) = session::current()?;
        session.event_sets.remove(set)
    })
}
