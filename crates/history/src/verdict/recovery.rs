//! What the driver asks for after a fault: XID 154 names the recovery action that a GPU needs from then on.

use super::row::Seen;

/// The recovery action of a GPU changed.
pub(crate) const RECOVERY: u32 = 154;

/// The number of the action, how bad it is, and what to do.
#[rustfmt::skip]
const ACTIONS: &[(u32, u8, &str)] = &[
    (0x1, 1, "Drain the GPU and reset it: the driver asks for that (XID 154)."),
    (0x2, 2, "Drain the machine and start it again: the driver asks for that (XID 154)."),
    (0x4, 1, "Drain the GPU and reset it: the driver asks for that (XID 154)."),
];

/// The last action that a line names, from `to` on: `to 0x2 (Node Reboot Required)`.
pub(crate) fn asked_in(line: &str) -> Option<&str> {
    let asked = line.get(line.rfind("to 0x")?..)?;
    let end = asked.find(')').map_or(asked.len(), |end| end.saturating_add(1));
    asked.get(..end).map(str::trim_end)
}

/// Its number.
pub(crate) fn code_in(line: &str) -> Option<u32> {
    let asked = asked_in(line)?.strip_prefix("to 0x")?;
    let end = asked.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(asked.len());
    u32::from_str_radix(asked.get(..end)?, 16).ok()
}

/// What is to be done for the GPUs of a fault: the worst of what was asked for last of each.
pub(super) fn action<'a>(seen: impl Iterator<Item = &'a Seen>) -> Option<&'static str> {
    let mut last: Vec<(&Seen, u32)> = Vec::new();
    for sign in seen.filter(|sign| sign.sign.xid == Some(RECOVERY)) {
        let Some(code) = code_in(&sign.sign.text) else { continue };
        match last.iter_mut().find(|(known, _)| known.sign.is_on_same_gpu(&sign.sign)) {
            Some(known) => *known = (sign, code),
            None => last.push((sign, code)),
        }
    }
    let asked = last.iter().filter_map(|(_, code)| ACTIONS.iter().find(|row| row.0 == *code));
    asked.max_by_key(|row| row.1).map(|row| row.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_action_of_a_line_counts() {
        let line = "154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)";
        assert_eq!(asked_in(line), Some("to 0x2 (Node Reboot Required)"));
        assert_eq!(code_in(line), Some(2));
        assert_eq!(code_in("changed from 0x1 (go to 0x9) to 0x0 (None)"), Some(0));
        assert_eq!(code_in("changed to 0x4"), Some(4));
        for line in ["", "to 0x", "to 0xg", "to 0xfffffffff (much)", "changed"] {
            assert_eq!(code_in(line), None, "{line}");
        }
    }
}
