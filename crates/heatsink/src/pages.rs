//! The metrics page as bytes: rendered and compressed once per snapshot, attribution and format, at the
//! first request.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use exposition::{Format, Layout, Settings};
use flate2::Compression;
use flate2::write::GzEncoder;
use model::{Attribution, HistoryView, Snapshot};

/// How the bytes are encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Encoding {
    /// Not compressed.
    Identity,
    /// gzip.
    Gzip,
}

/// What a page is made of.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Who uses the GPUs; `None` if nothing looks for that.
    pub(crate) attribution: Option<Arc<Attribution>>,
    /// The state of the history; `None` if nothing is recorded.
    pub(crate) history: Option<Arc<HistoryView>>,
}

impl Content {
    fn is(&self, other: &Self) -> bool {
        let attribution = |content: &Self| content.attribution.as_ref().map(Arc::as_ptr);
        let history = |content: &Self| content.history.as_ref().map(Arc::as_ptr);
        Arc::ptr_eq(&self.snapshot, &other.snapshot)
            && attribution(self) == attribution(other)
            && history(self) == history(other)
    }
}

/// A cache of the newest page.
pub(crate) struct PageCache {
    state: Mutex<State>,
}

struct State {
    settings: Settings,
    /// For the watches of the newest page, one for each format that was requested.
    layouts: Vec<Layout>,
    newest: Option<Page>,
}

struct Page {
    content: Content,
    /// What was requested of it. Most scrapers request one format in one encoding and never another,
    /// and the longest is a megabyte with the whole catalogue.
    made: Vec<(Format, Encoding, Bytes)>,
}

impl PageCache {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { state: Mutex::new(State { settings, layouts: Vec::new(), newest: None }) }
    }

    /// Changes the settings of pages.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Settings)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.settings.clone();
        change(&mut state.settings);
        state.settings.note_labels_before(&before, SystemTime::now());
        state.newest = None;
    }

    /// The page of this content. `connections_closed` is only used by the first request for it.
    pub(crate) fn get(
        &self,
        content: Content,
        connections_closed: u64,
        format: Format,
        encoding: Encoding,
    ) -> Bytes {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { settings, layouts, newest } = &mut *state;
        let page = match newest {
            Some(page) if page.content.is(&content) => page,
            newest => {
                // Frees the old page before the new one is made.
                *newest = None;
                settings.connections_closed = connections_closed;
                settings.history.clone_from(&content.history);
                newest.insert(Page { content, made: Vec::new() })
            }
        };
        let Page { content, made } = page;
        let mut known = made.iter();
        if let Some((_, _, bytes)) = known.find(|(f, e, _)| (*f, *e) == (format, encoding)) {
            return bytes.clone();
        }
        layouts.retain(|layout| layout.fits(&content.snapshot));
        let at = layouts.iter().position(|layout| layout.format() == format).unwrap_or_else(|| {
            layouts.push(Layout::new(&content.snapshot.watches, format));
            layouts.len() - 1
        });
        let bytes = rendered(content, settings, &layouts[at], encoding);
        made.push((format, encoding, bytes.clone()));
        bytes
    }
}

/// Renders a page.
pub(crate) fn rendered(
    content: &Content,
    settings: &Settings,
    layout: &Layout,
    encoding: Encoding,
) -> Bytes {
    match encoding {
        Encoding::Identity => {
            let mut page = Vec::new();
            render(content, settings, layout, |part| page.extend_from_slice(part));
            page.into()
        }
        Encoding::Gzip => compressed(content, settings, layout),
    }
}

fn render(content: &Content, settings: &Settings, layout: &Layout, take: impl FnMut(&[u8])) {
    let attribution = content.attribution.as_deref();
    exposition::render_in_chunks(&content.snapshot, attribution, settings, layout, take);
}

/// zlib's level 1. Level 2 makes a page a fifth smaller and takes a third more time, and with
/// one Prometheus each page is compressed for a single scrape.
const LEVEL: Compression = Compression::new(1);

/// The page, compressed while it is rendered, to about a tenth.
fn compressed(content: &Content, settings: &Settings, layout: &Layout) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), LEVEL);
    render(content, settings, layout, |part| {
        // Writing to memory cannot fail.
        let _ = encoder.write_all(part);
    });
    let mut bytes = encoder.finish().unwrap_or_default();
    bytes.shrink_to_fit();
    bytes.into()
}
