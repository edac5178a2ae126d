//! Reads the folder of job files. A file that cannot be used costs itself only.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use model::DeviceKey;

use crate::error::{ErrorReason, RefreshError};
use crate::files;
use crate::jobs::content;
use crate::parts::{JobsPart, PartKind};
use crate::skipped::Skipped;

/// The size from which a file is skipped, and so every line that is as long.
const FILE_LIMIT: usize = 64 * 1024;
/// The most files: UUIDs first, then the lowest indexes.
const MOST_FILES: usize = 4096;
/// The most jobs of a file: its first.
const MOST_JOBS: usize = 256;
/// The longest job id in bytes. It becomes a label of every series of its GPU.
const MAX_JOB: usize = 1024;
/// The most bytes that the jobs of all files take.
const MOST_BYTES: usize = 1024 * 1024;

/// The files of a folder that are named by a device, by this device.
#[derive(Default)]
struct JobFiles {
    files: BTreeSet<(DeviceKey, String)>,
    are_too_many: bool,
}

impl JobFiles {
    /// Adds a file, if it is named by a device.
    fn add(&mut self, name: String) {
        let Some(device) = content::device(&name) else { return };
        self.files.insert((device, name));
        if self.files.len() > MOST_FILES {
            self.files.pop_last();
            self.are_too_many = true;
        }
    }
}

