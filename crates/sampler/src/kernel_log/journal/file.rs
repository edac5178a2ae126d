//! One file of journald's, and the entries of one boot and transport in it, in their order.
//!
//! A field with its value is a DATA object, which many entries share; it keeps a list of those that
//! have it. So the kernel's entries are found without those of all others: by the FIELD object
//! `_TRANSPORT`, its value `_TRANSPORT=kernel`, and the list of that.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::list::{EntryList, Step};
use super::object::{Entry, Header, Id, Objects, Pages, damaged};
use super::payload::{self, Field};

/// The most values of `_TRANSPORT` that are gone through. journald knows six.
const MOST_TRANSPORTS: usize = 64;

/// How many fields that entries share are kept.
const MOST_SHARED: usize = 32;

/// How an entry has reached journald.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Transport {
    /// From `/dev/kmsg`.
    Kernel,
    /// From journald itself.
    Driver,
}

/// The fields of an entry that matter here.
#[derive(Default, Debug)]
pub(super) struct Fields {
    /// The text.
    pub(super) message: Option<String>,
    /// When it was written, in µs of the printk clock.
    pub(super) source_monotonic: Option<u64>,
    /// Whether the entry has the transport in whose list it is.
    pub(super) has_transport: bool,
    /// Whether a field could not be read.
    pub(super) is_incomplete: bool,
    is_kernel_facility: Option<bool>,
    is_kernel_identifier: Option<bool>,
}

/// A file that is being read.
pub(super) struct JournalFile {
    objects: Objects,
    pub(super) path: PathBuf,
    pub(super) id: Id,
    /// Of the entries' numbers.
    pub(super) sequence: Id,
    /// Whether it has got its last entry.
    pub(super) is_final: bool,
    /// The boot whose entries are read, and whether there may be one.
    boot: Id,
    has_boot: bool,
    /// The FIELD object `_TRANSPORT`, and the newest value of it that is known.
    transport: u64,
    newest_value: u64,
    /// How many objects there were when that FIELD object was last looked for.
    searched: u64,
    /// By transport.
    lists: [EntryList; 2],
    /// The monotonic time of the newest entry, in µs.
    newest: u64,
    /// Fields that many entries share.
    shared: Vec<(u64, Field)>,
}

impl Fields {
    /// Whether the kernel itself wrote the message. A process that writes to `/dev/kmsg` gets
    /// another facility than 0. Old versions of journald do not store a facility; but they, too,
    /// give such a message another identifier, unless it names the kernel's.
    pub(super) fn are_the_kernels(&self) -> bool {
        let is_facility = self.is_kernel_facility.unwrap_or(!self.is_incomplete);
        self.has_transport && is_facility && self.is_kernel_identifier == Some(true)
    }
}

impl JournalFile {
    /// Opens a file to read the entries of one boot. `number` is its own.
    pub(super) fn open(path: &Path, number: u64, boot: Id) -> io::Result<Self> {
        let file = File::open(path)?;
        let header = Header::read(&file)?;
        let name = path.file_name().and_then(|name| name.to_str());
        Ok(Self {
            objects: Objects::new(file, &header, number),
            path: path.to_owned(),
            id: header.id,
            sequence: header.sequence,
            // journald appends to no other.
            is_final: header.is_archived || name != Some("system.journal"),
            boot,
            has_boot: header.boot == boot,
            transport: 0,
            newest_value: 0,
            searched: 0,
            lists: Default::default(),
            newest: 0,
            shared: Vec::new(),
        })
    }

    /// No other file has it, not even one with the same id.
    pub(super) fn number(&self) -> u64 {
        self.objects.number()
    }

    /// Whether it has no entry of the boot, and will get none.
    pub(super) fn is_of_another_boot(&self) -> bool {
        self.is_final && !self.has_boot
    }

    /// Whether something can be read without another look.
    pub(super) fn has_more(&self) -> bool {
        self.lists.iter().any(EntryList::has_more)
    }

    /// Sees what has been appended.
    pub(super) fn look(&mut self, pages: &mut Pages) -> io::Result<()> {
        let header = self.objects.header()?;
        if header.id != self.id {
            return Err(damaged());
        }
        self.is_final |= header.is_archived;
        self.has_boot = header.boot == self.boot;
        if !self.has_boot {
            return Ok(());
        }
        // A list that is not found now may be found the next time.
        let _ = self.find_lists(&header, pages);
        let mut has_grown = false;
        for list in &mut self.lists {
            if list.data != 0 {
                has_grown |= list.look(&self.objects.data_now(list.data)?);
            }
        }
        if has_grown {
            // journald writes an entry, then the header, then the lists.
            let header = self.objects.header()?;
            self.newest = if header.boot == self.boot { header.newest } else { 0 };
        }
        Ok(())
    }

