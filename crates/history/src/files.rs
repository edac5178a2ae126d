//! The files of a directory: their names, and what is in them.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::frame::{self, ENVELOPE, Found, Key, Kind, Scanner, VERSION};
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

/// No more of a file is read.
const MAX_FILE: u64 = 256 << 20;

/// How far the first frame of a file is looked for.
const MAX_HEAD: u64 = 32 << 20;

/// The name of one of our files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Name {
    /// Rows and events as they were recorded.
    Segment {
        /// Segments that were begun later have larger numbers, whatever the clock said.
        number: u64,
        /// The time of its first frame.
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
                format!("segment-{}-{number}{EXTENSION}", start.0.max(0))
            }
            Self::Incident { number } => format!("incident-{number}{EXTENSION}"),
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
        // `+1` and `01` are numbers, too, but no names.
        (name.text() == text).then_some(name)
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
    list_as(directory, |text| Name::parse(text.strip_suffix(UNFINISHED)?))
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
}

/// Reads the marker of a directory. A file of its name with another content is none.
pub(crate) fn marker(directory: &Path) -> Marker {
    let mut text = String::new();
    let file = open(&directory.join(MARKER));
    let is_read = file.is_ok_and(|file| file.take(100).read_to_string(&mut text).is_ok());
    let version = text.strip_prefix(MARKER_TEXT).and_then(|rest| rest.trim().parse().ok());
    match version.filter(|_| is_read) {
        None => Marker::None,
        Some(0..=DIRECTORY_VERSION) => Marker::Ours,
        Some(_) => Marker::Newer,
    }
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
    Nobody,
}

/// Whose a file is.
pub(crate) fn owner(path: &Path) -> io::Result<Owner> {
    let first = |found: Found<'_>| {
        if found.envelope.version > VERSION { Owner::Newer } else { Owner::Ours }
    };
    let mut file = open(path)?;
    if let Some(frame) = first_frame(&mut file)? {
        return Ok(frame::decode(&frame).map_or(Owner::Nobody, first));
    }
    file.seek(SeekFrom::Start(0))?;
    let mut head = Vec::new();
    file.take(MAX_HEAD).read_to_end(&mut head)?;
    Ok(Scanner::new(&head).next().map_or(Owner::Nobody, first))
}

/// Whether a file begins as ours do, be it whole or not.
pub(crate) fn is_begun(path: &Path) -> bool {
    let mut begin = Vec::new();
    let is_read = open(path).is_ok_and(|file| file.take(4).read_to_end(&mut begin).is_ok());
    is_read && frame::has_mark(&begin)
}

/// Whether a file is a marker that is not whole.
pub(crate) fn is_unfinished_marker(path: &Path) -> bool {
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

/// The incident of a file, and the run that wrote it; `None` if there is none in it.
pub(crate) fn incident(path: &Path) -> io::Result<Option<(u64, Incident)>> {
    let frame = first_frame(&mut open(path)?)?;
    Ok(frame.and_then(|bytes| {
        let found = frame::decode(&bytes)?;
        let is_ours = found.envelope.kind == Some(Kind::Incident);
        let is_ours = is_ours && found.envelope.version <= VERSION;
        let incident = serde_json::from_slice(found.payload).ok().filter(|_| is_ours)?;
        Some((found.envelope.key.run, incident))
    }))
}

/// All of a file, as far as it is read.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
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
                found.envelope.kind == Some(Kind::Summary) && found.payload.len() == payload
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
            "notes.txt",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
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
