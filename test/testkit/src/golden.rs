//! Golden files: whole pages, kept in plain files and read in review.
//!
//! They are under the repository's `test/fixtures/`. `UPDATE_GOLDEN=1 cargo test` rewrites those that
//! differ; the difference is then read in git like any other change.

use std::env;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// How many differing lines a failure shows.
const MAX_SHOWN: usize = 5;

/// Compares a text with the file at `path` under `test/fixtures/`, byte for byte.
///
/// # Panics
///
/// When they differ or the file cannot be read, unless `UPDATE_GOLDEN` is `1`: then the file is
/// written.
#[track_caller]
pub fn check_golden(path: impl AsRef<Path>, actual: &str) {
    let path = fixtures().join(path);
    let update = env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1");
    if let Err(mismatch) = compare(&path, actual, update) {
        panic!("{mismatch}");
    }
}

/// Replaces by `0` all of a page that differs between two runs that read the same, and keeps every
/// line. Exactly these are replaced:
///
/// - the values of families whose name begins with `process_`, ends with `_timestamp_seconds`, or
///   is one of those that measure real time or memory: `heatsink_collection_duration_seconds`,
///   `heatsink_driver_call_duration_seconds`, `heatsink_history_memory_bytes`,
///   `heatsink_clock_event_seconds_total`;
/// - the value of the label `version` of `heatsink_build_info`.
///
/// Tests must fix everything else, host names and driver versions included.
#[must_use]
pub fn normalise(page: &str) -> String {
    page.split_inclusive('\n').map(normalise_line).collect()
}

/// Families that measure real time, or memory.
const TIMES: [&str; 4] = [
    "heatsink_clock_event_seconds_total",
    "heatsink_collection_duration_seconds",
    "heatsink_driver_call_duration_seconds",
    "heatsink_history_memory_bytes",
];

fn normalise_line(line: &str) -> String {
    let name = line.split(['{', ' ']).next().unwrap_or_default();
    if name == "heatsink_build_info" {
        return without_version(line);
    }
    let varies = name.starts_with("process_")
        || name.ends_with("_timestamp_seconds")
        || TIMES.contains(&name);
    match line.rsplit_once(' ') {
        Some((series, _)) if varies => format!("{series} 0\n"),
        _ => line.into(),
    }
}

fn without_version(line: &str) -> String {
    const LABEL: &str = "version=\"";
    let Some(start) = line.find(LABEL).map(|at| at + LABEL.len()) else { return line.into() };
    let Some(length) = line[start..].find('"') else { return line.into() };
    format!("{}0{}", &line[..start], &line[start + length..])
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures")
}

/// Why a text is not the golden one.
#[derive(thiserror::Error, Debug)]
enum Mismatch {
    #[error("{path} differs ({HINT}):\n{differences}")]
    Differs { path: String, differences: String },
    #[error("{path} cannot be read ({HINT}): {error}")]
    Unreadable { path: String, error: io::Error },
    #[error("{path} cannot be written: {error}")]
    Unwritable { path: String, error: io::Error },
}

const HINT: &str = "UPDATE_GOLDEN=1 rewrites it; then read the difference";

fn compare(path: &Path, actual: &str, update: bool) -> Result<(), Mismatch> {
    let golden = fs::read_to_string(path);
    if golden.as_ref().is_ok_and(|golden| golden == actual) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    let written = update.then(|| fs::create_dir_all(folder).and_then(|()| fs::write(path, actual)));
    let path = path.display().to_string();
    match (written, golden) {
        (Some(Ok(())), _) => Ok(()),
        (Some(Err(error)), _) => Err(Mismatch::Unwritable { path, error }),
        (None, Err(error)) => Err(Mismatch::Unreadable { path, error }),
        (None, Ok(golden)) => {
            Err(Mismatch::Differs { path, differences: differences(&golden, actual) })
        }
    }
}

/// The first lines, by position, in which two texts differ.
fn differences(golden: &str, actual: &str) -> String {
    let golden: Vec<&str> = golden.split('\n').collect();
    let actual: Vec<&str> = actual.split('\n').collect();
    let mut shown = String::new();
    let longer = golden.len().max(actual.len());
    let differing = (0..longer).filter(|&index| golden.get(index) != actual.get(index));
    for index in differing.take(MAX_SHOWN) {
        shown += &format!("line {}\n", index + 1);
        for (sign, lines) in [('-', &golden), ('+', &actual)] {
            if let Some(line) = lines.get(index) {
                shown += &format!("  {sign} {line}\n");
            }
        }
    }
    shown + &format!("({} lines in the file, {} now)", golden.len() - 1, actual.len() - 1)
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    #[test]
    fn a_golden_file_is_written_on_demand_and_compared_otherwise() {
        let folder = env::temp_dir().join(format!("golden-{}", process::id()));
        let path = folder.join("deeper/page.txt");

        let missing = compare(&path, "a\nb\n", false).unwrap_err().to_string();
        assert!(missing.contains("cannot be read (UPDATE_GOLDEN=1"), "{missing}");
        assert!(!path.exists());

        compare(&path, "a\nb\n", true).unwrap();
        compare(&path, "a\nb\n", false).unwrap();

        let differs = compare(&path, "a\nc\nd\n", false).unwrap_err().to_string();
        assert!(differs.contains("line 2\n  - b\n  + c\nline 3\n  - \n  + d\n"), "{differs}");
        assert!(differs.ends_with("(2 lines in the file, 3 now)"), "{differs}");

        compare(&path, "a\nc\nd\n", true).unwrap();
        compare(&path, "a\nc\nd\n", false).unwrap();
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn only_varying_values_are_replaced() {
        let page = "\
# HELP heatsink_build_info A process_ line.\n\
heatsink_build_info{version=\"0.1.0-abc\"} 1\n\
heatsink_gpu_last_success_timestamp_seconds{gpu=\"0\"} 1700000000.25\n\
heatsink_collection_duration_seconds{gpu=\"0\"} 0.004\n\
other_duration_seconds 3\n\
heatsink_source_info{source=\"sim\",driver_version=\"1.2\"} 1\n\
process_cpu_seconds_total 1.5\n";
        let expected = "\
# HELP heatsink_build_info A process_ line.\n\
heatsink_build_info{version=\"0\"} 1\n\
heatsink_gpu_last_success_timestamp_seconds{gpu=\"0\"} 0\n\
heatsink_collection_duration_seconds{gpu=\"0\"} 0\n\
other_duration_seconds 3\n\
heatsink_source_info{source=\"sim\",driver_version=\"1.2\"} 1\n\
process_cpu_seconds_total 0\n";
        assert_eq!(normalise(page), expected);
    }
}
