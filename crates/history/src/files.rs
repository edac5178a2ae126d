//! The files of a directory: their names, and what is in them.

use std::collections::BTreeSet;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::frame::{self, ENVELOPE, Envelope, Found, Key, Kind, Scanner, VERSION};
use crate::incident::Incident;
use crate::time::{Range, Time};

/// The file that says that a directory is a history, and of which version.
pub(crate) const MARKER: &str = "heatsink-history";

/// The begin of the marker; the version follows.
const MARKER_TEXT: &str = "heatsink history, version ";

/// The version of the directory.
const DIRECTORY_VERSION: u64 = 1;

const EXTENSION: &str = ".heatsink";

/// The end of names of files that are being written.
pub(crate) const UNFINISHED: &str = ".tmp";

/// No more of a file is read. A segment ends at the first block after 8 MiB, and the window of an incident has
/// at most as much: what is beyond it is damage.
pub(crate) const MAX_FILE: u64 = 16 << 20;

/// A name with this number or a larger one is not ours.
const MOST_NUMBER: u64 = 1 << 53;

/// After this number, numbers begin at the first free one, so that no run gets to the largest.
const LAST_BEGIN: u64 = MOST_NUMBER / 2;

/// How far the first frame of a file is looked for.
const MAX_HEAD: u64 = 64 << 10;

/// The name of one of our files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Name {
    /// Rows and events as they were recorded.
    Segment {
        /// Segments that were begun later have larger numbers, whatever the clock said.
        number: u64,
        /// The time of its first frame; 0 if it is before 1970.
        start: Time,
    },
    /// An incident and the rows and events of its window.
    Incident {
        /// The number of the incident.
        number: u64,
    },
}

impl Name {
    /// The name as text.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Segment { number, start } => {
                format!("segment-{}-{number}{EXTENSION}", start.0)
            }
            Self::Incident { number } => format!("incident-{number}{EXTENSION}"),
        }
    }

    /// The number of a segment.
    pub(crate) fn segment(self) -> Option<u64> {
        match self {
            Self::Segment { number, .. } => Some(number),
            Self::Incident { .. } => None,
        }
    }

    /// The number of an incident.
    pub(crate) fn incident(self) -> Option<u64> {
        match self {
            Self::Incident { number } => Some(number),
            Self::Segment { .. } => None,
        }
    }

    /// What a name says; `None` if it is none of ours.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let stem = text.strip_suffix(EXTENSION)?;
        let name = match stem.strip_prefix("segment-") {
            Some(rest) => {
                let (start, number) = rest.split_once('-')?;
                Self::Segment { number: number.parse().ok()?, start: Time(start.parse().ok()?) }
            }
            None => {
                let number = stem.strip_prefix("incident-")?;
                Self::Incident { number: number.parse().ok()? }
            }
        };
        let (Self::Segment { number, .. } | Self::Incident { number }) = name;
        // `+1` and `01` are numbers, too, but no names.
        (number < MOST_NUMBER && name.text() == text).then_some(name)
    }
}

/// One of our files, by its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Listed {
    /// Its name.
    pub(crate) name: Name,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its size.
    pub(crate) bytes: u64,
}

/// The files of a directory that have our names, segments first, in the order of their numbers.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<Listed>> {
    list_as(directory, Name::parse)
}

/// The files that were being written.
pub(crate) fn list_unfinished(directory: &Path) -> io::Result<Vec<Listed>> {
    list_as(directory, |text| {
        let text = text.strip_suffix(UNFINISHED)?;
        // With a number, if the name without one was taken.
        Name::parse(text).or_else(|| {
            let (name, number) = text.rsplit_once('.')?;
            number.parse::<u8>().ok()?;
            Name::parse(name)
        })
    })
}

