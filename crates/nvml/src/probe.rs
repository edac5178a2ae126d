//! Whether a GPU can be read by a session of its own.

use std::path::Path;
use std::sync::Arc;

use model::Identity;

use crate::library::DEFAULT_NAME;
use crate::{Code, Device, Library};

/// Opens the library, looks for the GPU, and asks it for its temperature. May block for ever.
///
/// # Errors
///
/// Why it cannot be read.
pub fn probe(library: Option<&Path>, wanted: &Identity) -> Result<(), String> {
    let library = Library::open(library.unwrap_or(Path::new(DEFAULT_NAME)));
    let library = Arc::new(library.map_err(|error| error.to_string())?);
    let said = |code: Code| code.to_string();
    let mut why = "it is not listed".to_owned();
    // First where it is in another session, so that one that hangs is in the way only if it has to be.
    let mut indexes: Vec<u32> = (0..library.device_count().map_err(said)?).collect();
    indexes.sort_by_key(|index| Some(*index) != wanted.index);
    for index in indexes {
        let opened = Device::by_index(&library, index)
            .and_then(|device| Ok((device.identity(index)?, device)));
        let (identity, device) = match opened {
            Ok(opened) => opened,
            Err(code) => {
                why = said(code);
                continue;
            }
        };
        if identity.is_same_gpu(wanted) {
            return match device.temperature() {
                Err(code) if code.is_about_the_gpu() => Err(said(code)),
                _ => Ok(()),
            };
        }
    }
    Err(why)
}
