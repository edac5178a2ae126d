//! The refresher `pods`.

use std::io;
use std::sync::Arc;

use crate::settings::PodSettings;
use crate::shared::Shared;

/// Starts the refresher.
///
/// # Errors
///
/// If there is no thread.
pub(crate) fn start(shared: &Arc<Shared>, settings: &PodSettings) -> io::Result<()> {
    let _ = (shared, settings);
    Ok(())
}
