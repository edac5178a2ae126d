//! Messages of the kernel log, until the one who follows them reads them.

use std::collections::{BTreeSet, VecDeque};

use model::{DriverError, LogMessage, LogMessageKind};

/// How many messages that were not read are kept.
const MAX_MESSAGES: usize = 256;

/// What messages repeat if they say the same of one device.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Repeated<'a> {
    Driver,
    DriverError(&'a str, DriverError),
    OomKill(&'a str, Option<&'a str>),
    Sxid(&'a str, u32),
    Xid(&'a str, u32),
}

impl<'a> Repeated<'a> {
    fn of(kind: &'a LogMessageKind) -> Self {
        match kind {
            LogMessageKind::Driver => Self::Driver,
            LogMessageKind::DriverError { pci_bus_id, error } => {
                Self::DriverError(pci_bus_id, *error)
            }
            LogMessageKind::OomKill { name, cgroup, .. } => Self::OomKill(name, cgroup.as_deref()),
            LogMessageKind::Sxid { pci_bus_id, code, .. } => Self::Sxid(pci_bus_id, *code),
            LogMessageKind::Xid { pci_bus_id, code, .. } => Self::Xid(pci_bus_id, *code),
        }
    }
}

/// Messages of the kernel log that were not read yet.
#[derive(Default)]
pub(crate) struct UnreadMessages {
    /// The oldest first.
    messages: VecDeque<LogMessage>,
    /// How many were left out since the last reading, without those from before this process.
    left_out: u64,
}

impl UnreadMessages {
    /// Adds a message. Of too many, the oldest that a later one repeats is left out, or the oldest.
    pub(crate) fn add(&mut self, message: LogMessage) {
        self.messages.push_back(message);
        if self.messages.len() > MAX_MESSAGES {
            let left_out = self.messages.remove(self.oldest_repeated());
            self.left_out += u64::from(left_out.is_some_and(|message| !message.is_old));
        }
    }

    /// The position of the oldest message that a later one repeats; 0 if each is the only one of its kind.
    fn oldest_repeated(&self) -> usize {
        let mut later = BTreeSet::new();
        let from_newest = self.messages.iter().enumerate().rev();
        let repeated =
            from_newest.filter(|(_, message)| !later.insert(Repeated::of(&message.kind)));
        repeated.last().map_or(0, |(at, _)| at)
    }

    /// Takes them, and how many were left out.
    pub(crate) fn take(&mut self) -> (Vec<LogMessage>, u64) {
        let Self { messages, left_out } = std::mem::take(self);
        (messages.into(), left_out)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn message(kind: LogMessageKind, is_old: bool) -> LogMessage {
        LogMessage { time: SystemTime::UNIX_EPOCH, is_old, text: "".into(), kind }
    }

    fn xid(pci_bus_id: &str, code: u32, is_old: bool) -> LogMessage {
        let (pci_bus_id, process) = (pci_bus_id.to_owned(), None);
        let kind = LogMessageKind::Xid { pci_bus_id, code, process, link: None, severity: None };
        message(kind, is_old)
    }

    fn kill(number: usize) -> LogMessage {
        let kind = LogMessageKind::OomKill {
            pid: 7,
            name: format!("process {number}"),
            limited_cgroup: None,
            cgroup: None,
            anonymous_kb: None,
        };
        message(kind, false)
    }

    #[test]
    fn of_too_many_messages_those_that_others_repeat_go_first() {
        let mut unread = UnreadMessages::default();
        for (address, code) in [("a", 48), ("a", 45), ("b", 45), ("a", 79)] {
            unread.add(xid(address, code, false));
        }
        assert_eq!(unread.oldest_repeated(), 0, "each is the only one");
        unread.add(xid("a", 45, false));
        assert_eq!(unread.oldest_repeated(), 1);
        unread.add(xid("a", 48, false));
        assert_eq!(unread.oldest_repeated(), 0);
    }

    #[test]
    fn what_was_read_leaves_room() {
        let mut unread = UnreadMessages::default();
        (0..MAX_MESSAGES).for_each(|number| unread.add(kill(number)));
        assert_eq!(unread.take().0.len(), MAX_MESSAGES);
        let burst = [[xid("a", 48, false)].as_slice(), &vec![xid("b", 45, false); 10]].concat();
        burst.iter().for_each(|message| unread.add(message.clone()));
        assert_eq!(unread.take(), (burst, 0));
        assert_eq!(unread.take(), (Vec::new(), 0));
    }

    #[test]
    fn messages_from_before_this_process_are_not_missed() {
        let mut unread = UnreadMessages::default();
        for is_old in [true, false] {
            (0..MAX_MESSAGES).for_each(|_| unread.add(xid("a", 45, is_old)));
        }
        (0..3).for_each(|_| unread.add(xid("a", 45, false)));
        let (messages, left_out) = unread.take();
        assert_eq!((messages.len(), left_out), (MAX_MESSAGES, 3));
    }
}