    /// Finds the lists that are not known yet.
    fn find_lists(&mut self, header: &Header, pages: &mut Pages) -> io::Result<()> {
        if self.lists.iter().all(|list| list.data != 0) {
            return Ok(());
        }
        if self.transport == 0 && self.searched != header.objects {
            self.searched = header.objects;
            self.transport = self.objects.find_field(pages, header, b"_TRANSPORT")?;
        }
        if self.transport == 0 {
            return Ok(());
        }
        let newest = self.objects.newest_value(self.transport)?;
        let mut value = newest;
        for _ in 0..MOST_TRANSPORTS {
            if value == 0 || value == self.newest_value {
                break;
            }
            let data = self.objects.data(pages, value)?;
            match data.payload {
                b"_TRANSPORT=kernel" => self.lists[Transport::Kernel as usize].data = value,
                b"_TRANSPORT=driver" => self.lists[Transport::Driver as usize].data = value,
                _ => {}
            }
            // Each is written after the older ones.
            value = if data.older_value < value { data.older_value } else { 0 };
        }
        self.newest_value = newest;
        Ok(())
    }

    /// The next entry of the boot, which stays the next one until it is taken. Entries from before
    /// `after`, in µs of the monotonic clock, are passed. Each place in the list costs 1 of
    /// `budget`.
    pub(super) fn next_entry(
        &mut self,
        pages: &mut Pages,
        transport: Transport,
        after: u64,
        budget: &mut usize,
    ) -> Option<Entry> {
        let list = &mut self.lists[transport as usize];
        while list.next.is_none() && *budget > 0 {
            let offset = match list.step(&self.objects, pages, self.is_final) {
                Step::Entry(offset) => Some(offset),
                Step::Gap => None,
                Step::End => break,
            };
            *budget -= 1;
            let entry = offset.and_then(|offset| self.objects.entry(pages, offset).ok());
            // A time after that of the newest entry is a damaged one. It would hide all that is
            // before it.
            list.next = entry.filter(|entry| {
                entry.boot == self.boot && (after..=self.newest).contains(&entry.monotonic)
            });
        }
        list.next
    }

    /// Makes the entry after the next one the next.
    pub(super) fn take(&mut self, transport: Transport) {
        self.lists[transport as usize].next = None;
    }

    /// Reads the fields of an entry.
    pub(super) fn fields(
        &mut self,
        pages: &mut Pages,
        entry: &Entry,
        transport: Transport,
    ) -> io::Result<Fields> {
        let transport = self.lists[transport as usize].data;
        let mut fields = Fields::default();
        for item in self.objects.items(pages, entry)? {
            fields.has_transport |= item == transport;
            match self.field(pages, item) {
                Ok(Field::Message(text)) => fields.message = Some(text),
                Ok(Field::SourceMonotonic(micros)) => fields.source_monotonic = Some(micros),
                Ok(Field::Facility { is_kernel }) => {
                    let others = fields.is_kernel_facility.unwrap_or(true);
                    fields.is_kernel_facility = Some(is_kernel && others);
                }
                Ok(Field::Identifier { is_kernel }) => {
                    let others = fields.is_kernel_identifier.unwrap_or(true);
                    fields.is_kernel_identifier = Some(is_kernel && others);
                }
                Ok(Field::Other) => {}
                Err(_) => fields.is_incomplete = true,
            }
        }
        Ok(fields)
    }

    fn field(&mut self, pages: &mut Pages, offset: u64) -> io::Result<Field> {
        if let Some((_, field)) = self.shared.iter().find(|(known, _)| *known == offset) {
            return Ok(field.clone());
        }
        let data = self.objects.data(pages, offset)?;
        let field = match payload::is_compressed(data.flags) {
            false => payload::field(data.payload),
            true => payload::field(
                &payload::decompressed(data.flags, data.payload).ok_or_else(damaged)?,
            ),
        };
        let is_own = matches!(field, Field::Message(_) | Field::SourceMonotonic(_));
        if data.entries > 1 && !is_own {
            if self.shared.len() >= MOST_SHARED {
                self.shared.clear();
            }
            self.shared.push((offset, field.clone()));
        }
        Ok(field)
    }
}
