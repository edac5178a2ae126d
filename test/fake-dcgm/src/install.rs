//! Finds the built library, and installs it for a test.

use std::path::{Path, PathBuf};

/// The library that cargo built beside the running test.
///
/// # Panics
///
/// When it is not there: the test's package must have `fake-dcgm` among its dependencies.
#[must_use]
pub fn library_path() -> PathBuf {
    fake_nvml::built("fake-dcgm")
}

/// Copies the library into `folder` as `libdcgm.so.4` and returns the path of the copy.
///
/// Each copy has its own state, also within one process: it reads the environment at its first
/// `dcgmInit`, and connects to its own host engine.
///
/// # Panics
///
/// When the library is not built, or the folder cannot be written.
pub fn install_in(folder: &Path) -> PathBuf {
    let target = folder.join("libdcgm.so.4");
    std::fs::copy(library_path(), &target)
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", target.display()));
    target
}
