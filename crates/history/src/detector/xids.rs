//! XIDs: which of them open incidents, and how they are told.

use model::catalog::xid::{self, Class, Severity};

use super::found::Found;
use crate::event::{Event, What};
use crate::sign::SignKind;
use crate::time::Time;
use crate::verdict::recovery::{self, RECOVERY};
use crate::wording::{BYSTANDER, gpus, sentence};

/// Codes that ended an application although their class asks for nothing.
const ENDED_APPLICATION: [u32; 2] = [43, 45];

/// The sign of an XID; of any code, as each may explain another.
pub(crate) fn found(time: Time, event: &Event) -> Option<Found> {
    let What::Xid { code, process, link, line, count, .. } = &event.what else { return None };
    let place = event
        .gpu
        .as_ref()
        .map_or("an unknown GPU".to_owned(), |gpu| gpus(std::slice::from_ref(gpu)));
    let mut text = format!("XID {code} ({}) on {place}", xid::lookup(*code).message);
    if *code == RECOVERY
        && let Some(action) = line.as_deref().and_then(recovery::asked_in)
    {
        text += &format!(": {action}");
    }
    if let Some(link) = link {
        text += &format!(", link {link}");
    }
    let named = process.as_ref().and_then(|process| match (&process.name, process.pid) {
        (Some(name), Some(pid)) => Some(format!("{name} (pid {pid})")),
        (Some(name), None) => Some(name.clone()),
        (None, Some(pid)) => Some(format!("pid {pid}")),
        (None, None) => None,
    });
    match named {
        Some(name) if BYSTANDER.contains(code) => {
            text += &format!("; the process that it names, {name}, is often a bystander");
        }
        Some(name) if is_of_application(*code) => text += &format!(", process {name}"),
        // The driver names the process that called it at that moment, whatever that did.
        _ => {}
    }
    let mut found = Found::once(SignKind::Xid, event.gpu.as_ref(), time, sentence(&text));
    found.sign.xid = Some(*code);
    found.count = (*count).max(1);
    found.sign.is_trigger = is_trigger(*code, line.as_deref());
    // A program that is interrupted leaves them too.
    found.may_open = !ENDED_APPLICATION.contains(code);
    Some(found)
}

/// Whether a code asks for something, or ended an application.
pub(crate) fn is_trigger(code: u32, line: Option<&str>) -> bool {
    if code == RECOVERY && line.and_then(recovery::code_in) == Some(0) {
        return false;
    }
    match xid::severity(code) {
        Severity::Critical | Severity::Warning => code != 0,
        Severity::Info => is_of_application(code),
    }
}

/// Whether the code is about what one application did on the GPU.
pub(crate) fn is_of_application(code: u32) -> bool {
    xid::class(code) == Some(Class::RestartApplication) || ENDED_APPLICATION.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_for_something_or_ended_an_application_is_a_trigger() {
        for code in [13, 31, 43, 45, 48, 54, 61, 74, 79, 94, 95, 119, 145, 154, 9999] {
            assert!(is_trigger(code, None), "{code}");
        }
        for code in [0, 14, 37, 63, 92, 106, 160] {
            assert!(!is_trigger(code, None), "{code}");
        }
    }

    #[test]
    fn a_recovery_that_is_not_needed_any_more_opens_nothing() {
        let line = |to: &str| format!("GPU recovery action changed from 0x1 (GPU Reset) to {to}");
        assert!(!is_trigger(154, Some(&line("0x0 (None)"))));
        assert!(is_trigger(154, Some(&line("0x2 (Node Reboot Required)"))));
    }
}
