//! Messages of the kernel, as one read of a log returns them.

use std::time::Duration;

/// How many messages are read before they are counted.
pub(crate) const MAX_BATCH: usize = 200;

/// One message of the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    /// The printk clock: about the time since the start of the machine, without suspend. `None` if the
    /// log has no time.
    pub(crate) at: Option<Duration>,
    /// The text, with its line breaks. Bytes that are not UTF-8 are replaced by U+FFFD.
    pub(crate) text: String,
}

/// What one read of a log returns.
#[derive(PartialEq, Eq, Default, Debug)]
pub(crate) struct Batch {
    /// In the order of the log.
    pub(crate) messages: Vec<Message>,
    /// How many messages were lost before they could be read.
    pub(crate) lost: u64,
    /// Whether more can be read at once.
    pub(crate) is_behind: bool,
}
