//! What is asked of the driver once per session: its versions.

use std::sync::Arc;

use model::field;
use model::{FieldId, Reading, Reason, Value, Watch};

use crate::{Code, Library, convert};

/// What is true of all GPUs of a driver.
pub(crate) struct Facts {
    driver_version: Option<Arc<str>>,
    nvml_version: Reading,
    cuda_version: Reading,
}

impl Facts {
    /// Asks only for what somebody watches. May block: CUDA's version is in another library.
    pub(crate) fn of(library: &Library, watches: &[Watch]) -> Self {
        let is_watched = |field| watches.iter().any(|watch| watch.field == field);
        let reading = |field, read: &dyn Fn() -> Result<Reading, Code>| {
            if is_watched(field) {
                read().unwrap_or_else(|code| Err(code.reason()))
            } else {
                Err(Reason::NoData)
            }
        };
        Self {
            driver_version: library.driver_version().ok().map(Arc::from),
            nvml_version: reading(field::NVML_VERSION, &|| {
                Ok(convert::text(library.nvml_version()?))
            }),
            cuda_version: reading(field::CUDA_DRIVER_VERSION, &|| {
                Ok(convert::int(library.cuda_version()?))
            }),
        }
    }

    /// The fields that they are.
    pub(crate) fn readings(&self) -> Vec<(FieldId, Reading)> {
        let driver_version =
            self.driver_version.as_deref().map(|version| Value::Text(version.into()));
        vec![
            (field::DRIVER_VERSION, driver_version.ok_or(Reason::Failed)),
            (field::NVML_VERSION, self.nvml_version.clone()),
            (field::CUDA_DRIVER_VERSION, self.cuda_version.clone()),
        ]
    }

    /// As `550.163.01`.
    pub(crate) fn driver_version(&self) -> Option<Arc<str>> {
        self.driver_version.clone()
    }
}
