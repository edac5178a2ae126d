//! A file of fault commands, read again when it changes: within calls, and at most every 5 ms. The
//! library of `fake-dcgm` uses it, too.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How often whatever waits looks again.
pub const POLL: Duration = Duration::from_millis(5);

/// The commands of a control file, as they take effect.
pub trait Commands: Default {
    /// Applies one command. `None` where it is not one; nothing is applied then.
    fn apply_command(&mut self, words: &[&str]) -> Option<()>;
}

/// The commands of a text, and the lines that are not commands.
pub fn parse<C: Commands>(text: &str) -> (C, Vec<&str>) {
    let mut commands = C::default();
    let mut unknown = Vec::new();
    for line in text.lines() {
        let command = line.split('#').next().unwrap_or_default().trim();
        let words: Vec<&str> = command.split_whitespace().collect();
        if !words.is_empty() && commands.apply_command(&words).is_none() {
            unknown.push(command);
        }
    }
    (commands, unknown)
}

/// The control file, or the lack of one.
pub struct ControlFile<C> {
    /// Begins the messages on stderr.
    library: &'static str,
    path: Option<PathBuf>,
    began: Instant,
    /// Microseconds after `began` from which the file may be looked at again.
    due: AtomicU64,
    commands: RwLock<Arc<C>>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    stamp: Option<Stamp>,
    warned_about: BTreeSet<String>,
}

/// What changes when a file does: inode, size and time of writing.
type Stamp = (u64, u64, i64, i64);

impl<C: Commands> ControlFile<C> {
    /// The file at `path`, which is not read yet.
    pub fn new(library: &'static str, path: Option<PathBuf>) -> Self {
        let (due, seen) = (AtomicU64::new(0), Mutex::default());
        Self { library, path, began: Instant::now(), due, commands: RwLock::default(), seen }
    }

    /// Where it is.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The commands that the file had 5 ms ago or later. If they have changed, `on_change` gets the new
    /// ones before any call does.
    pub fn commands(&self, on_change: impl FnOnce(&C)) -> Arc<C> {
        if let Some(path) = &self.path
            && self.is_due()
        {
            self.look(path, on_change);
        }
        Arc::clone(&self.commands.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_due(&self) -> bool {
        self.micros() >= self.due.load(Ordering::Acquire)
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// A call that comes while another looks waits for its result: no call may get past a fault that
    /// was set long before it.
    fn look(&self, path: &Path, on_change: impl FnOnce(&C)) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_due() {
            return;
        }
        let next = self.micros() + POLL.as_micros() as u64;
        self.read(path, &mut seen, on_change);
        self.due.store(next, Ordering::Release);
    }

    fn read(&self, path: &Path, seen: &mut Seen, on_change: impl FnOnce(&C)) {
        let stamp = fs::metadata(path)
            .ok()
            .map(|file| (file.ino(), file.size(), file.mtime(), file.mtime_nsec()));
        if stamp == seen.stamp {
            return;
        }
        seen.stamp = stamp;
        // A file that is removed between the two calls is one without commands.
        let text = fs::read_to_string(path).unwrap_or_default();
        let (commands, unknown) = parse(&text);
        for line in unknown {
            if seen.warned_about.insert(line.to_owned()) {
                warn(self.library, &format!("{}: not understood: {line}", path.display()));
            }
        }
        on_change(&commands);
        *self.commands.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(commands);
    }
}

/// Writes a message on stderr; it is lost if stderr cannot be written.
pub fn warn(library: &str, message: &str) {
    let _ = writeln!(io::stderr(), "{library}: {message}");
}
