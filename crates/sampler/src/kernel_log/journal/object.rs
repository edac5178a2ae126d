//! The header and the objects of one file of journald's.
//!
//! The format is described at <https://systemd.io/JOURNAL_FILE_FORMAT/>. The file is read with
//! `pread`, since a mapped file that is cut short ends the process. Any byte may be wrong: what is
//! read is checked, and reads as 0 where there is nothing. An offset of 0 means that there is none.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

use super::payload::LONGEST_TEXT;

/// The id of a boot, a file, or a sequence of numbers.
pub(super) type Id = [u8; 16];

/// The part of the header that each version has, in bytes. No object begins before its end.
const HEADER_LEN: usize = 208;

const SIGNATURE: &[u8] = b"LPKSHHRH";

/// Bits of the header's flags that decide how the file is read: three ways to compress, hashes with
/// a key, and short offsets. With another one the file cannot be read.
const KNOWN_FLAGS: u32 = 0b1_1111;
const COMPACT: u32 = 1 << 4;

/// The header's state once journald has closed the file for good.
const ARCHIVED: u8 = 2;

/// Types of objects.
const DATA: u8 = 1;
const FIELD: u8 = 2;
const ENTRY: u8 = 3;
const ENTRY_ARRAY: u8 = 6;

/// The lengths of objects before what varies, in bytes.
const OBJECT_LEN: usize = 16;
const DATA_LEN: usize = 64;
const COMPACT_DATA_LEN: usize = 72;
const FIELD_LEN: usize = 40;
const ENTRY_LEN: usize = 64;
const ARRAY_LEN: usize = 24;

/// The most fields of an entry. journald stores up to about a hundred with a message.
const MOST_ITEMS: usize = 256;

/// The most FIELD objects and buckets that are gone through to find one.
const MOST_FIELDS: u64 = 16 * 1024;

/// The longest payload that is read whole, in bytes: as it is compressed, or of a text.
const LONGEST_PAYLOAD: usize = "MESSAGE=".len() + LONGEST_TEXT;

/// What is at the start of a file.
pub(super) struct Header {
    pub(super) is_compact: bool,
    pub(super) is_archived: bool,
    /// Of the file.
    pub(super) id: Id,
    /// Of the newest entry; before version 254, of when the file was last opened to write.
    pub(super) boot: Id,
    /// Of the entries' numbers: files that follow each other share it.
    pub(super) sequence: Id,
    pub(super) field_table: u64,
    pub(super) field_table_len: u64,
    /// How many objects there are.
    pub(super) objects: u64,
    /// The monotonic time of the newest entry, in µs.
    pub(super) newest: u64,
}

/// An entry, without its fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    offset: u64,
    len: usize,
    pub(super) boot: Id,
    pub(super) seqnum: u64,
    /// When journald received it, in µs of the monotonic clock.
    pub(super) monotonic: u64,
    /// Of its fields; a copy in another file has the same.
    pub(super) hash: u64,
}

/// One field with its value, and the list of the entries that have it.
pub(super) struct Data<'a> {
    pub(super) flags: u8,
    /// The value of the same field that was new before this one.
    pub(super) older_value: u64,
    /// The first entry; the others are in a chain of arrays.
    pub(super) first_entry: u64,
    pub(super) first_array: u64,
    pub(super) entries: u64,
    /// `NAME=value`, perhaps compressed; cut if it is a long text.
    pub(super) payload: &'a [u8],
}

/// A file, to read its objects.
pub(super) struct Objects {
    file: File,
    /// No other file has it.
    number: u64,
    is_compact: bool,
}

/// Parts of files as they were when last read.
pub(super) struct Pages {
    objects: Window,
    arrays: Window,
}

struct Window {
    /// The file's number.
    file: u64,
    start: u64,
    bytes: Vec<u8>,
    /// How much is read at once, and how much of that before the requested offset: an entry follows
    /// its own fields.
    len: usize,
    before: u64,
}