fn list_as(directory: &Path, parse: impl Fn(&str) -> Option<Name>) -> io::Result<Vec<Listed>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(&parse) else {
            continue;
        };
        // Of the entry itself: a link is not ours. It may be gone by now.
        if let Some(metadata) = entry.metadata().ok().filter(Metadata::is_file) {
            files.push(Listed { name, path: entry.path(), bytes: metadata.len() });
        }
    }
    files.sort_by_key(|file| file.name);
    Ok(files)
}

/// What the marker says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Marker {
    /// There is none.
    None,
    /// It is of this version or an earlier one.
    Ours,
    /// It is of a later version.
    Newer,
    /// It is empty, has only zeros, or is the begin of ours: what a power cut leaves.
    Cut,
    /// It has another content, or cannot be read.
    Unreadable,
}

impl Marker {
    /// Whether it says that the directory is a history.
    pub(crate) fn is_of_history(self) -> bool {
        matches!(self, Self::Ours | Self::Newer)
    }
}

/// Reads the marker of a directory.
pub(crate) fn marker(directory: &Path) -> Marker {
    read_marker(directory).unwrap_or(Marker::Unreadable)
}

/// Reads the marker of a directory, or says why it cannot be read.
pub(crate) fn read_marker(directory: &Path) -> io::Result<Marker> {
    let mut bytes = Vec::new();
    match open(&directory.join(MARKER)).and_then(|file| file.take(100).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Marker::None),
        Err(error) => return Err(error),
    }
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let version = text.strip_prefix(MARKER_TEXT).and_then(|rest| rest.trim().parse().ok());
    let is_cut = MARKER_TEXT.as_bytes().starts_with(&bytes) || bytes.iter().all(|byte| *byte == 0);
    Ok(match version {
        Some(0..=DIRECTORY_VERSION) => Marker::Ours,
        Some(_) => Marker::Newer,
        None if is_cut => Marker::Cut,
        None => Marker::Unreadable,
    })
}

/// The content of a marker.
pub(crate) fn marker_text() -> String {
    format!("{MARKER_TEXT}{DIRECTORY_VERSION}\n")
}

/// Whose a file is, by what is in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// Its first frame is of this version or an earlier one.
    Ours,
    /// Its first frame is of a later version.
    Newer,
    /// It has no frame.
    Unknown,
}

/// Whose a file is.
pub(crate) fn owner(path: &Path) -> io::Result<Owner> {
    let first = |found: Found<'_>| {
        if found.envelope.version > VERSION { Owner::Newer } else { Owner::Ours }
    };
    let mut file = open(path)?;
    if let Some(frame) = first_frame(&mut file)? {
        return Ok(frame::decode(&frame).map_or(Owner::Unknown, first));
    }
    // The begin is damaged. It is ours if it was ended as ours are, or has a frame a little later.
    if Summary::of_file(path)?.is_some() {
        return Ok(Owner::Ours);
    }
    file.seek(SeekFrom::Start(0))?;
    let mut head = Vec::new();
    file.take(MAX_HEAD).read_to_end(&mut head)?;
    Ok(Scanner::new(&head).next().map_or(Owner::Unknown, first))
}

/// Bytes of a file that cannot be read. One that is gone was removed after its turn, or replaced.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> u64 {
    match error.kind() {
        io::ErrorKind::NotFound => 0,
        _ => fs::metadata(path).map_or(1, |file| file.len().max(1)),
    }
}

/// The name of the first frame of a file, as its envelope says; `None` if it does not begin with one.
pub(crate) fn first_key(path: &Path) -> io::Result<Option<(Option<Kind>, Key)>> {
    let frame = first_frame(&mut open(path)?)?;
    let found = frame.as_deref().and_then(frame::decode);
    Ok(found.map(|found| (found.envelope.kind, found.envelope.key)))
}

