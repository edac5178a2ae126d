//! The metrics page as bytes: rendered once per snapshot, on first demand, and kept.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use exposition::Settings;
use flate2::write::ZlibEncoder;
use flate2::{Compress, Compression};
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
        Self { shelf: Mutex::new(Shelf { settings, newest: None }) }
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
        let Shelf { settings, newest } = &mut *shelf;
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
        bytes.get_or_insert_with(|| rendered(snapshot, settings, encoding)).clone()
    }
}

/// A page, made now.
pub(crate) fn rendered(snapshot: &Snapshot, settings: &Settings, encoding: Encoding) -> Bytes {
    match encoding {
        Encoding::Identity => exposition::render(snapshot, settings).into(),
        Encoding::Gzip => compressed(snapshot, settings),
    }
}

/// zlib's first level. The second one makes a page a fifth smaller and takes a third more time, and with
/// one Prometheus each page is compressed for a single scrape.
const LEVEL: Compression = Compression::new(1);

/// How far back repetitions are found, as a power of two. A page repeats the lines just above, so
/// the largest window, of 2^15, takes more room for nothing; a smaller one is moved so often that
/// it takes more time.
const WINDOW_BITS: u8 = 14;

/// The page, compressed as it is made. Pages repeat themselves so much that a tenth is left.
fn compressed(snapshot: &Snapshot, settings: &Settings) -> Bytes {
    let gzip = Compress::new_gzip(LEVEL, WINDOW_BITS);
    let mut encoder = ZlibEncoder::new_with_compress(Vec::new(), gzip);
    exposition::render_in_parts(snapshot, settings, |part| {
        // Writing to memory cannot fail.
        let _ = encoder.write_all(part.as_bytes());
    });
    let mut bytes = encoder.finish().unwrap_or_default();
    bytes.shrink_to_fit();
    bytes.into()
}
