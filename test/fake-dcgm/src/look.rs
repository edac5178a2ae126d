//! Looks at the control file for changes, never more often than every 5 ms.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::orders::Orders;

/// How often whatever waits looks again.
pub(crate) const POLL: Duration = Duration::from_millis(5);

/// The control file, or the lack of one.
pub(crate) struct Look {
    path: Option<PathBuf>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    at: Option<Instant>,
    stamp: Option<Stamp>,
    orders: Arc<Orders>,
    complained_of: BTreeSet<String>,
}

/// What changes when a file does: inode, size and time of writing.
type Stamp = (u64, u64, i64, i64);

impl Look {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path, seen: Mutex::default() }
    }

    /// What goes wrong at present: what the file said 5 ms ago or later.
    pub(crate) fn orders(&self) -> Arc<Orders> {
        // Whoever comes while another looks waits for what that one sees: no call is to get past a
        // fault that was asked for long before it.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.path
            && seen.at.is_none_or(|at| at.elapsed() >= POLL)
        {
            seen.at = Some(Instant::now());
            let stamp = fs::metadata(path)
                .ok()
                .map(|file| (file.ino(), file.size(), file.mtime(), file.mtime_nsec()));
            if stamp != seen.stamp {
                // A file that went away between the two calls is one without commands.
                let orders = Orders::parse(&fs::read_to_string(path).unwrap_or_default());
                seen.stamp = stamp;
                for line in &orders.not_understood {
                    if seen.complained_of.insert(line.clone()) {
                        complain(&format!("{}: not understood: {line}", path.display()));
                    }
                }
                seen.orders = Arc::new(orders);
            }
        }
        Arc::clone(&seen.orders)
    }
}

/// Says something on stderr; where nobody delivers_xids, it is lost.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "fake-dcgm: {message}");
}