/// The largest number of a run in these files, as their begins or ends say; 0 without one.
pub(crate) fn largest_run(listed: &[Listed]) -> u64 {
    let runs = listed.iter().flat_map(|file| {
        let summary = Summary::of_file(&file.path).ok().flatten();
        let of_summary = summary.and_then(|summary| summary.content).map(|(_, first)| first);
        // An incident has a window that may be of earlier runs.
        let is_incident = matches!(file.name, Name::Incident { .. });
        let first = (is_incident || of_summary.is_none()).then(|| first_key(&file.path));
        let first = first.and_then(|first| Some(first.ok().flatten()?.1));
        of_summary.into_iter().chain(first).map(|key| key.run)
    });
    runs.max().unwrap_or_default()
}

/// The numbers that `number` gives to files of these that are ours, or those of a later version.
pub(crate) fn numbers(listed: &[Listed], number: fn(Name) -> Option<u64>) -> BTreeSet<u64> {
    let numbers = listed.iter().filter_map(|file| Some((number(file.name)?, &file.path)));
    // One that cannot be read may be ours.
    let is_foreign = |path| matches!(owner(path), Ok(Owner::Unknown));
    numbers.filter(|(_, path)| !is_foreign(path)).map(|(number, _)| number).collect()
}

/// The number after these and after `after`.
pub(crate) fn next_number(taken: &BTreeSet<u64>, after: u64) -> u64 {
    let last = taken.last().map_or(after, |last| after.max(*last));
    if last < LAST_BEGIN {
        return last + 1;
    }
    (after.saturating_add(1)..MOST_NUMBER).find(|number| !taken.contains(number)).unwrap_or(1)
}

/// Whether a file begins as ours do, be it whole or not.
fn is_begun(path: &Path) -> bool {
    let mut begin = Vec::new();
    let is_read = open(path).is_ok_and(|file| file.take(4).read_to_end(&mut begin).is_ok());
    is_read && frame::has_mark(&begin)
}

/// Whether a file that was being written is ours: nothing else begins like this.
pub(crate) fn is_unfinished(path: &Path) -> bool {
    let is_empty =
        fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0);
    is_empty || is_begun(path) || is_unfinished_marker(path)
}

/// Whether a file is a marker that is not whole.
fn is_unfinished_marker(path: &Path) -> bool {
    let mut begin = Vec::new();
    let is_read = open(path).is_ok_and(|file| file.take(100).read_to_end(&mut begin).is_ok());
    is_read && marker_text().as_bytes().starts_with(&begin)
}

/// The frame at the begin of a file, if it is whole.
fn first_frame(file: &mut fs::File) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(ENVELOPE as u64).read_to_end(&mut bytes)?;
    let Some(length) = frame::length(&bytes) else {
        return Ok(None);
    };
    file.take((length - ENVELOPE) as u64).read_to_end(&mut bytes)?;
    Ok(frame::decode(&bytes).is_some().then_some(bytes))
}

/// The incident of a file; `None` if there is none in it.
pub(crate) fn incident(path: &Path) -> io::Result<Option<Incident>> {
    Ok(incident_with_key(path)?.map(|(_, incident)| incident))
}

/// The incident of a file, and its run and number there; `None` if there is none in it.
pub(crate) fn incident_with_key(path: &Path) -> io::Result<Option<(Key, Incident)>> {
    let frame = first_frame(&mut open(path)?)?;
    Ok(frame.and_then(|bytes| {
        let found = frame::decode(&bytes)?;
        let is_ours = found.envelope.kind == Some(Kind::Incident);
        let is_ours = is_ours && found.envelope.version <= VERSION;
        let incident = serde_json::from_slice(found.payload).ok().filter(|_| is_ours)?;
        Some((found.envelope.key, incident))
    }))
}

/// All of a file, as far as it is read, and how many bytes are not.
pub(crate) fn read(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let mut bytes = Vec::new();
    let mut file = open(path)?;
    let length = file.metadata()?.len();
    (&mut file).take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok((bytes, length.saturating_sub(MAX_FILE)))
}