/// The folder of job files.
pub(super) struct Folder {
    path: PathBuf,
    skipped: Skipped,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, skipped: Skipped::new(PartKind::Jobs) }
    }

    /// Reads all files.
    ///
    /// # Errors
    ///
    /// If the folder cannot be listed.
    pub(super) fn look(&mut self) -> Result<JobsPart, RefreshError> {
        let mut uses: Vec<(DeviceKey, Arc<str>)> = Vec::new();
        let mut bytes = 0;
        for (device, name) in self.list()?.files {
            let jobs = self.read(&device, &name);
            let size = |id: &Arc<str>| id.len() + size_of::<(DeviceKey, Arc<str>)>();
            let more: usize = jobs.iter().map(size).sum();
            if bytes + more > MOST_BYTES {
                self.skip(&name, &format!("it is left out: all jobs take over {MOST_BYTES} bytes"));
            } else {
                bytes += more;
                uses.extend(jobs.into_iter().map(|id| (device.clone(), id)));
            }
        }
        Ok(JobsPart { uses, skipped: self.skipped.counts() })
    }

    fn list(&mut self) -> Result<JobFiles, RefreshError> {
        let failed =
            |cause| files::error(&self.path, &cause, "create it, or correct --hpc-job-mapping-dir");
        let mut found = JobFiles::default();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
                found.add(name);
            }
        }
        if found.are_too_many {
            self.skip("", &format!("it has more than {MOST_FILES} job files"));
        }
        Ok(found)
    }

    /// The jobs of a file.
    fn read(&mut self, device: &DeviceKey, name: &str) -> Vec<Arc<str>> {
        let mut jobs = match files::read(&self.path.join(name), FILE_LIMIT) {
            Ok(content) => content::jobs(device, &content),
            // Removed since the folder was listed: its jobs have ended.
            Err(error) if error.reason == ErrorReason::Absent => Vec::new(),
            Err(error) => {
                self.skipped.add(error);
                Vec::new()
            }
        };
        let count = jobs.len();
        jobs.retain(|job| job.len() <= MAX_JOB);
        if jobs.len() < count {
            self.skip(name, &format!("it has a job id of over {MAX_JOB} bytes"));
        }
        if jobs.len() > MOST_JOBS {
            self.skip(name, &format!("it has more than {MOST_JOBS} jobs"));
            jobs.truncate(MOST_JOBS);
        }
        jobs
    }

    /// Something of a file is too much.
    fn skip(&mut self, name: &str, what: &str) {
        let path = self.path.join(name);
        let message = format!("{}: {what}; remove those that have ended", path.display());
        self.skipped.add(RefreshError::new(ErrorReason::TooLarge, message));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    use model::GpuKey;
    use tempfile::TempDir;

    use super::*;

    fn folder() -> (TempDir, Folder) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        (folder, Folder::new(path))
    }

    fn index(number: u32) -> DeviceKey {
        DeviceKey::whole(GpuKey::Index(number))
    }

    type Uses = Vec<(DeviceKey, String)>;
    type Skips = Vec<(ErrorReason, u64)>;

    fn look(folder: &mut Folder) -> (Uses, Skips) {
        let part = folder.look().unwrap();
        let uses = part.uses.into_iter().map(|(device, id)| (device, id.to_string()));
        (uses.collect(), part.skipped.into_iter().collect())
    }

    fn write(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) {
        fs::write(folder.path().join(name), content).unwrap();
    }

    #[test]
    fn files_with_the_name_of_a_device_are_read() {
        let (path, mut folder) = folder();
        let uuid = "GPU-5cd1a2b3-0000-1111-2222-333344445555";
        write(&path, "10", "4\n");
        write(&path, "2", "2\n3\n");
        write(&path, uuid, "1 1000\n");
        write(&path, "notes", "no job\n");
        write(&path, "elsewhere", "5\n");
        symlink("elsewhere", path.path().join("11")).unwrap();
        symlink("nowhere", path.path().join("12")).unwrap();
        let expected = [
            (DeviceKey::uuid(uuid), "1"),
            (index(2), "2"),
            (index(2), "3"),
            (index(10), "4"),
            (index(11), "5"),
        ];
        let expected = expected.map(|(device, id)| (device, id.to_owned())).to_vec();
        assert_eq!(look(&mut folder), (expected, vec![]));
    }

    #[test]
    fn an_empty_folder_has_no_jobs() {
        let (_path, mut folder) = folder();
        assert_eq!(look(&mut folder), (vec![], vec![]));
    }

    #[test]
    fn a_folder_that_is_not_there_or_is_a_file_is_an_error() {
        let (path, _) = folder();
        write(&path, "file", "");
        let of = |name: &str| Folder::new(path.path().join(name)).look().unwrap_err();
        let absent = of("jobs");
        assert_eq!(absent.reason, ErrorReason::Absent);
        assert!(absent.message.ends_with("; create it, or correct --hpc-job-mapping-dir"));
        assert_eq!(of("file").reason, ErrorReason::Failed);
    }

    #[test]
    fn a_file_that_cannot_be_used_costs_itself_only() {
        let (path, mut folder) = folder();
        write(&path, "0", "1\n");
        write(&path, "1", vec![b'x'; FILE_LIMIT]);
        write(&path, "2", vec![b'x'; FILE_LIMIT - 1]);
        fs::create_dir(path.path().join("3")).unwrap();
        let fifo = path.path().join("4");
        assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
        write(&path, "5", "5\n");
        let (uses, skipped) = look(&mut folder);
        let devices: Vec<DeviceKey> = uses.into_iter().map(|(device, _)| device).collect();
        assert_eq!(devices, [index(0), index(5)]);
        assert_eq!(skipped, [(ErrorReason::TooLarge, 2), (ErrorReason::Malformed, 2)]);

        let (_, skipped) = look(&mut folder);
        assert_eq!(skipped, [(ErrorReason::TooLarge, 4), (ErrorReason::Malformed, 4)]);
    }

    #[test]
    fn a_file_that_may_not_be_read_costs_itself_only() {
        let (path, mut folder) = folder();
        write(&path, "0", "1\n");
        write(&path, "1", "2\n");
        let secret = path.path().join("1");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
        if fs::read(&secret).is_ok() {
            eprintln!("not tested: this user may read everything");
            return;
        }
        let (uses, skipped) = look(&mut folder);
        assert_eq!(uses, [(index(0), "1".to_owned())]);
        assert_eq!(skipped, [(ErrorReason::NotPermitted, 1)]);
    }

    #[test]
    fn a_file_that_is_removed_while_the_folder_is_read_is_no_error() {
        let (path, mut folder) = folder();
        write(&path, "0", "1\n");
        let found = folder.list().unwrap();
        fs::remove_file(path.path().join("0")).unwrap();
        let (device, name) = found.files.first().unwrap();
        assert_eq!(folder.read(device, name), []);
        assert!(folder.skipped.counts().is_empty());
    }

    #[test]
    fn only_so_many_jobs_of_a_file_count() {
        let (path, mut folder) = folder();
        let content: String = (0..300).map(|id| format!("{id}\n")).collect();
        write(&path, "0", content);
        let (uses, skipped) = look(&mut folder);
        assert_eq!(uses.len(), MOST_JOBS);
        assert_eq!(uses[0].1, "0");
        assert_eq!(skipped, [(ErrorReason::TooLarge, 1)]);
    }

    #[test]
    fn jobs_take_only_so_much_memory() {
        let (path, mut folder) = folder();
        for name in 0..20 {
            let job = |number| format!("{number:01000}\n");
            write(&path, &name.to_string(), (0..64).map(job).collect::<String>());
        }
        let (uses, skipped) = look(&mut folder);
        assert_eq!(
            uses.len(),
            15 * 64,
            "16 files of nearly 64 KiB take over 1 MiB with their keys"
        );
        assert_eq!(skipped, [(ErrorReason::TooLarge, 5)]);
    }

    #[test]
    fn of_100_000_files_those_of_the_first_devices_are_read() {
        let mut found = JobFiles::default();
        for number in 0..100_000 {
            found.add(format!("job.{number}"));
        }
        assert!(found.files.is_empty() && !found.are_too_many);
        for number in (0..100_000).rev() {
            found.add(number.to_string());
        }
        assert!(found.are_too_many);
        assert_eq!(found.files.len(), MOST_FILES);
        assert_eq!(found.files.last(), Some(&(index(4095), "4095".to_owned())));
    }

    #[test]
    fn a_folder_with_too_many_files_is_read_and_counted_once() {
        let (path, mut folder) = folder();
        for number in 0..MOST_FILES + 2 {
            write(&path, &number.to_string(), "");
        }
        write(&path, "7", "1\n");
        let (uses, skipped) = look(&mut folder);
        assert_eq!(uses, [(index(7), "1".to_owned())]);
        assert_eq!(skipped, [(ErrorReason::TooLarge, 1)]);
    }
}
