//! Reads files that others write: none of unlimited size, none that blocks.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::error::{ErrorReason, RefreshError};

/// Reads a regular file of fewer than `limit` bytes.
///
/// # Errors
///
/// If it is not there, is something else than a file, is larger or cannot be read.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, RefreshError> {
    let failed = |cause: io::Error| error(path, &cause, "create it");
    // Asked before it is opened: opening a FIFO waits for its writer.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        let message = format!("{} is not a file; remove it", path.display());
        return Err(RefreshError::new(ErrorReason::Malformed, message));
    }
    let mut content = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(limit as u64).read_to_end(&mut content).map_err(failed)?;
    if content.len() < limit {
        return Ok(content);
    }
    let message = format!("{} has {limit} bytes or more; make it smaller", path.display());
    Err(RefreshError::new(ErrorReason::TooLarge, message))
}

/// Why a file or folder cannot be read. `if_absent` says what to do if it is not there.
pub(crate) fn error(path: &Path, cause: &io::Error, if_absent: &str) -> RefreshError {
    let (reason, what_to_do) = match cause.kind() {
        io::ErrorKind::NotFound => (ErrorReason::Absent, if_absent),
        io::ErrorKind::PermissionDenied => {
            (ErrorReason::NotPermitted, "let the user of this process read it")
        }
        _ => (ErrorReason::Failed, "see whether it can be read with other programs"),
    };
    RefreshError::new(reason, format!("{}: {cause}; {what_to_do}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_file_is_read_if_it_is_smaller_than_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0");
        fs::write(&path, "1234567").unwrap();
        assert_eq!(read(&path, 8).unwrap(), b"1234567");
        assert_eq!(read(&path, 7).unwrap_err().reason, ErrorReason::TooLarge);
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("folder")).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        assert!(Command::new("mkfifo").arg(path("fifo")).status().unwrap().success());
        for name in ["folder", "socket", "fifo"] {
            let error = read(&path(name), 8).unwrap_err();
            assert_eq!(error.reason, ErrorReason::Malformed, "{name}");
            assert!(error.message.ends_with("is not a file; remove it"), "{error}");
        }
        assert_eq!(read(&path("none"), 8).unwrap_err().reason, ErrorReason::Absent);
    }

    #[test]
    fn the_reason_of_an_error_follows_from_its_cause() {
        let of = |kind: io::ErrorKind| error(Path::new("/x"), &kind.into(), "create it");
        assert_eq!(of(io::ErrorKind::NotFound).message, "/x: entity not found; create it");
        assert_eq!(of(io::ErrorKind::PermissionDenied).reason, ErrorReason::NotPermitted);
        assert_eq!(of(io::ErrorKind::StaleNetworkFileHandle).reason, ErrorReason::Failed);
    }
}
