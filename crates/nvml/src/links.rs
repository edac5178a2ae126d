//! The NVLinks of a GPU: how many it has.

use crate::field_table::LINK_TABLE;
use crate::getters::ERRORS_OF_LINK;
use crate::gpm_table::GPM_OF_LINK;
use crate::prm::PRM_TABLE;
use crate::{Code, Device};
use model::{FieldId, Reason};

/// No GPU has more.
pub(crate) const MOST_LINKS: u32 = 36;

/// Whether a field is of one NVLink.
pub(crate) fn is_of_link(field: FieldId) -> bool {
    LINK_TABLE.iter().any(|row| row.field == field)
        || ERRORS_OF_LINK.iter().any(|row| row.field == field)
        || GPM_OF_LINK.iter().any(|(of, _)| *of == field)
        || PRM_TABLE.iter().any(|(of, _)| *of == field)
}

/// How many NVLinks the GPU has, up or down: one more than the number of the last. `None` if that
/// cannot be told now, as while links are trained anew.
pub(crate) fn count(device: &Device) -> Result<Option<u32>, Code> {
    let mut count = 0;
    for link in 0..MOST_LINKS {
        match device.link_is_up(link) {
            Ok(_) => count = link + 1,
            Err(code) if code.is_about_the_gpu() => return Err(code),
            // There is no such number, nor a higher one.
            Err(Code::INVALID_ARGUMENT) => break,
            // A board may leave some of its links out.
            Err(code) if code.reason() == Reason::NotSupported => {}
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(count))
}

#[cfg(test)]
mod tests {
    use model::catalog::Level;

    use super::*;

    #[test]
    fn fields_of_links_are_those_of_the_catalogue() {
        for row in model::catalog::FIELDS.iter().filter(|row| crate::served(row.id).is_some()) {
            assert_eq!(is_of_link(row.id), row.level == Level::Link, "{}", row.name);
        }
    }
}