/// Opens a file, and nothing that would wait for a writer or lead elsewhere.
fn open(path: &Path) -> io::Result<fs::File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits();
    let flags = i32::try_from(flags).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// What a file has, as its last frame says.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Summary {
    /// The earliest and the latest time, and its first frame with rows or an event; `None` if it has none.
    pub(crate) content: Option<(Range, Key)>,
}

const SUMMARY: usize = 32;

impl Summary {
    /// The payload of its frame.
    pub(crate) fn payload(self) -> Vec<u8> {
        let Some((range, first)) = self.content else {
            return Vec::new();
        };
        let numbers = [range.from.0.cast_unsigned(), range.to.0.cast_unsigned()];
        let numbers = numbers.into_iter().chain([first.run, first.sequence]);
        numbers.flat_map(u64::to_le_bytes).collect()
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        if payload.is_empty() {
            return Some(Self::default());
        }
        let (numbers, rest) = payload.split_first_chunk::<SUMMARY>()?;
        let mut numbers = numbers
            .chunks_exact(8)
            .filter_map(|bytes| Some(u64::from_le_bytes(*bytes.first_chunk()?)));
        let mut next = || numbers.next();
        let range = Range { from: Time(next()?.cast_signed()), to: Time(next()?.cast_signed()) };
        let first = Key { run: next()?, sequence: next()? };
        rest.is_empty().then_some(Self { content: Some((range, first)) })
    }

    /// The summary at the end of a file; `None` if it has none there, because it is still written or was not
    /// ended.
    pub(crate) fn of_file(path: &Path) -> io::Result<Option<Self>> {
        let mut file = open(path)?;
        let length = file.seek(SeekFrom::End(0))?;
        for payload in [SUMMARY, 0] {
            let size = (ENVELOPE + payload) as u64;
            let Some(start) = length.checked_sub(size) else {
                continue;
            };
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            (&mut file).take(size).read_to_end(&mut bytes)?;
            let found = frame::decode(&bytes).filter(|found| {
                let Envelope { version, kind, .. } = found.envelope;
                let is_ours = version <= VERSION && kind == Some(Kind::Summary);
                is_ours && found.payload.len() == payload
            });
            if let Some(summary) = found.and_then(|found| Self::decode(found.payload)) {
                return Ok(Some(summary));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_others_are_not_ours() {
        let segment = Name::Segment { number: 7, start: Time(1_790_000_000_000) };
        for name in [segment, Name::Incident { number: 17 }] {
            assert_eq!(Name::parse(&name.text()), Some(name));
        }
        for other in [
            "segment-1-+2.heatsink",
            "segment-01-2.heatsink",
            "segment-1.heatsink",
            "segment-1-2.heatsink.tmp",
            "incident-.heatsink",
            "incident-99999999999999999999.heatsink",
            "incident-18446744073709551615.heatsink",
            "incident-9007199254740992.heatsink",
            "segment-0-9007199254740992.heatsink",
            "segment-1-18446744073709551615.heatsink",
            "notes.txt",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_next_number_is_the_largest_but_one_that_can_be_counted_on_from() {
        let next = |taken: &[u64], after| next_number(&taken.iter().copied().collect(), after);
        assert_eq!(next(&[], 0), 1);
        assert_eq!((next(&[3, 7], 0), next(&[3, 7], 9)), (8, 10));
        let largest = MOST_NUMBER - 1;
        assert_eq!((next(&[1, 2, 4, largest], 0), next(&[1, 2, 4, largest], 3)), (3, 5));
        assert_eq!(next(&[largest], u64::MAX), 1);
    }

    #[test]
    fn a_summary_comes_back() {
        let range = Range { from: Time(-5), to: Time(i64::MAX) };
        let content = Some((range, Key { run: 3, sequence: 4 }));
        for summary in [Summary { content }, Summary::default()] {
            assert_eq!(Summary::decode(&summary.payload()), Some(summary));
        }
        assert_eq!(Summary::decode(b"short"), None);
    }
}
