//! Reads field values: all that are due in one call.

use std::time::Duration;

use model::{FieldId, Moment, Reading, Reason};

use crate::call_times::{CallTimes, Function};
use crate::demotion;
use crate::device::ask;
use crate::entry::Entry;
use crate::field_table::{Decode, Entries, FIELD_VALUES_CALL, FieldRow};
use crate::growth::{self, Call, Total};
use crate::plan::Target;
use crate::round::{Round, Schedule};
use crate::{Code, Device};

/// How many entries go in one call.
const MOST_ENTRIES: usize = 128;

/// The field values that are read of one GPU and its links.
pub(crate) struct FieldValues {
    function: Function,
    groups: Vec<Group>,
    /// Kept between passes, so that they need no memory.
    entries: Vec<Entry>,
}

/// Fields that are made from the same entries.
struct Group {
    /// NVML's number and scope of each entry.
    asked: Vec<(u32, u32)>,
    answers: Vec<Answer>,
    /// The entries' sum when it was last read, for rates and times.
    before: Option<Total>,
    schedule: Schedule,
    /// How long the driver took over it in this pass.
    took: Option<Duration>,
    supported: bool,
}

struct Answer {
    field: FieldId,
    decode: Decode,
    targets: Vec<Target>,
}

impl FieldValues {
    pub(crate) fn new(times: &mut CallTimes) -> Self {
        let function = times.function(FIELD_VALUES_CALL);
        Self { function, groups: Vec::new(), entries: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Forgets all groups of entries but the first ones.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.groups.truncate(len);
    }

    /// Keeps no more room than is needed: there is one of these for each GPU.
    pub(crate) fn fit(&mut self) {
        self.groups.shrink_to_fit();
    }

    /// Adds a field, if it is wanted, of the GPU or of this link. Gives the targets back if this
    /// driver's number for it is not known.
    pub(crate) fn add(
        &mut self,
        row: &FieldRow,
        link: u32,
        driver_version: Option<&str>,
        (targets, turns): (Vec<Target>, u64),
    ) -> Result<(), Vec<Target>> {
        if turns == 0 {
            return Ok(());
        }
        let number = |id: crate::field_table::Id| id.of_driver(driver_version);
        let asked = match row.entries {
            Entries::One(id, scope) => number(id).map(|id| vec![(id, scope.number(link))]),
            Entries::Sum(one, other, scope) => {
                number(one).zip(number(other)).map(|(one, other)| {
                    let scope = scope.number(link);
                    vec![(one, scope), (other, scope)]
                })
            }
        };
        let Some(asked) = asked else { return Err(targets) };
        let answer = Answer { field: row.field, decode: row.decode, targets };
        match self.groups.iter_mut().find(|group| group.asked == asked) {
            Some(group) => {
                group.answers.push(answer);
                group.schedule.turns |= turns;
            }
            None => self.groups.push(Group {
                asked,
                answers: vec![answer],
                before: None,
                schedule: Schedule::of(turns),
                took: None,
                supported: true,
            }),
        }
        Ok(())
    }

    /// Takes back every "not supported".
    pub(crate) fn ask_again(&mut self) {
        self.groups.iter_mut().for_each(|group| group.supported = true);
    }

    /// Forgets earlier counters: the GPU may be another than it was.
    pub(crate) fn forget_totals(&mut self) {
        self.groups.iter_mut().for_each(|group| group.before = None);
    }

    /// Every field at its own pace again.
    pub(crate) fn start_afresh(&mut self) {
        self.groups.iter_mut().for_each(|group| group.schedule.start_afresh());
    }

    /// Reads what is due.
    pub(crate) fn read(&mut self, device: &Device, round: &mut Round) -> Result<(), Code> {
        let Self { function, groups, entries } = self;
        entries.clear();
        for group in groups.iter_mut() {
            group.took = None;
            if group.supported && group.schedule.is_due(round.due) {
                entries.extend(group.asked.iter().map(|(id, scope)| ask(*id, *scope)));
                group.took = Some(Duration::ZERO);
            }
        }
        let asked = Moment::now();
        for chunk in entries.chunks_mut(MOST_ENTRIES) {
            let (answer, _) = round.times.time(*function, || device.field_values(chunk));
            match answer {
                Ok(()) => {}
                Err(code) if code.is_about_the_gpu() => return Err(code),
                Err(code) => chunk.iter_mut().for_each(|entry| refuse(entry, code)),
            }
        }
        let call = Call::since(asked);
        let mut weigh = false;
        let mut answers = &self.entries[..];
        for group in self.groups.iter_mut().filter(|group| group.took.is_some()) {
            let (mine, rest) = answers.split_at(group.asked.len());
            answers = rest;
            let took = latency(mine);
            group.took = Some(took);
            weigh |= took > demotion::SURELY_FAST || group.schedule.is_pending();
            group.answer(mine, call, device, round)?;
        }
        if weigh {
            self.weigh(round);
        }
        Ok(())
    }

    /// Finds fields that take too long.
    fn weigh(&mut self, round: &mut Round) {
        let mut all = demotion::Calls::default();
        for group in &self.groups {
            let Some(took) = group.took else { continue };
            all.made += 1;
            all.slow += usize::from(group.schedule.is_too_long(took, round));
        }
        if all.most_were_slow() || round.tally.slow {
            return;
        }
        for group in &mut self.groups {
            let Some(took) = group.took else { continue };
            let name =
                model::catalog::by_id(group.answers[0].field).map_or("a field value", |f| f.name);
            let targets = group.answers.iter().map(|answer| &answer.targets[..]);
            group.schedule.weigh(name, took, targets, round);
        }
    }
}

impl Group {
    /// Makes readings of the entries.
    fn answer(
        &mut self,
        entries: &[Entry],
        call: Call,
        device: &Device,
        round: &mut Round,
    ) -> Result<(), Code> {
        let has_rate = self.answers.iter().any(|answer| matches!(answer.decode, Decode::Rate(_)));
        let has_time = self.answers.iter().any(|answer| matches!(answer.decode, Decode::Time));
        let before = &mut self.before;
        let rate = if has_rate { growth::rate(entries, call, before) } else { Err(Reason::NoData) };
        let time =
            if has_time { growth::time(&entries[0], call, before) } else { Err(Reason::NoData) };
        let mut supported = false;
        for answer in &self.answers {
            let reading: Reading = match answer.decode {
                Decode::One(decode) => decode(&entries[0]),
                Decode::OrAsk(decode, otherwise) => match decode(&entries[0]) {
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
            match reading {
                Err(Reason::Lost) => return Err(Code::GPU_IS_LOST),
                Err(Reason::NotSupported) => round.tally.unsupported.push(answer.field),
                Err(reason) => {
                    supported = true;
                    round.tally.note(reason);
                }
                Ok(_) => {
                    supported = true;
                    round.tally.answered |= !self.schedule.is_slow();
                }
            }
            round.sink.set(&answer.targets, &reading);
        }
        self.supported = supported;
        Ok(())
    }
}

/// Makes an entry say that the whole call failed. For a single entry an invalid argument means that
/// the driver does not know it; for the call it means no such thing.
fn refuse(entry: &mut Entry, code: Code) {
    let code = if code == Code::INVALID_ARGUMENT { Code::UNKNOWN } else { code };
    entry.nvmlReturn = code.0;
}

/// How long the driver says that it took.
fn latency(entries: &[Entry]) -> Duration {
    let micros = entries.iter().map(|entry| entry.latencyUsec).max().unwrap_or(0);
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use model::{Pace, SlotIndex};

    use super::*;
    use crate::plan::{Paces, SLOW, TargetPart};
    use crate::{entry, field_table};

    #[test]
    fn fields_of_the_same_entries_are_read_together() {
        let mut times = CallTimes::default();
        let mut paces = Paces::new();
        let every = paces.turn(Pace::Every);
        let mut values = FieldValues::new(&mut times);
        for id in [449, 1648, 156, 1611, 240, 1420, 1215, 1216] {
            let row = field_table::rows().find(|row| row.field == FieldId(id)).expect("a row");
            let turns = if id == 1611 { every } else { SLOW };
            let targets = vec![Target { part: TargetPart::ITSELF, slot: SlotIndex(0) }];
            assert!(values.add(row, 0, None, (targets, turns)).is_ok());
        }
        let asked: Vec<&[(u32, u32)]> = values.groups.iter().map(|g| &g.asked[..]).collect();
        let all = u32::MAX;
        assert_eq!(asked, [&[(139, all), (138, all)][..], &[(83, 0)], &[(74, 0)], &[(222, all)]]);
        assert!(values.groups.iter().all(|group| group.answers.len() == 2));
        assert!(values.groups[1].schedule.is_due(every));
        assert!(!values.groups[0].schedule.is_due(every));
    }

    #[test]
    fn a_field_whose_number_depends_on_an_unknown_driver_is_given_back() {
        let mut values = FieldValues::new(&mut CallTimes::default());
        let row = field_table::rows().find(|row| row.field == FieldId(1422)).expect("a row");
        let targets = vec![Target { part: TargetPart::ITSELF, slot: SlotIndex(3) }];
        assert_eq!(values.add(row, 0, None, (targets.clone(), SLOW)), Err(targets.clone()));
        assert_eq!(values.add(row, 0, Some("550.1.2"), (targets, SLOW)), Ok(()));
        assert_eq!(values.groups[0].asked, [(251, 0)]);
    }

    #[test]
    fn a_failed_call_is_not_an_unknown_field() {
        let mut entry = ask(1, 0);
        refuse(&mut entry, Code::INVALID_ARGUMENT);
        assert_eq!(entry::count(&entry), Err(Reason::Failed));
        refuse(&mut entry, Code::FUNCTION_NOT_FOUND);
        assert_eq!(entry::count(&entry), Err(Reason::NotSupported));
    }
}
