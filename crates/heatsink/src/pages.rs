//! The metrics page as bytes: rendered once per snapshot, on first demand, and kept.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use exposition::{Layout, Settings};
use flate2::Compression;
use flate2::write::GzEncoder;
use model::Snapshot;

/// How the bytes are encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Encoding {
    /// As they are.
    Identity,
    /// Compressed.
    Gzip,
}

/// The newest page.
pub(crate) struct Pages {
    shelf: Mutex<Shelf>,
}

struct Shelf {
    settings: Settings,
    /// Of the newest page's watches.
    layout: Option<Layout>,
    newest: Option<Page>,
}

struct Page {
    snapshot: Arc<Snapshot>,
    /// Made on demand, each by itself: scrapers ask for one of them and never for the other, and the
    /// longer one is a megabyte where the whole catalogue is asked for.
    identity: Option<Bytes>,
    gzip: Option<Bytes>,
}

impl Pages {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { shelf: Mutex::new(Shelf { settings, layout: None, newest: None }) }
    }

    /// Changes what pages depend on besides the snapshot.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Settings)) {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut shelf.settings);
        shelf.newest = None;
    }

    /// The page of this snapshot. The number of connections that were closed at the limit is that of
    /// the first request for it.
    pub(crate) fn get(
        &self,
        snapshot: Arc<Snapshot>,
        connections_closed: u64,
        encoding: Encoding,
    ) -> Bytes {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let Shelf { settings, layout, newest } = &mut *shelf;
        let page = match newest {
            Some(page) if Arc::ptr_eq(&page.snapshot, &snapshot) => page,
            newest => {
                // What it replaces goes first.
                *newest = None;
                settings.connections_closed = connections_closed;
                newest.insert(Page { snapshot, identity: None, gzip: None })
            }
        };
        let Page { snapshot, identity, gzip } = page;
        let bytes = match encoding {
            Encoding::Identity => identity,
            Encoding::Gzip => gzip,
        };
        bytes
            .get_or_insert_with(|| {
                let layout = match layout {
                    Some(layout) if layout.fits(snapshot) => layout,
                    layout => layout.insert(Layout::new(&snapshot.watches)),
                };
                rendered(snapshot, settings, layout, encoding)
            })
            .clone()
    }
}

/// A page, made now.
pub(crate) fn rendered(
    snapshot: &Snapshot,
    settings: &Settings,
    layout: &Layout,
    encoding: Encoding,
) -> Bytes {
    match encoding {
        Encoding::Identity => {
            let mut page = String::new();
            exposition::render_in_chunks(snapshot, settings, layout, |part| page.push_str(part));
            page.into()
        }
        Encoding::Gzip => compressed(snapshot, settings, layout),
    }
}

/// zlib's first level. The second one makes a page a fifth smaller and takes a third more time, and with
/// one Prometheus each page is compressed for a single scrape.
const LEVEL: Compression = Compression::new(1);

/// The page, compressed as it is made. Pages repeat themselves so much that a tenth is left.
fn compressed(snapshot: &Snapshot, settings: &Settings, layout: &Layout) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), LEVEL);
    exposition::render_in_chunks(snapshot, settings, layout, |part| {
        // Writing to memory cannot fail.
        let _ = encoder.write_all(part.as_bytes());
    });
    let mut bytes = encoder.finish().unwrap_or_default();
    bytes.shrink_to_fit();
    bytes.into()
}
