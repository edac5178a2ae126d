//! The meaning of the driver's error codes (XIDs), and what to do about them.
//!
//! The classes follow the immediate action in NVIDIA's public catalogue of October 2025; the words
//! are ours.

mod advice;
mod class;
mod table;

use crate::xid::Xid;

pub use class::{Class, Entry};
pub use table::XIDS;

impl Entry {
    fn xid(&self) -> Xid {
        let &Self { code, message, class } = self;
        let action = advice::of(code).unwrap_or(class.action());
        let critical = severity(code) == Severity::Critical;
        Xid { code, message, class: class.as_str(), action, critical }
    }
}

/// The code with its meaning and with what to do: a sentence for this code, else that of its class.
/// Code 0 is `No Error`; a code that the table lacks keeps its number and is an `Unknown XID`.
pub fn lookup(code: u32) -> Xid {
    let unknown = Entry { code, message: "Unknown XID", class: Class::Unclassified };
    match code {
        0 => Xid::NONE,
        _ => entry(code).unwrap_or(&unknown).xid(),
    }
}

/// Who acts on a code, as the shipped alert rules have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// The person on call, now: the job is lost, and the GPU does no more work until it is reset or
    /// repaired.
    Critical,
    /// The operator, on the next working day.
    Warning,
    /// No operator: it is the application's fault, or only information.
    Info,
}

/// Who acts on a code.
pub fn severity(code: u32) -> Severity {
    match class(code).unwrap_or(Class::Unclassified) {
        // Uncorrectable errors of memory (48, 171, 172) and a fatal PCIe timeout (167): their classes do
        // not say that they cost the GPU.
        _ if matches!(code, 48 | 167 | 171 | 172) => Severity::Critical,
        Class::ResetGpu | Class::RestartNode | Class::RestartVm | Class::CheckNvlink => {
            Severity::Critical
        }
        Class::ContactSupport
        | Class::UpdateSoftware
        | Class::CheckHardware
        | Class::CheckUnifiedMemory
        | Class::ReadRecoveryAction
        | Class::Unclassified => Severity::Warning,
        Class::Ignore | Class::RestartApplication | Class::FollowProcedure => Severity::Info,
    }
}

/// The codes of [`Severity::Critical`], in order.
///
/// They are counted together, from 0 on, so that the first one is an increase like any other.
pub fn critical() -> impl Iterator<Item = Xid> {
    XIDS.iter().map(Entry::xid).filter(|xid| xid.critical)
}

/// Whether the table has this code. It does not have 0, which stands for no XID.
pub fn known(code: u32) -> bool {
    entry(code).is_some()
}

/// The class of this code, if the table has it.
pub fn class(code: u32) -> Option<Class> {
    entry(code).map(|entry| entry.class)
}

fn entry(code: u32) -> Option<&'static Entry> {
    let index = XIDS.binary_search_by_key(&code, |entry| entry.code).ok()?;
    XIDS.get(index)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_sorted_and_unique() {
        assert!(XIDS.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert_eq!(XIDS.len(), 172);
        assert!(!known(0));
    }

    #[test]
    fn messages_are_short_and_tell_codes_apart() {
        let mut seen = HashSet::new();
        for Entry { code, message, .. } in XIDS {
            assert!(!message.is_empty() && message.len() <= 60, "{code}");
            assert!(message.chars().all(|c| c.is_ascii() && !c.is_ascii_control()), "{code}");
            assert!(seen.insert(message), "{code}: {message}");
        }
    }

    #[test]
    fn common_codes_have_the_expected_message_and_class() {
        for (code, message, class) in [
            (13, "Graphics engine exception", Class::RestartApplication),
            (31, "GPU memory page fault", Class::RestartApplication),
            (48, "Double-bit ECC error", Class::FollowProcedure),
            (74, "NVLink error", Class::CheckNvlink),
            (79, "GPU has fallen off the bus", Class::RestartNode),
            (94, "Contained ECC error", Class::RestartApplication),
            (95, "Uncontained ECC error", Class::ResetGpu),
            (119, "GSP RPC timeout", Class::ResetGpu),
            (172, "Uncorrectable SRAM error", Class::Unclassified),
        ] {
            let xid = lookup(code);
            assert_eq!((xid.code, xid.message, xid.class), (code, message, class.as_str()));
            assert_eq!(super::class(code), Some(class), "{code}");
        }
    }

    #[test]
    fn advice_is_for_known_codes_and_differs_from_their_class() {
        assert!(advice::ADVICE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for &(code, sentence) in advice::ADVICE {
            assert_ne!(sentence, class(code).unwrap().action(), "{code}");
            assert_eq!(lookup(code).action, sentence);
        }
        assert_eq!(lookup(46).action, Class::ResetGpu.action());
    }

    #[test]
    fn every_action_is_a_short_sentence() {
        let codes = XIDS.iter().map(|entry| entry.code);
        for action in codes.chain([0, 9999]).map(|code| lookup(code).action) {
            assert!(action.len() <= 150 && action.is_ascii(), "{action}");
            assert!(action.starts_with(|c: char| c.is_ascii_uppercase()), "{action}");
            assert!(action.ends_with('.') && !action.contains("  "), "{action}");
        }
    }

    #[test]
    fn advice_agrees_with_the_class() {
        for &(code, sentence) in advice::ADVICE {
            match class(code).unwrap() {
                Class::ResetGpu => assert!(sentence.to_lowercase().contains("reset"), "{code}"),
                Class::RestartNode | Class::RestartVm | Class::RestartApplication => {
                    assert!(sentence.contains("tart") && sentence.contains("again"), "{code}");
                }
                Class::Ignore => assert!(sentence.starts_with("Nothing"), "{code}"),
                _ => {}
            }
        }
    }

    #[test]
    fn the_critical_codes() {
        let codes: Vec<_> = critical().map(|xid| xid.code).collect();
        assert_eq!(
            codes,
            [
                46, 48, 62, 64, 74, 79, 95, 109, 110, 119, 120, 136, 140, 143, 144, 145, 146, 147,
                148, 149, 150, 151, 155, 156, 158, 167, 171, 172
            ]
        );
        assert!(critical().all(|xid| xid == lookup(xid.code)));
    }

    #[test]
    fn code_0_and_unknown_codes_have_a_message() {
        assert_eq!(lookup(0), Xid::NONE);
        let unknown = lookup(9999);
        assert_eq!((unknown.code, unknown.message), (9999, "Unknown XID"));
        assert_eq!(unknown.class, Class::Unclassified.as_str());
        assert!(!known(9999));
        assert_eq!(class(9999), None);
    }
}
