//! The refresher `kubelet`.

use std::io;
use std::sync::Arc;

use crate::settings::KubeletSettings;
use crate::shared::Shared;

/// Starts the refresher.
///
/// # Errors
///
/// If there is no thread.
pub(crate) fn start(shared: &Arc<Shared>, settings: &KubeletSettings) -> io::Result<()> {
    let _ = (shared, settings);
    Ok(())
}
