//! Whether a GPU can be read by a session of its own.

use std::path::Path;
use std::sync::Arc;

use model::Identity;

use crate::fields::identity::open_gpu;
use crate::fields::thermal::temperature;
use crate::library::{DEFAULT_NAME, Library, ReadError, ReadFailure};

/// Opens the library, looks for the GPU, and reads its temperature. May block for ever.
///
/// # Errors
///
/// Why it cannot be read.
pub fn probe(library: Option<&Path>, gpu: &Identity) -> Result<(), ReadError> {
    Ok(try_to_read(library.unwrap_or(Path::new(DEFAULT_NAME)), gpu)?)
}

fn try_to_read(library: &Path, gpu: &Identity) -> Result<(), ReadFailure> {
    let library = Arc::new(Library::open(library)?);
    let count = library.device_count().map_err(ReadFailure::Driver)?;
    let mut failure = ReadFailure::NotListed;
    // First where it is in another session, so that one that hangs is in the way only if it has to be.
    let mut indexes: Vec<u32> = (0..count).collect();
    indexes.sort_by_key(|index| Some(*index) != gpu.index);
    for index in indexes {
        match open_gpu(&library, index) {
            Err(code) => failure = ReadFailure::Driver(code),
            Ok((device, identity)) if identity.is_same_gpu(gpu) => {
                return match temperature(&device) {
                    Err(code) if code.is_about_the_gpu() => Err(ReadFailure::Driver(code)),
                    _ => Ok(()),
                };
            }
            Ok(_) => {}
        }
    }
    Err(failure)
}