impl Header {
    /// # Errors
    ///
    /// `InvalidData` if this is no journal file (yet), and `Unsupported` if it has a newer format.
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let mut bytes = [0; HEADER_LEN];
        read_exact(file, 0, &mut bytes)?;
        if !bytes.starts_with(SIGNATURE) {
            return Err(damaged());
        }
        let flags = u32_at(&bytes, 12);
        if flags & !KNOWN_FLAGS != 0 {
            return Err(ErrorKind::Unsupported.into());
        }
        Ok(Self {
            is_compact: flags & COMPACT != 0,
            is_archived: bytes.get(16) == Some(&ARCHIVED),
            id: array_at(&bytes, 24),
            boot: array_at(&bytes, 56),
            sequence: array_at(&bytes, 72),
            field_table: u64_at(&bytes, 120),
            field_table_len: u64_at(&bytes, 128),
            objects: u64_at(&bytes, 144),
            newest: u64_at(&bytes, 200),
        })
    }
}

impl Objects {
    pub(super) fn new(file: File, header: &Header, number: u64) -> Self {
        Self { file, number, is_compact: header.is_compact }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn header(&self) -> io::Result<Header> {
        Header::read(&self.file)
    }

    /// The FIELD object of this name, or 0.
    pub(super) fn find_field(
        &self,
        pages: &mut Pages,
        header: &Header,
        name: &[u8],
    ) -> io::Result<u64> {
        let mut steps = 0;
        for bucket in 0..header.field_table_len / 16 {
            let at = header.field_table.saturating_add(bucket * 16);
            let mut field = u64_at(pages.arrays.read(&self.file, self.number, at, 16)?, 0);
            while field != 0 {
                let len = self.object(&mut pages.objects, field, FIELD)?;
                let len = len.min(FIELD_LEN + name.len() + 1);
                let object = pages.objects.read(&self.file, self.number, field, len)?;
                if object.get(FIELD_LEN..) == Some(name) {
                    return Ok(field);
                }
                let next = u64_at(object, 24);
                if next != 0 && next <= field {
                    return Err(damaged());
                }
                field = next;
                steps += 1;
            }
            steps += 1;
            if steps > MOST_FIELDS {
                return Err(damaged());
            }
        }
        Ok(0)
    }

    /// The DATA object with the newest value of a FIELD, as it is now.
    pub(super) fn newest_value(&self, field: u64) -> io::Result<u64> {
        let mut bytes = [0; FIELD_LEN];
        read_exact(&self.file, field, &mut bytes)?;
        if bytes.first() == Some(&FIELD) { Ok(u64_at(&bytes, 32)) } else { Err(damaged()) }
    }

    /// A DATA object without its payload, as it is now.
    pub(super) fn data_now(&self, offset: u64) -> io::Result<Data<'static>> {
        let mut bytes = [0; DATA_LEN];
        read_exact(&self.file, offset, &mut bytes)?;
        if bytes.first() == Some(&DATA) { Ok(Data::new(&bytes, &[])) } else { Err(damaged()) }
    }

