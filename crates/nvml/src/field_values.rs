//! Field values: all that are due go in one call.

use std::sync::Arc;
use std::time::Duration;

use model::{Moment, Reading, Reason};

use crate::call_group::CallGroup;
use crate::call_times::{CallTimes, Function};
use crate::code::Code;
use crate::device::Device;
use crate::entries::Decode;
use crate::entry::{self, Entry};
use crate::growth::{self, CallMoment, Total};
use crate::pass::{PassContext, TargetFinder};
use crate::plan::Target;
use crate::row::{Call, FIELD_VALUES_CALL, Row};
use crate::schedule::{self, Scheduled};

/// How many entries go in one call.
const MOST_ENTRIES: usize = 128;

/// The field values that are read of one GPU and its NVLinks.
pub(crate) struct FieldValues {
    driver_version: Option<Arc<str>>,
    function: Function,
    /// Fields that are made from the same entries are answers to one request.
    requests: Vec<Scheduled<Request, Decode>>,
    /// Fields whose number is not known for this driver: not supported.
    unknown: Vec<(Target, Reading)>,
    /// Kept between passes, so that they need no memory.
    entries: Vec<Entry>,
}

/// Some entries of the call.
struct Request {
    /// NVML's number and scope of each.
    numbers: Box<[(u32, u32)]>,
    /// The entries' sum when it was last read, for rates and times.
    before: Option<Total>,
}

impl FieldValues {
    pub(crate) fn new(driver_version: Option<Arc<str>>, times: &mut CallTimes) -> Self {
        Self {
            driver_version,
            function: times.function(FIELD_VALUES_CALL),
            requests: Vec::new(),
            unknown: Vec::new(),
            entries: Vec::new(),
        }
    }
}

impl CallGroup for FieldValues {
    fn add(&mut self, row: &'static Row, link: u32, targets: &mut TargetFinder) {
        let Call::FieldValue(entries, decode) = row.call else { return };
        for (offset, field) in row.fields.iter() {
            let Some(target) = targets.target(field) else { continue };
            let numbers = entries.numbers(offset, link, self.driver_version.as_deref());
            let Some(numbers) = numbers else {
                self.unknown.push((target, Err(Reason::NotSupported)));
                continue;
            };
            match self.requests.iter_mut().find(|one| one.request.numbers == numbers) {
                Some(same) => same.add(decode, target),
                None => {
                    let request = Request { numbers, before: None };
                    self.requests.push(Scheduled::new(request, vec![(decode, target)]));
                }
            }
        }
    }

    fn remove_links(&mut self) {
        schedule::remove_links(&mut self.requests);
    }

    fn read(&mut self, device: &Device, pass: &mut PassContext) -> Result<(), Code> {
        pass.write_constants(&self.unknown);
        self.entries.clear();
        for one in &mut self.requests {
            if one.begin(pass) {
                let numbers = one.request.numbers.iter();
                self.entries.extend(numbers.map(|(id, scope)| entry::request(*id, *scope)));
                one.took = Some(Duration::ZERO);
            }
        }
        let began = Moment::now();
        for chunk in self.entries.chunks_mut(MOST_ENTRIES) {
            match pass.shared.times.time(self.function, || device.field_values(chunk)).0 {
                Ok(()) => {}
                Err(code) if code.is_about_the_gpu() => return Err(code),
                Err(code) => {
                    chunk.iter_mut().for_each(|entry| entry.nvmlReturn = entry::refused(code));
                }
            }
        }
        let call = CallMoment::since(began);
        let mut entries = &self.entries[..];
        for one in self.requests.iter_mut().filter(|one| one.took.is_some()) {
            let (mine, rest) = entries.split_at(one.request.numbers.len());
            entries = rest;
            one.took = Some(latency(mine));
            answer(one, mine, call, device, pass)?;
        }
        schedule::record_durations(&mut self.requests, name, pass);
        Ok(())
    }

    fn shrink_to_fit(&mut self) {
        self.requests.shrink_to_fit();
    }

    fn retry_unsupported(&mut self) {
        schedule::retry_unsupported(&mut self.requests);
    }

    fn reset(&mut self) {
        schedule::reset(&mut self.requests);
        self.requests.iter_mut().for_each(|one| one.request.before = None);
    }
}

