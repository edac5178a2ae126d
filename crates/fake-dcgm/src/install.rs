//! Where the built library is, and how a test puts it in place.

use std::path::{Path, PathBuf};

const FILE_NAME: &str = "libfake_dcgm.so";

/// The library that cargo built beside the running test.
///
/// # Panics
///
/// When it is not there: the test's package must have `fake-dcgm` among its dependencies.
#[must_use]
pub fn library_path() -> PathBuf {
    let test = std::env::current_exe()
        .unwrap_or_else(|error| panic!("the path of the running program is not known: {error}"));
    let folders: Vec<&Path> = test.ancestors().skip(1).take(2).collect();
    // Cargo refreshes the copy in deps with every build, the one above it only when asked for it.
    let candidates: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| [folder.join("deps").join(FILE_NAME), folder.join(FILE_NAME)])
        .collect();
    let found = candidates.iter().find(|path| path.is_file());
    found.cloned().unwrap_or_else(|| {
        panic!(
            "{FILE_NAME} is at none of {candidates:?}; build it with `cargo build -p fake-dcgm`, or \
             name fake-dcgm among the dependencies of the package under test"
        )
    })
}

/// Copies the library into `folder` as `libdcgm.so.4` and returns the path of the copy.
///
/// Each copy has a state of its own, also within one process: it reads the environment at its first
/// `dcgmInit`, and has a host engine of its own to connect to.
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
