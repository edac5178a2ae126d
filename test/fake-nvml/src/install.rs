//! Finds the built library, and installs it for a test.

use std::path::{Path, PathBuf};

/// The library that cargo built beside the running test.
///
/// # Panics
///
/// When it is not there: the test's package must have `fake-nvml` among its dependencies.
#[must_use]
pub fn library_path() -> PathBuf {
    built("fake-nvml")
}

/// The library of a package that cargo built beside the running test.
///
/// # Panics
///
/// When it is not there: the test's package must have that one among its dependencies.
#[must_use]
pub fn built(package: &str) -> PathBuf {
    let file_name = format!("lib{}.so", package.replace('-', "_"));
    let test = std::env::current_exe()
        .unwrap_or_else(|error| panic!("the path of the running program is not known: {error}"));
    let folders: Vec<&Path> = test.ancestors().skip(1).take(2).collect();
    // Cargo refreshes the copy in deps with every build, the one above it only in a build of that package.
    let candidates: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| [folder.join("deps").join(&file_name), folder.join(&file_name)])
        .collect();
    let found = candidates.iter().find(|path| path.is_file());
    found.cloned().unwrap_or_else(|| {
        panic!(
            "{file_name} is at none of {candidates:?}; build it with `cargo build -p {package}`, or \
             name {package} among the dependencies of the package under test"
        )
    })
}

/// Copies the library into `folder` as `libnvidia-ml.so.1` and returns the path of the copy.
///
/// Each copy has its own session, also within one process.
///
/// # Panics
///
/// When the library is not built, or the folder cannot be written.
pub fn install_in(folder: &Path) -> PathBuf {
    let target = folder.join("libnvidia-ml.so.1");
    std::fs::copy(library_path(), &target)
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", target.display()));
    target
}
