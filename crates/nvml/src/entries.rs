//! Which field values a field is made from, and how.

use model::Reading;

use crate::code::Code;
use crate::device::Device;
use crate::entry::Entry;

/// The position of a field in its row: its place in a list, or its distance from the first field of a
/// run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FieldOffset(pub(crate) u16);

impl FieldOffset {
    /// The first field.
    pub(crate) const FIRST: Self = Self(0);

    /// NVML's number for the field, where numbers count up from that of the first.
    pub(crate) fn after(self, first: u32) -> u32 {
        first + u32::from(self.0)
    }
}

/// The field values that a field is made from.
#[derive(Clone, Copy)]
pub(crate) struct Entries {
    /// One, or several that are summed up.
    pub(crate) ids: &'static [Id],
    pub(crate) scope: Scope,
}

impl Entries {
    /// NVML's number and scope of each entry, of the field at `offset` in a run, in a reading of
    /// `link`; `None` if the driver's version is not known but matters.
    pub(crate) fn numbers(
        self,
        offset: FieldOffset,
        link: u32,
        driver_version: Option<&str>,
    ) -> Option<Box<[(u32, u32)]>> {
        // In a run of links, these count up, and the entry stays the same.
        let is_run_of_links = matches!(self.scope, Scope::Link(_));
        let in_run = if is_run_of_links { FieldOffset::FIRST } else { offset };
        let scope = self.scope.number(offset, link);
        let numbers = self.ids.iter().map(|id| id.of_driver(driver_version));
        numbers.map(|first| Some((in_run.after(first?), scope))).collect()
    }
}

/// NVML's number of a field value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Id {
    /// The same in every driver.
    Fixed(u32),
    /// NVML was renumbered with driver [`RENUMBERED`], and gave the new number another meaning
    /// before.
    Renumbered { before: u32, since: u32 },
}

/// The driver whose NVML has other numbers for the times of clock event reasons.
const RENUMBERED: (u32, u32) = (580, 82);

impl Id {
    /// The number for this driver; `None` if the driver's version is not known but matters.
    fn of_driver(self, version: Option<&str>) -> Option<u32> {
        match self {
            Self::Fixed(id) => Some(id),
            Self::Renumbered { before, since } => {
                let mut parts = version?.split('.').map(str::parse::<u32>);
                let version = (parts.next()?.ok()?, parts.next()?.ok()?);
                Some(if version < RENUMBERED { before } else { since })
            }
        }
    }
}

/// What a field value is of: the GPU or its NVLinks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scope {
    /// The GPU.
    Gpu,
    /// This NVLink; in a run, the first one.
    Link(u32),
    /// All NVLinks of the GPU together.
    AllLinks,
    /// The NVLink that the reading is of.
    ThisLink,
}

impl Scope {
    /// NVML's number, of the field at `offset` in a run, in a reading of `link`.
    pub(crate) fn number(self, offset: FieldOffset, link: u32) -> u32 {
        match self {
            Self::Gpu => 0,
            Self::Link(first) => offset.after(first),
            Self::AllLinks => u32::MAX,
            Self::ThisLink => link,
        }
    }
}

/// How entries become a reading.
#[derive(Clone, Copy)]
pub(crate) enum Decode {
    /// From the entry alone.
    One(fn(&Entry) -> Reading),
    /// From the entry, or from another call where the driver does not fill the entry in.
    OrCall(fn(&Entry) -> Reading, fn(&Device) -> Result<Reading, Code>),
    /// From the growth of the entries' sum since the last pass: (KiB, time in µs) to a rate.
    Rate(fn(kibibytes: u64, micros: u64) -> Reading),
    /// A time in ns that adds up, from the entry and its value in the last pass.
    Time,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_clock_event_reasons_follow_the_drivers_version() {
        let id = Id::Renumbered { before: 251, since: 269 };
        for (version, number) in [
            (Some("550.163.01"), Some(251)),
            (Some("580.65.06"), Some(251)),
            (Some("580.82.07"), Some(269)),
            (Some("580.105.08"), Some(269)),
            (Some("595.10"), Some(269)),
            (Some("unknown"), None),
            (Some("580"), None),
            (None, None),
        ] {
            assert_eq!(id.of_driver(version), number, "{version:?}");
        }
        assert_eq!(Id::Fixed(74).of_driver(None), Some(74));
    }
}
