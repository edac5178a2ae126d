//! The refresher `jobs`.

use std::io;
use std::sync::Arc;

use crate::settings::JobSettings;
use crate::shared::Shared;

/// Starts the refresher.
///
/// # Errors
///
/// If there is no thread.
pub(crate) fn start(shared: &Arc<Shared>, settings: &JobSettings) -> io::Result<()> {
    let _ = (shared, settings);
    Ok(())
}
