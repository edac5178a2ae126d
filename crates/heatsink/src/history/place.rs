//! Where the history is kept.

use std::path::PathBuf;

use crate::parse::HistoryPlace;

/// The folder to write to; `None` for memory alone.
pub(crate) fn to_write(place: HistoryPlace) -> Option<PathBuf> {
    match place {
        HistoryPlace::Auto | HistoryPlace::None => None,
        HistoryPlace::Folder(folder) => Some(folder),
    }
}

/// The folders to look for a history in, the most likely one first.
pub(crate) fn to_read(place: HistoryPlace) -> Vec<PathBuf> {
    match place {
        HistoryPlace::Auto | HistoryPlace::None => vec!["/var/lib/heatsink".into()],
        HistoryPlace::Folder(folder) => vec![folder],
    }
}
