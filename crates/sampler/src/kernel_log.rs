//! The kernel log: where the driver reports XIDs, SXids of NVSwitches, and failures of GPUs.
//!
//! The driver writes every XID to the kernel log; its events leave some out. So where the log can be
//! read, XIDs are counted from it alone, and an event only makes its thread read at once. Where it
//! cannot, they are counted from events. A line and an event have nothing in common to be matched by,
//! so it is never both.
//!
//! - `location`, `log`: where the log is read from. `journal`, `kmsg` and `text_file` read its forms.
//! - `line`: what one message means. `oom`: what several messages say of an OOM kill.

pub(crate) mod batch;
mod journal;
mod kmsg;
pub(crate) mod line;
pub(crate) mod location;
pub(crate) mod log;
pub(crate) mod oom;
mod text;
mod text_file;

use std::path::PathBuf;

use model::Xid;

use location::{LogError, LogLocation};
use log::Log;

/// Which log is read, and what its XIDs mean.
#[derive(Clone, Debug)]
pub struct KernelLog {
    /// Where the log is.
    pub location: LogLocation,
    /// The folder that `dev`, `var` and `run` are in: `/`, or the host's root in a container.
    pub root: PathBuf,
    /// The meaning of an XID.
    pub meaning: fn(u32) -> Xid,
}

impl KernelLog {
    /// Tests whether the log can be read, and returns its name.
    ///
    /// # Errors
    ///
    /// Why it cannot be read, and what would make it readable.
    pub fn probe(&self) -> Result<String, LogError> {
        let (mut log, name) = Log::open(&self.location, &self.root)?;
        match log.read() {
            Ok(_) => Ok(name),
            Err(source) => Err(LogError::unreadable(name, source)),
        }
    }
}
