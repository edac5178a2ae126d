//! The NVLinks of a GPU: how many it has.

use crate::field_table::LINK_TABLE;
use crate::getters::ERRORS_OF_LINK;
use crate::gpm_table::GPM_OF_LINK;
use crate::prm::PRM_TABLE;
use crate::{Code, Device};
use model::FieldId;

/// No GPU has more.
pub(crate) const MOST_LINKS: u32 = 36;

/// Whether a field is of one NVLink.
pub(crate) fn is_of_link(field: FieldId) -> bool {
    LINK_TABLE.iter().any(|row| row.field == field)
        || ERRORS_OF_LINK.iter().any(|row| row.field == field)
        || GPM_OF_LINK.iter().any(|(of, _)| *of == field)
        || PRM_TABLE.iter().any(|(of, _)| *of == field)
}

/// How many NVLinks the GPU has, up or down.
pub(crate) fn count(device: &Device) -> Result<u32, Code> {
    for link in 0..MOST_LINKS {
        match device.link_is_up(link) {
            Ok(_) => {}
            Err(code) if code.is_about_the_gpu() => return Err(code),
            Err(_) => return Ok(link),
        }
    }
    Ok(MOST_LINKS)
}

#[cfg(test)]
mod tests {
    use catalog::Level;

    use super::*;

    #[test]
    fn fields_of_links_are_those_of_the_catalogue() {
        for row in catalog::FIELDS.iter().filter(|row| crate::served(row.id).is_some()) {
            assert_eq!(is_of_link(row.id), row.level == Level::Link, "{}", row.name);
        }
    }
}
