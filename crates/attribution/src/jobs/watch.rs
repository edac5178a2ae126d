//! Tells of changes in the folder of job files, by inotify. It may miss some: a network file system
//! has no inotify, and watches are limited. The periodic look finds what it misses.

use std::mem;
use std::path::{self, Path, PathBuf};

use notify::event::{AccessKind, AccessMode};
use notify::{Config, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::jobs::content;

/// A watch of the folder.
pub(super) struct Watch {
    folder: PathBuf,
    /// `None` if there is no inotify, or no thread to wait for it.
    watcher: Option<RecommendedWatcher>,
    /// Whether it was logged that changes are not seen.
    is_logged: bool,
}

impl Watch {
    /// `changed` is called when a job file may have changed.
    pub(super) fn new(folder: PathBuf, changed: impl Fn() + Send + 'static) -> Self {
        // As in events.
        let folder = path::absolute(&folder).unwrap_or(folder);
        let path = folder.clone();
        let watcher = open(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| concerns_jobs(&event, &path)) {
                changed();
            }
        });
        let mut watch = Self { folder, watcher: None, is_logged: false };
        match watcher {
            Ok(watcher) => watch.watcher = Some(watcher),
            Err(error) => watch.log(&error),
        }
        watch
    }

    /// Watches the folder that is at the path now: it may have been replaced.
    pub(super) fn renew(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        // Fails if the folder was not watched, or is gone.
        let _ = watcher.unwatch(&self.folder);
        match watcher.watch(&self.folder, RecursiveMode::NonRecursive) {
            Ok(()) => self.is_logged = false,
            // The look says so.
            Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => {}
            Err(error) => self.log(&error),
        }
    }

    fn log(&mut self, error: &notify::Error) {
        if !mem::replace(&mut self.is_logged, true) {
            tracing::warn!(
                "jobs: no notice of changes in {}, so that they are seen later: {error}; \
                 raise fs.inotify.max_user_watches and fs.inotify.max_user_instances",
                self.folder.display(),
            );
        }
    }
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

/// Whether a job file may have changed. Reading makes events too.
fn concerns_jobs(event: &Event, folder: &Path) -> bool {
    let is_change = match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    };
    let names_device = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        path == folder || name.is_some_and(|name| content::device(name).is_some())
    };
    is_change && (event.need_rescan() || event.paths.iter().any(names_device))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc;
    use std::time::Duration;

    use notify::event::{CreateKind, Flag, ModifyKind, RemoveKind, RenameMode};

    use super::*;

    #[test]
    fn only_changes_of_job_files_and_of_the_folder_count() {
        let open = EventKind::Access(AccessKind::Open(AccessMode::Any));
        let close = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let create = EventKind::Create(CreateKind::File);
        let rename = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let remove = EventKind::Remove(RemoveKind::Folder);
        let cases = [
            (create, "/run/jobs/0", true),
            (close, "/run/jobs/0.1", true),
            (rename, "/run/jobs/GPU-5cd1a2b3-0000-1111-2222-333344445555", true),
            (remove, "/run/jobs", true),
            (open, "/run/jobs/0", false),
            (open, "/run/jobs", false),
            (create, "/run/jobs/0.tmp", false),
        ];
        for (kind, path, expected) in cases {
            let event = Event::new(kind).add_path(path.into());
            assert_eq!(concerns_jobs(&event, Path::new("/run/jobs")), expected, "{kind:?} {path}");
        }
        let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert!(concerns_jobs(&overflow, Path::new("/run/jobs")));
    }

    #[test]
    fn a_folder_that_is_replaced_is_watched_again_and_reading_it_is_no_change() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("jobs");
        let (sender, receiver) = mpsc::channel();
        let mut watch = Watch::new(folder.clone(), move || sender.send(()).unwrap());
        let is_told = |within: u64| receiver.recv_timeout(Duration::from_millis(within)).is_ok();
        watch.renew();
        let ends: [fn(&Path); 3] = [
            |folder| fs::remove_dir_all(folder).unwrap(),
            |folder| fs::rename(folder, folder.with_extension("old")).unwrap(),
            |folder| fs::remove_dir_all(folder).unwrap(),
        ];
        for end in ends {
            fs::create_dir(&folder).unwrap();
            watch.renew();
            while receiver.try_recv().is_ok() {}
            fs::write(folder.join("0"), "1\n").unwrap();
            assert!(is_told(60_000));

            // Drops what has happened until now.
            watch.renew();
            while receiver.try_recv().is_ok() {}
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
            assert_eq!(fs::read(folder.join("0")).unwrap(), b"1\n");
            assert!(!is_told(100));

            end(&folder);
            assert!(is_told(60_000));
        }
    }
}
