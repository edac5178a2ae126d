//! The refresher `resource_slices`.

use std::io;
use std::sync::Arc;

use crate::settings::DraSettings;
use crate::shared::Shared;

/// Starts the refresher.
///
/// # Errors
///
/// If there is no thread.
pub(crate) fn start(shared: &Arc<Shared>, settings: &DraSettings) -> io::Result<()> {
    let _ = (shared, settings);
    Ok(())
}
