//! The refresher `checkpoint`: which devices NVIDIA's DRA driver has prepared for which claims,
//! from the file that it keeps on this node. Dynamic MIG devices are described nowhere else.

mod format;

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{ErrorReason, RefreshError};
use crate::files;
use crate::parts::{CheckpointPart, Part, PartKind};
use crate::refresher;
use crate::settings::DraSettings;
use crate::shared::Shared;
use crate::skipped::Skipped;

/// The size from which a checkpoint is not read. A prepared device takes about 2 KiB.
const LIMIT: usize = 4 * 1024 * 1024;

/// The id of this boot. Claims of another boot are void.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Starts the refresher.
///
/// # Errors
///
/// If there is no thread.
pub(crate) fn start(shared: &Arc<Shared>, settings: &DraSettings) -> io::Result<()> {
    let boot_id = fs::read_to_string(BOOT_ID).unwrap_or_default();
    let mut checkpoint = Checkpoint::new(settings.checkpoint.clone(), boot_id.trim());
    refresher::start(Arc::clone(shared), PartKind::Checkpoint, move || {
        checkpoint.look().map(Part::Checkpoint)
    })
}

/// The checkpoint file, and what it said.
struct Checkpoint {
    path: PathBuf,
    boot_id: String,
    last: Option<(FileState, Result<Arc<CheckpointPart>, RefreshError>)>,
    skipped: Skipped,
}

impl Checkpoint {
    fn new(path: PathBuf, boot_id: &str) -> Self {
        let skipped = Skipped::new(PartKind::Checkpoint);
        Self { path, boot_id: boot_id.to_owned(), last: None, skipped }
    }

    /// Reads the file if it has changed.
    fn look(&mut self) -> Result<Arc<CheckpointPart>, RefreshError> {
        let state = match fs::metadata(&self.path) {
            Ok(metadata) => FileState::of(&metadata),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                tracing::debug!("checkpoint: no {}: nothing is prepared", self.path.display());
                let skipped = self.skipped.counts();
                return Ok(Arc::new(CheckpointPart { skipped, ..CheckpointPart::default() }));
            }
            Err(cause) => {
                return Err(files::error(&self.path, &cause, "see whether the DRA driver runs"));
            }
        };
        if let Some((last, result)) = &self.last
            && *last == state
        {
            return result.clone();
        }
        let content = files::read(&self.path, LIMIT)?;
        let result = self.understand(&content);
        self.last = Some((state, result.clone()));
        result
    }

    fn understand(&mut self, content: &[u8]) -> Result<Arc<CheckpointPart>, RefreshError> {
        let path = self.path.display();
        let malformed = |what: String| RefreshError::new(ErrorReason::Malformed, what);
        let claims = format::parse(content, &self.boot_id).map_err(|error| {
            malformed(format!(
                "{path} is not understood: {error}; heatsink knows versions 1 and 2 of this file"
            ))
        })?;
        for uid in claims.malformed {
            let uid: String = uid.chars().take(36).collect();
            self.skipped.add(malformed(format!("{path}: claim {uid:?} is not understood")));
        }
        let skipped = self.skipped.counts();
        Ok(Arc::new(CheckpointPart { devices: claims.devices, skipped }))
    }
}

/// By what a file is known to be the same as before. The driver replaces it when it writes.
#[derive(PartialEq, Eq)]
struct FileState {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
}

impl FileState {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const ONE_GPU: &str = r#"{"v1": {"preparedClaims": {"uid": {"preparedDevices": [{"devices": [
        {"gpu": {"info": {"uuid": "GPU-1"}, "device": {"DeviceName": "gpu-0"}}}
    ]}]}}}}"#;

    fn checkpoint() -> (TempDir, Checkpoint) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.json");
        (folder, Checkpoint::new(path, "this boot"))
    }

    /// As the driver does.
    fn replace(checkpoint: &Checkpoint, content: &str) {
        let new = checkpoint.path.with_extension("new");
        fs::write(&new, content).unwrap();
        fs::rename(&new, &checkpoint.path).unwrap();
    }

    #[test]
    fn without_a_file_nothing_is_prepared() {
        let (_folder, mut checkpoint) = checkpoint();
        assert!(checkpoint.look().unwrap().devices.is_empty());
        replace(&checkpoint, ONE_GPU);
        assert_eq!(checkpoint.look().unwrap().devices.len(), 1);
        fs::remove_file(&checkpoint.path).unwrap();
        assert!(checkpoint.look().unwrap().devices.is_empty());
    }

    #[test]
    fn a_file_is_read_again_only_when_it_changed() {
        let (_folder, mut checkpoint) = checkpoint();
        replace(&checkpoint, ONE_GPU);
        let first = checkpoint.look().unwrap();
        assert!(Arc::ptr_eq(&first, &checkpoint.look().unwrap()));
        replace(&checkpoint, ONE_GPU);
        assert!(!Arc::ptr_eq(&first, &checkpoint.look().unwrap()));
    }

    #[test]
    fn a_file_that_is_cut_in_half_is_malformed_until_it_is_whole() {
        let (_folder, mut checkpoint) = checkpoint();
        replace(&checkpoint, &ONE_GPU[..ONE_GPU.len() / 2]);
        for _ in 0..2 {
            let error = checkpoint.look().unwrap_err();
            assert_eq!(error.reason, ErrorReason::Malformed);
            assert!(!error.message.contains('\n'), "{error}");
        }
        replace(&checkpoint, ONE_GPU);
        assert_eq!(checkpoint.look().unwrap().devices.len(), 1);
    }

    #[test]
    fn a_file_that_is_too_large_or_no_file_is_not_read() {
        let (_folder, mut checkpoint) = checkpoint();
        replace(&checkpoint, &" ".repeat(LIMIT));
        assert_eq!(checkpoint.look().unwrap_err().reason, ErrorReason::TooLarge);
        fs::remove_file(&checkpoint.path).unwrap();
        fs::create_dir(&checkpoint.path).unwrap();
        assert_eq!(checkpoint.look().unwrap_err().reason, ErrorReason::Malformed);
    }

    #[test]
    fn a_claim_that_is_malformed_is_counted_once_per_file() {
        let (_folder, mut checkpoint) = checkpoint();
        let broken = ONE_GPU.replacen(r#"{"uid": {"#, r#"{"a": 1, "uid": {"#, 1);
        let counts = [(ErrorReason::Malformed, 1)].into();
        replace(&checkpoint, &broken);
        for _ in 0..2 {
            let part = checkpoint.look().unwrap();
            assert_eq!(part.devices.len(), 1);
            assert_eq!(part.skipped, counts);
        }
        fs::remove_file(&checkpoint.path).unwrap();
        assert_eq!(checkpoint.look().unwrap().skipped, counts, "the counter does not fall");
    }
}
