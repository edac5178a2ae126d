//! What the driver's error codes (XIDs) mean, and what their class asks for.
//!
//! The classes follow the immediate action in NVIDIA's public catalogue of October 2025; the words
//! are ours.

mod advice;
mod table;

use crate::Xid;

pub use table::XIDS;

/// One code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The driver's number for it.
    pub code: u32,
    /// What it means, in plain words.
    pub message: &'static str,
    /// What it asks for first.
    pub class: Class,
}

/// What an XID asks of whoever runs the machine, first of all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// Nothing: it informs, or another XID beside it says what to do.
    Ignore,
    /// Start the application again; most often it is the application's own fault.
    RestartApplication,
    /// Reset the GPU.
    ResetGpu,
    /// Start the virtual machine again.
    RestartVm,
    /// Start the machine again.
    RestartNode,
    /// Update the driver or firmware.
    UpdateSoftware,
    /// Look at power cables, seating and cooling.
    CheckHardware,
    /// Look at the NVLinks; the XID's own detail decides.
    CheckNvlink,
    /// Look at what unified memory reported beside it.
    CheckUnifiedMemory,
    /// Follow the procedure that NVIDIA has for this very code.
    FollowProcedure,
    /// Read from the driver which recovery it wants.
    ReadRecoveryAction,
    /// Ask NVIDIA or the maker of the machine.
    ContactSupport,
    /// The catalogue names no action.
    Unclassified,
}

impl Class {
    /// The word used in labels and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::RestartApplication => "restart_application",
            Self::ResetGpu => "reset_gpu",
            Self::RestartVm => "restart_vm",
            Self::RestartNode => "restart_node",
            Self::UpdateSoftware => "update_software",
            Self::CheckHardware => "check_hardware",
            Self::CheckNvlink => "check_nvlink",
            Self::CheckUnifiedMemory => "check_unified_memory",
            Self::FollowProcedure => "follow_procedure",
            Self::ReadRecoveryAction => "read_recovery_action",
            Self::ContactSupport => "contact_support",
            Self::Unclassified => "unclassified",
        }
    }
}

impl Entry {
    fn xid(&self) -> Xid {
        let &Self { code, message, class } = self;
        let action = advice::of(code).unwrap_or(class.action());
        let critical = severity(code) == Severity::Critical;
        Xid { code, message, class: class.as_str(), action, critical }
    }
}

impl Class {
    /// What to do, in a sentence.
    pub fn action(self) -> &'static str {
        match self {
            Self::Ignore => "Nothing by itself; look at the XIDs beside it.",
            Self::RestartApplication => "Start the application again, and look for its own fault.",
            Self::ResetGpu => "Drain the GPU and reset it.",
            Self::RestartVm => "Start the virtual machine again.",
            Self::RestartNode => "Drain the machine and start it again.",
            Self::UpdateSoftware => "Update the driver or the firmware.",
            Self::CheckHardware => "Check power cables, seating and cooling.",
            Self::CheckNvlink => "Check the NVLinks; the kernel's log has the detail that decides.",
            Self::CheckUnifiedMemory => "Look at what unified memory reported beside it.",
            Self::FollowProcedure => "Follow NVIDIA's procedure for this code.",
            Self::ReadRecoveryAction => "Do what the driver's recovery action says.",
            Self::ContactSupport => "Ask NVIDIA or the maker of the machine.",
            Self::Unclassified => "Look it up in NVIDIA's catalogue of XIDs.",
        }
    }
}

/// The code with its meaning, and with what to do: a sentence for this very code, or the one of its
/// class. Code 0 is `No Error`; a code that the table lacks keeps its number
/// and is an `Unknown XID`.
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

/// Whether the table has this code. It does not have 0, which is no XID.
pub fn known(code: u32) -> bool {
    entry(code).is_some()
}

/// What this code asks for, if the table has it.
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
    fn the_codes_that_operators_know_read_well() {
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
    fn advice_is_for_known_codes_and_says_more_than_their_class() {
        assert!(advice::ADVICE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for &(code, sentence) in advice::ADVICE {
            assert_ne!(sentence, class(code).unwrap().action(), "{code}");
            assert_eq!(lookup(code).action, sentence);
        }
        assert_eq!(lookup(46).action, Class::ResetGpu.action());
    }

    #[test]
    fn what_to_do_is_a_short_sentence() {
        let codes = XIDS.iter().map(|entry| entry.code);
        for action in codes.chain([0, 9999]).map(|code| lookup(code).action) {
            assert!(action.len() <= 150 && action.is_ascii(), "{action}");
            assert!(action.starts_with(|c: char| c.is_ascii_uppercase()), "{action}");
            assert!(action.ends_with('.') && !action.contains("  "), "{action}");
        }
    }

    #[test]
    fn advice_asks_for_a_reset_where_the_class_does() {
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
    fn critical_codes_are_those_that_cost_a_gpu() {
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
    fn no_error_and_unknown_codes_have_a_message_too() {
        assert_eq!(lookup(0), Xid::NONE);
        let unknown = lookup(9999);
        assert_eq!((unknown.code, unknown.message), (9999, "Unknown XID"));
        assert_eq!(unknown.class, Class::Unclassified.as_str());
        assert!(!known(9999));
        assert_eq!(class(9999), None);
    }
}
