//! Asks for a reload when a file changes.
//!
//! A file counts as changed when its inode, size, times or the target of its link differ from when it was
//! last looked at. inotify on the folders of the files says when to look; a look every few seconds finds
//! what inotify does not tell, as on network file systems.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::mem;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::reload_request::ReloadHandle;

/// From one look to the next, without a word from inotify.
const LOOK: Duration = Duration::from_secs(5);

/// Files that have not changed for this long are read.
const QUIET: Duration = Duration::from_millis(250);

/// Files that change all the time are read after this time.
const MOST_DELAY: Duration = Duration::from_secs(5);

/// The most wakes that wait. Further events in folders are left out.
const MAX_WAITING: usize = 16;

/// The thread that looks at files.
pub(crate) struct FileWatch(SyncSender<Wake>);

/// Why the thread looks.
enum Wake {
    /// Something happened in a folder.
    Event,
    /// These are the files from now on, as they were before they were read.
    Files(Stamps),
}

/// What a change of each of these files changes, as it was at one time.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Stamps(BTreeMap<PathBuf, Stamp>);

/// What a change of a file changes. `None` if there is no file.
type Stamp = Option<Identity>;

#[derive(Clone, PartialEq, Eq, Debug)]
struct Identity {
    /// The target of a symbolic link.
    link: Option<PathBuf>,
    device: u64,
    inode: u64,
    size: u64,
    /// Modification and change, in seconds and nanoseconds.
    times: [i64; 4],
}

impl Stamps {
    /// Adds files as they are now, without those that it has already.
    pub(crate) fn add(&mut self, files: &[PathBuf]) {
        for path in files {
            self.0.entry(path.clone()).or_insert_with_key(|path| stamp(path));
        }
    }

    /// Leaves out all files but these.
    pub(crate) fn keep(&mut self, files: &[PathBuf]) {
        self.0.retain(|path, _| files.contains(path));
    }

    /// The same files as they are now.
    pub(crate) fn renewed(&self) -> Self {
        Self(self.0.keys().map(|path| (path.clone(), stamp(path))).collect())
    }

    /// The first file that differs.
    fn changed(&self, now: &Self) -> Option<&Path> {
        let mut all = self.0.iter();
        all.find(|(path, stamp)| now.0.get(*path) != Some(stamp)).map(|(path, _)| path.as_path())
    }
}

impl FileWatch {
    /// Starts to look for changes of files since they were as in `seen`. `None` without files, and without
    /// a thread, which is logged.
    pub(crate) fn start(seen: Stamps, reload: ReloadHandle) -> Option<Self> {
        if seen.0.is_empty() {
            return None;
        }
        let (wake, woken) = mpsc::sync_channel(MAX_WAITING);
        let events = wake.clone();
        let run = move || Look::new(events, seen, reload).run(&woken);
        match thread::Builder::new().name("files".to_owned()).spawn(run) {
            Ok(_) => Some(Self(wake)),
            Err(error) => {
                tracing::error!("changed files will not be noticed: no thread to look: {error}");
                None
            }
        }
    }

    /// Looks for changes of these files from now on.
    pub(crate) fn set(&self, seen: Stamps) {
        // Fails once nothing looks any more.
        let _ = self.0.send(Wake::Files(seen));
    }
}

struct Look {
    /// `None` if there is no inotify, or no thread to wait for it.
    watcher: Option<RecommendedWatcher>,
    /// The folders that are watched, with the inode that each had.
    folders: HashMap<PathBuf, u64>,
    /// The files, as they were when they were read or last looked at.
    seen: Stamps,
    reload: ReloadHandle,
}