    pub(super) fn data<'a>(&self, pages: &'a mut Pages, offset: u64) -> io::Result<Data<'a>> {
        let head_len = if self.is_compact { COMPACT_DATA_LEN } else { DATA_LEN };
        let len = self.object(&mut pages.objects, offset, DATA)?.min(head_len + LONGEST_PAYLOAD);
        let object = pages.objects.read(&self.file, self.number, offset, len)?;
        let (head, payload) = object.split_at_checked(head_len).ok_or_else(damaged)?;
        Ok(Data::new(head, payload))
    }

    pub(super) fn entry(&self, pages: &mut Pages, offset: u64) -> io::Result<Entry> {
        let len = self.object(&mut pages.objects, offset, ENTRY)?;
        if len < ENTRY_LEN || (len - ENTRY_LEN) / self.item_len() > MOST_ITEMS {
            return Err(damaged());
        }
        let bytes = pages.objects.read(&self.file, self.number, offset, ENTRY_LEN)?;
        Ok(Entry {
            offset,
            len,
            boot: array_at(bytes, 40),
            seqnum: u64_at(bytes, 16),
            monotonic: u64_at(bytes, 32),
            hash: u64_at(bytes, 56),
        })
    }

    /// The DATA objects of an entry.
    pub(super) fn items(&self, pages: &mut Pages, entry: &Entry) -> io::Result<Vec<u64>> {
        let object = pages.objects.read(&self.file, self.number, entry.offset, entry.len)?;
        let items = object.get(ENTRY_LEN..).unwrap_or_default().chunks_exact(self.item_len());
        Ok(items.map(|item| self.offset(item)).filter(|&offset| offset != 0).collect())
    }

    /// How many entries an ENTRY_ARRAY object has room for.
    pub(super) fn array_capacity(&self, pages: &mut Pages, array: u64) -> io::Result<u64> {
        let len = self.object(&mut pages.arrays, array, ENTRY_ARRAY)?;
        // Lossless.
        Ok((len.saturating_sub(ARRAY_LEN) / self.offset_len()) as u64)
    }

    /// The offset at a place in an ENTRY_ARRAY object; 0 if it is still free.
    pub(super) fn array_item(&self, pages: &mut Pages, array: u64, index: u64) -> io::Result<u64> {
        let len = self.offset_len();
        let at = index.checked_mul(len as u64).and_then(|at| at.checked_add(ARRAY_LEN as u64));
        let at = at.and_then(|at| at.checked_add(array)).ok_or_else(damaged)?;
        Ok(self.offset(pages.arrays.read(&self.file, self.number, at, len)?))
    }

    /// The ENTRY_ARRAY object after another one in a chain, or 0.
    pub(super) fn next_array(&self, pages: &mut Pages, array: u64) -> io::Result<u64> {
        Ok(u64_at(pages.arrays.read(&self.file, self.number, array, ARRAY_LEN)?, 16))
    }

    /// The length of the object at an offset, in bytes, if it is of this type.
    fn object(&self, window: &mut Window, offset: u64, kind: u8) -> io::Result<usize> {
        let bytes = window.read(&self.file, self.number, offset, OBJECT_LEN)?;
        if offset < HEADER_LEN as u64 || !offset.is_multiple_of(8) || bytes.first() != Some(&kind) {
            return Err(damaged());
        }
        usize::try_from(u64_at(bytes, 8)).map_err(|_| damaged())
    }

    /// The length of an offset, in bytes.
    fn offset_len(&self) -> usize {
        if self.is_compact { 4 } else { 8 }
    }

    /// The length of an entry's item, in bytes: an offset, and in the regular format a hash.
    fn item_len(&self) -> usize {
        if self.is_compact { 4 } else { 16 }
    }

    fn offset(&self, bytes: &[u8]) -> u64 {
        if self.is_compact { u64::from(u32_at(bytes, 0)) } else { u64_at(bytes, 0) }
    }
}

impl<'a> Data<'a> {
    fn new(head: &[u8], payload: &'a [u8]) -> Self {
        Self {
            flags: head.get(1).copied().unwrap_or(0),
            older_value: u64_at(head, 32),
            first_entry: u64_at(head, 40),
            first_array: u64_at(head, 48),
            entries: u64_at(head, 56),
            payload,
        }
    }
}

impl Pages {
    pub(super) fn new() -> Self {
        let window = |len, before| Window { file: 0, start: 0, bytes: Vec::new(), len, before };
        Self { objects: window(16 * 1024, 4 * 1024), arrays: window(4 * 1024, 0) }
    }

    /// Forgets what has been read: files grow.
    pub(super) fn clear(&mut self) {
        self.objects.bytes.clear();
        self.arrays.bytes.clear();
    }
}

impl Window {
    fn read(&mut self, file: &File, number: u64, offset: u64, len: usize) -> io::Result<&[u8]> {
        if self.file != number || self.covered(offset, len).is_none() {
            let start = offset.saturating_sub(self.before) & !0xfff;
            let fits = offset - start + len as u64 <= self.len as u64;
            self.file = number;
            self.start = if fits { start } else { offset };
            self.bytes.resize(self.len.max(len), 0);
            let count = read_up_to(file, self.start, &mut self.bytes).inspect_err(|_| {
                self.bytes.clear();
            })?;
            self.bytes.truncate(count);
        }
        self.covered(offset, len).ok_or_else(damaged)
    }

    fn covered(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..from.checked_add(len)?)
    }
}

fn read_exact(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
    if read_up_to(file, offset, bytes)? == bytes.len() { Ok(()) } else { Err(damaged()) }
}

fn read_up_to(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while let Some(rest) = bytes.get_mut(count..).filter(|rest| !rest.is_empty()) {
        let at = offset.checked_add(count as u64).ok_or_else(damaged)?;
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or([0; N])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

pub(super) fn damaged() -> io::Error {
    ErrorKind::InvalidData.into()
}
