//! The refresher `node`.

use std::io;
use std::sync::Arc;

use crate::settings::NodeSettings;
use crate::shared::Shared;

/// Starts the refresher.
///
/// # Errors
///
/// If there is no thread.
pub(crate) fn start(shared: &Arc<Shared>, settings: &NodeSettings) -> io::Result<()> {
    let _ = (shared, settings);
    Ok(())
}