impl Look {
    fn new(events: SyncSender<Wake>, seen: Stamps, reload: ReloadHandle) -> Self {
        let watcher = open(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| is_change(&event)) {
                // Fails once nothing looks any more, and while enough wakes wait.
                let _ = events.try_send(Wake::Event);
            }
        });
        let watcher = match watcher {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!("no inotify, so that changed files are noticed later: {error}");
                None
            }
        };
        Self { watcher, folders: HashMap::new(), seen, reload }
    }

    fn run(mut self, woken: &Receiver<Wake>) {
        loop {
            self.renew();
            self.look(woken);
            match woken.recv_timeout(LOOK) {
                Ok(wake) => {
                    self.take(wake);
                    // In a busy folder, one look is for many events.
                    thread::sleep(QUIET);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.drain(woken);
        }
    }

    fn take(&mut self, wake: Wake) {
        if let Wake::Files(seen) = wake {
            self.seen = seen;
            self.renew();
        }
    }

    fn drain(&mut self, woken: &Receiver<Wake>) {
        while let Ok(wake) = woken.try_recv() {
            self.take(wake);
        }
    }

    /// Asks for a reload if a file has changed, once it is quiet.
    fn look(&mut self, woken: &Receiver<Wake>) {
        let mut now = self.seen.renewed();
        let Some(changed) = self.seen.changed(&now) else { return };
        let trigger = format!("{} changed", changed.display());
        let began = Instant::now();
        while began.elapsed() < MOST_DELAY {
            thread::sleep(QUIET);
            self.drain(woken);
            let before = mem::replace(&mut now, self.seen.renewed());
            if before == now {
                break;
            }
        }
        self.seen = now;
        self.reload.request(&trigger);
    }

    /// Watches the folders that there are now: one may have been replaced.
    fn renew(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted: Vec<&Path> = self.seen.0.keys().filter_map(|path| folder(path)).collect();
        let is_wanted = |path: &PathBuf| wanted.contains(&path.as_path());
        for (gone, _) in self.folders.extract_if(|path, _| !is_wanted(path)) {
            let _ = watcher.unwatch(&gone);
        }
        for path in wanted {
            let inode = fs::metadata(path).map(|meta| meta.ino()).ok();
            if inode.is_some() && self.folders.get(path).copied() == inode {
                continue;
            }
            // Fails if the folder was not watched, or is gone.
            let _ = watcher.unwatch(path);
            self.folders.remove(path);
            if let Some(inode) = inode
                && watcher.watch(path, RecursiveMode::NonRecursive).is_ok()
            {
                self.folders.insert(path.to_owned(), inode);
            }
        }
    }
}

/// The folder of a file.
fn folder(path: &Path) -> Option<&Path> {
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

fn stamp(path: &Path) -> Stamp {
    let meta = fs::metadata(path).ok()?;
    Some(Identity {
        link: fs::read_link(path).ok(),
        device: meta.dev(),
        inode: meta.ino(),
        size: meta.size(),
        times: [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()],
    })
}

/// Opens inotify, with a thread that waits for it.
fn open(
    handler: impl FnMut(notify::Result<Event>) + Send + 'static,
) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(handler)?;
    match watcher.configure(Config::default()) {
        Ok(_) => Ok(watcher),
        Err(error) => {
            // There was no thread for it. Its other calls panic then, also the one that drops it.
            mem::forget(watcher);
            Err(error)
        }
    }
}

/// Whether something may have changed. Reading makes events too.
fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn seen(files: &[&Path]) -> Stamps {
        let mut stamps = Stamps::default();
        stamps.add(&files.iter().map(|path| path.to_path_buf()).collect::<Vec<_>>());
        stamps
    }

    /// A file under watch, and the reloads that are asked for.
    struct Watched {
        path: PathBuf,
        reloads: Receiver<crate::reload_request::ReloadRequest>,
        _watch: FileWatch,
    }

    impl Watched {
        fn new(path: PathBuf) -> Self {
            let (handle, reloads) = ReloadHandle::new();
            let watch = FileWatch::start(seen(&[&path]), handle).expect("a thread");
            // inotify is set up on the thread.
            thread::sleep(Duration::from_millis(200));
            Self { path, reloads, _watch: watch }
        }

        fn assert_reloads(&self, what: &str) {
            let request = self.reloads.recv_timeout(Duration::from_secs(60));
            let request = request.unwrap_or_else(|_| panic!("no reload: {what}"));
            assert_eq!(request.trigger, format!("{} changed", self.path.display()), "{what}");
        }

        fn assert_quiet(&self) {
            assert!(self.reloads.recv_timeout(Duration::from_millis(700)).is_err());
        }
    }

    #[test]
    fn nothing_to_watch_starts_no_thread() {
        assert!(FileWatch::start(Stamps::default(), ReloadHandle::new().0).is_none());
    }

    #[test]
    fn each_way_to_change_a_file_is_seen_and_reading_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs::write(&path, "1").unwrap();
        let watched = Watched::new(path.clone());
        fs::read(&path).unwrap();
        fs::write(folder.path().join("other"), "x").unwrap();
        watched.assert_quiet();
        fs::write(&path, "22").unwrap();
        watched.assert_reloads("written");
        let new = folder.path().join(".a.csv.swp");
        fs::write(&new, "33").unwrap();
        fs::rename(&new, &path).unwrap();
        watched.assert_reloads("replaced, as editors do");
        fs::remove_file(&path).unwrap();
        watched.assert_reloads("removed");
        fs::write(&path, "33").unwrap();
        watched.assert_reloads("made again");
        watched.assert_quiet();
    }

    #[test]
    fn the_links_of_a_config_map_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("a.csv"), "same size").unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/a.csv", at("a.csv")).unwrap();
        let watched = Watched::new(at("a.csv"));
        symlink("..2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        fs::remove_dir_all(at("..1")).unwrap();
        watched.assert_reloads("the kubelet's swap");
        watched.assert_quiet();
    }

    #[test]
    fn a_folder_that_is_replaced_is_watched_again() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("etc");
        let path = folder.join("a.csv");
        fs::create_dir(&folder).unwrap();
        fs::write(&path, "1").unwrap();
        let watched = Watched::new(path.clone());
        fs::remove_dir_all(&folder).unwrap();
        watched.assert_reloads("the folder is gone");
        fs::create_dir(&folder).unwrap();
        fs::write(&path, "22").unwrap();
        watched.assert_reloads("the folder is back");
        fs::write(&path, "333").unwrap();
        watched.assert_reloads("written in the new folder");
    }

    #[test]
    fn a_change_after_the_stamps_is_seen_whenever_the_watch_begins() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a.csv"), folder.path().join("b.csv"));
        fs::write(&first, "1").unwrap();
        let before = seen(&[&first]);
        fs::write(&first, "22").unwrap();
        let (handle, reloads) = ReloadHandle::new();
        let watch = FileWatch::start(before, handle).expect("a thread");
        let reload = |what: &str| {
            let request = reloads.recv_timeout(Duration::from_secs(60));
            request.unwrap_or_else(|_| panic!("no reload: {what}")).trigger
        };
        assert_eq!(reload("at the start"), format!("{} changed", first.display()));
        // A reload that names a new file, which is made after the read.
        let now = seen(&[&first, &second]);
        fs::write(&second, "1").unwrap();
        watch.set(now);
        assert_eq!(reload("a new file"), format!("{} changed", second.display()));
    }

    #[test]
    fn many_changes_ask_for_one_reload() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs::write(&path, "").unwrap();
        let watched = Watched::new(path.clone());
        let attempt = || {
            let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
            for size in 1..20 {
                fs::write(&path, "x".repeat(size)).unwrap();
                longest = longest.max(last.elapsed());
                last = Instant::now();
                thread::sleep(Duration::from_millis(20));
            }
            watched.assert_reloads("written slowly");
            longest < QUIET / 2
        };
        // After a longer pause, as on a machine that stands still, a second reload is right.
        let is_quick = |_| {
            let is_quick = attempt();
            while !is_quick && watched.reloads.recv_timeout(4 * QUIET).is_ok() {}
            is_quick
        };
        assert!((0..20).any(is_quick), "a machine that is quick once");
        watched.assert_quiet();
    }
}
