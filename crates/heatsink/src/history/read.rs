//! Opens the history of a folder, for commands.

use std::io;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use history::archive::Archive;
use history::recording::{Damage, ReadError, Recording, UnreadIncident};
use history::report::local_range;
use history::time::Range;

use super::place;
use crate::cli::Args;
use crate::exit::NothingToRead;
use crate::flags;
use crate::parse::HistoryPlace;

/// Opens the history that the flags name.
///
/// # Errors
///
/// One line: where it was looked for, why there is nothing to read, and what to do.
pub(crate) fn open(args: &Args) -> Result<Archive> {
    let place = args.get(&flags::READ_HISTORY_DIR)?;
    if matches!(place, HistoryPlace::None) {
        bail!("{}: `none` has nothing to read; name a folder", flags::READ_HISTORY_DIR);
    }
    let open = |folder: &Path| Archive::open(folder).and_then(|it| it.extent().map(|_| it));
    first(place::to_read(place), open).map_err(|why| NothingToRead(why).into())
}

/// The first folder with a history. One that is there and cannot be read ends the search: the next one has another
/// history.
fn first<T>(
    folders: Vec<PathBuf>,
    open: impl Fn(&Path) -> Result<T, ReadError>,
) -> Result<T, String> {
    let is_missing = |error: &ReadError| match error {
        ReadError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
        ReadError::NotAHistory { .. } => true,
    };
    let mut reasons = Vec::new();
    for folder in folders {
        match open(&folder) {
            Ok(opened) => return Ok(opened),
            Err(error) => reasons.push((folder, error)),
        }
        if reasons.last().is_some_and(|(_, error)| !is_missing(error)) {
            break;
        }
    }
    Err(reason(&reasons))
}

/// What the folders lack, and what to do.
fn reason(reasons: &[(PathBuf, ReadError)]) -> String {
    let is = |kind| {
        reasons.iter().any(
            |(_, error)| matches!(error, ReadError::Io { source, .. } if source.kind() == kind),
        )
    };
    let what = match is(io::ErrorKind::PermissionDenied) {
        true => {
            "read it as root or as a member of the folder's group, or name another folder with \
             --history-dir"
        }
        false => {
            "`heatsink serve` and `heatsink demo --history-dir FOLDER` record one; name its folder \
                  with --history-dir"
        }
    };
    let why: Vec<String> = reasons
        .iter()
        .map(|(folder, error)| match error {
            ReadError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                format!("{} does not exist", folder.display())
            }
            ReadError::Io { path, source } => format!("{path} cannot be read ({source})"),
            ReadError::NotAHistory { path } => format!("{path} holds no history of heatsink"),
        })
        .collect();
    format!("no history to read: {}; {what}", why.join(", "))
}

/// What was read, or why it cannot be.
///
/// # Errors
///
/// As [`NothingToRead`].
pub(crate) fn of<T>(read: Result<T, ReadError>) -> Result<T> {
    read.map_err(|error| NothingToRead(error.to_string()).into())
}

/// The time that was recorded, in words: `the recording is from ... to ...`.
pub(crate) fn extent(extent: Option<Range>) -> String {
    match extent {
        Some(extent) => {
            let zone = jiff::tz::TimeZone::system();
            format!("the recording is from {}", local_range(extent, &zone))
        }
        None => "nothing at all was recorded".to_owned(),
    }
}

/// Says on standard error what could not be read.
pub(crate) fn note(damage: &Damage) {
    let mut notes = Vec::new();
    if damage.bytes > 0 || damage.rows > 0 {
        notes.push(format!(
            "{} bytes of the recording are damaged and were skipped; {} rows were lost",
            damage.bytes, damage.rows
        ));
    }
    if !damage.newer_files.is_empty() {
        let files = history::report::escape(&damage.newer_files.join(", ")).into_owned();
        notes.push(format!(
            "written by a later version of heatsink and not read: {files}; use that version"
        ));
    }
    print(notes);
}

/// Says on standard error which incidents could not be read.
pub(crate) fn note_unread(unread: &[UnreadIncident]) {
    print(unread.iter().map(ToString::to_string));
}

fn print(notes: impl IntoIterator<Item = String>) {
    for note in notes {
        // A failure to print leaves nothing to do about it.
        let _ = writeln!(io::stderr(), "heatsink: note: {note}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_read_is_not_replaced_by_another() {
        let open = |folder: &Path| {
            let path = folder.display().to_string();
            let failed =
                |kind: io::ErrorKind| ReadError::Io { path: path.clone(), source: kind.into() };
            match path.as_str() {
                "/hidden" => Err(failed(io::ErrorKind::PermissionDenied)),
                "/missing" => Err(failed(io::ErrorKind::NotFound)),
                "/empty" => Err(ReadError::NotAHistory { path }),
                _ => Ok(path),
            }
        };
        let first = |folders: &[&str]| first(folders.iter().map(PathBuf::from).collect(), open);
        assert_eq!(first(&["/missing", "/empty", "/own"]), Ok("/own".to_owned()));
        assert_eq!(first(&["/machine", "/hidden"]), Ok("/machine".to_owned()));
        let why = first(&["/hidden", "/own"]).expect_err("it is not told from the other");
        assert!(why.contains("/hidden cannot be read"), "{why}");
        assert!(why.contains("group") && why.contains("--history-dir"), "{why}");
    }
}
