//! The refresher `jobs`: which jobs use which devices, from files that the prolog of a batch system
//! writes.

mod content;
mod folder;
mod watch;

use std::io;
use std::sync::Arc;

use crate::jobs::folder::Folder;
use crate::jobs::watch::Watch;
use crate::parts::{Part, PartKind};
use crate::refresher;
use crate::settings::JobSettings;
use crate::shared::Shared;

/// Starts the refresher. It looks once per interval, which suffices on a network file system, and
/// at once when a file changes.
///
/// # Errors
///
/// If there is no thread.
pub(crate) fn start(shared: &Arc<Shared>, settings: &JobSettings) -> io::Result<()> {
    let to_wake = Arc::clone(shared);
    let mut watch = Watch::new(settings.folder.clone(), move || to_wake.wake(PartKind::Jobs));
    let mut folder = Folder::new(settings.folder.clone());
    refresher::start(Arc::clone(shared), PartKind::Jobs, move || {
        // Before the look, so that no change is missed between the two.
        watch.renew();
        folder.look().map(|part| Part::Jobs(Arc::new(part)))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::thread;
    use std::time::Duration;

    use model::Moment;

    use super::*;
    use crate::refresher::MIN_INTERVAL;
    use crate::settings::Settings;

    fn started(folder: &Path) -> Arc<Shared> {
        let hour = Duration::from_secs(3600);
        let settings = Settings {
            interval: hour,
            max_age: hour,
            kubelet: None,
            pods: None,
            dra: None,
            node: None,
            jobs: Some(JobSettings { folder: folder.to_owned() }),
        };
        let shared = Arc::new(Shared::new(settings, [PartKind::Jobs]));
        start(&shared, shared.settings.jobs.as_ref().unwrap()).unwrap();
        shared
    }

    /// Waits for this number of uses.
    fn wait_for(shared: &Shared, entries: u64) {
        let begin = Moment::now();
        loop {
            let view = shared.current(Moment::now()).refreshers[0].clone();
            if view.up && view.entries == Some(entries) {
                return;
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "{view:?}, not {entries}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_change_of_a_file_is_seen_long_before_the_next_periodic_look() {
        let folder = tempfile::tempdir().unwrap();
        let shared = started(folder.path());
        wait_for(&shared, 0);
        fs::write(folder.path().join("0"), "1\n2\n").unwrap();
        wait_for(&shared, 2);
        fs::write(folder.path().join("1.tmp"), "3\n").unwrap();
        fs::rename(folder.path().join("1.tmp"), folder.path().join("1")).unwrap();
        wait_for(&shared, 3);
        fs::remove_file(folder.path().join("0")).unwrap();
        wait_for(&shared, 1);
        shared.stop();
    }

    #[test]
    fn a_folder_that_comes_later_vanishes_and_comes_back_is_read() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("jobs");
        let shared = started(&folder);
        for _ in 0..3 {
            fs::create_dir(&folder).unwrap();
            // In place of the periodic look: inotify does not tell of a folder that is created.
            shared.wake(PartKind::Jobs);
            wait_for(&shared, 0);
            fs::write(folder.join("0"), "1\n").unwrap();
            wait_for(&shared, 1);
            fs::remove_dir_all(&folder).unwrap();
        }
        shared.stop();
    }

    #[test]
    fn looks_are_limited_and_do_not_cause_looks() {
        let folder = tempfile::tempdir().unwrap();
        // Each look counts it as an error.
        fs::create_dir(folder.path().join("0")).unwrap();
        let shared = started(folder.path());
        wait_for(&shared, 0);
        let looks = || {
            let view = shared.current(Moment::now()).refreshers[0].clone();
            view.errors.get("malformed").copied().unwrap_or_default()
        };
        let begin = Moment::now();
        for _ in 0..300 {
            fs::write(folder.path().join("1"), "1\n").unwrap();
            thread::sleep(Duration::from_millis(1));
        }
        wait_for(&shared, 1);
        thread::sleep(3 * MIN_INTERVAL);
        let seen = looks();
        let most = 2 + u64::try_from(begin.elapsed().as_millis() / 100).unwrap();
        assert!((2..=most).contains(&seen), "{seen} of {most}");

        let is_quiet = || {
            let before = looks();
            thread::sleep(3 * MIN_INTERVAL);
            looks() == before
        };
        assert!((0..60).any(|_| is_quiet()), "reading is no change");
        shared.stop();
    }
}