/// Makes readings of the entries.
fn answer(
    one: &mut Scheduled<Request, Decode>,
    entries: &[Entry],
    call: CallMoment,
    device: &Device,
    pass: &mut PassContext,
) -> Result<(), Code> {
    let before = &mut one.request.before;
    // Both replace the earlier sum, so each is made once for all answers.
    let has = |which: fn(&Decode) -> bool| one.answers.iter().any(|(decode, _)| which(decode));
    let rate = match has(|decode| matches!(decode, Decode::Rate(_))) {
        true => growth::rate(entries, call, before),
        false => Err(Reason::NoData),
    };
    let time = match has(|decode| matches!(decode, Decode::Time)) {
        true => growth::time(&entries[0], call, before),
        false => Err(Reason::NoData),
    };
    one.supported = false;
    for (decode, target) in &one.answers {
        let reading: Reading = match decode {
            Decode::One(decode) => decode(&entries[0]),
            Decode::OrCall(decode, otherwise) => match decode(&entries[0]) {
                Err(Reason::NotSupported) => {
                    otherwise(device).unwrap_or_else(|code| Err(code.reason()))
                }
                reading => reading,
            },
            Decode::Rate(convert) => {
                rate.and_then(|(kibibytes, micros)| convert(kibibytes, micros))
            }
            Decode::Time => time.clone(),
        };
        one.supported |= reading != Err(Reason::NotSupported);
        match reading {
            Err(Reason::Lost) => return Err(Code::GPU_IS_LOST),
            Err(reason) => pass.outcome.note_absent(target.field, reason),
            Ok(_) => pass.outcome.answered |= !one.schedule.is_slow(),
        }
        pass.write(target, &reading);
    }
    Ok(())
}

/// How long it took by the driver's own measurement.
fn latency(entries: &[Entry]) -> Duration {
    let micros = entries.iter().map(|entry| entry.latencyUsec).max().unwrap_or(0);
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// The name of the first field that is made from the entries.
fn name(one: &Scheduled<Request, Decode>) -> &'static str {
    let field = one.answers.first().and_then(|(_, target)| model::catalog::by_id(target.field));
    field.map_or("a field value", |field| field.name)
}

#[cfg(test)]
mod tests {
    use model::{FieldId, Kind, Pace, Watch};

    use super::*;
    use crate::fields;
    use crate::pass::Shared;
    use crate::plan::{DueMask, Plan, TargetPart};

    fn field_values(watched: &[(u16, Pace)], driver_version: Option<&str>) -> FieldValues {
        let watches: Vec<Watch> = watched
            .iter()
            .map(|(field, pace)| Watch {
                field: FieldId(*field),
                name: "a".into(),
                kind: Kind::Gauge,
                help: "b".into(),
                pace: *pace,
                cumulative: false,
            })
            .collect();
        let mut shared = Shared::new();
        let mut values = FieldValues::new(driver_version.map(Arc::from), &mut shared.times);
        let plan = &Plan::of(&watches, |_| true);
        let mut targets = TargetFinder { plan, part: TargetPart::ITSELF, shared: &mut shared };
        fields::rows().for_each(|row| values.add(row, 0, &mut targets));
        values
    }

    #[test]
    fn fields_of_the_same_entries_are_read_together() {
        let fields = [156, 240, 449, 1215, 1216, 1420, 1611, 1648];
        let paces = fields.map(|id| (id, if id == 1611 { Pace::Every } else { Pace::Slow }));
        let values = field_values(&paces, None);
        let mut numbers: Vec<&[(u32, u32)]> =
            values.requests.iter().map(|one| &*one.request.numbers).collect();
        numbers.sort();
        let all = u32::MAX;
        assert_eq!(numbers, [&[(74, 0)][..], &[(83, 0)], &[(139, all), (138, all)], &[(222, all)]]);
        assert!(values.requests.iter().all(|one| one.answers.len() == 2));
        for one in &values.requests {
            let is_energy = one.request.numbers[0].0 == 83;
            assert_eq!(one.schedule.paces == DueMask::SLOW, !is_energy);
        }
    }

    #[test]
    fn a_field_whose_number_depends_on_an_unknown_driver_is_not_requested() {
        let watched = [(1422, Pace::Slow)];
        let values = field_values(&watched, None);
        assert_eq!((values.requests.len(), values.unknown.len()), (0, 1));
        let values = field_values(&watched, Some("550.1.2"));
        assert_eq!(*values.requests[0].request.numbers, [(251, 0)]);
    }
}
