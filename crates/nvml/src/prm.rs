//! Reads the registers of the NVLinks' ports: all that are due, of all links, in one call.

use model::{FieldId, Reading, Reason};
use nvml_wrapper_sys::bindings as sys;

use crate::call_times::{CallTimes, Function};
use crate::device::PrmCounter;
use crate::links::MOST_LINKS;
use crate::plan::{SLOW, Target};
use crate::round::{Round, Schedule};
use crate::timing::{Timing, time};
use crate::{Code, Device, convert, demotion, entry};

/// NVML's function for them, which came with driver 595.
pub(crate) const PRM_CALL: &str = "nvmlDeviceReadPRMCounters_v1";

/// The fields, all of one NVLink, and NVML's number of the counter that each is.
#[rustfmt::skip]
pub(crate) const PRM_TABLE: [(FieldId, u32); 14] = [
    (FieldId(580), 1001), // Whether a recovery is under way, from the register PPRM.
    (FieldId(581), 102),  // Seconds since the last recovery.
    (FieldId(582), 103),  // Milliseconds between the last two.
    (FieldId(583), 101),  // Recoveries that succeeded, in all.
    (FieldId(584), 2),    // Recoveries that succeeded, of the physical layer.
    (FieldId(585), 1),    // How often the link went down.
    (FieldId(586), 301),  // Codes received,
    (FieldId(587), 302),  // with errors,
    (FieldId(588), 303),  // and beyond correction.
    (FieldId(589), 304),  // Codes sent,
    (FieldId(590), 305),  // and sent again,
    (FieldId(591), 306),  // and how often that was needed.
    (FieldId(592), 307),  // How often both ends found each other again.
    (FieldId(1509), 201), // How long the port had data and could not send it.
];

/// The counters that are read of a GPU's links.
pub(crate) struct Prm {
    function: Function,
    wanted: Vec<Wanted>,
    /// Of the call, whatever it is made for.
    schedule: Schedule,
    /// Kept between passes, so that they need no memory.
    counters: Vec<PrmCounter>,
}

struct Wanted {
    field: FieldId,
    id: u32,
    link: u32,
    targets: Vec<Target>,
    turns: u64,
    /// Cleared at the first answer that will stay as it is; set again as for all other fields.
    worth_asking: bool,
    /// Whether it is part of this pass's call.
    asked: bool,
}

impl Prm {
    pub(crate) fn new(times: &mut CallTimes) -> Self {
        let function = times.function(PRM_CALL);
        let schedule = Schedule::of(0);
        Self { function, wanted: Vec::new(), schedule, counters: Vec::new() }
    }

    /// Forgets all counters.
    pub(crate) fn clear(&mut self) {
        self.wanted.clear();
        self.schedule = Schedule::of(0);
    }

    /// Adds a counter of this link, if it is wanted.
    pub(crate) fn add(
        &mut self,
        (field, id): (FieldId, u32),
        link: u32,
        (targets, turns): (Vec<Target>, u64),
    ) {
        if turns != 0 {
            let (worth_asking, asked) = (true, false);
            self.wanted.push(Wanted { field, id, link, targets, turns, worth_asking, asked });
            self.schedule.turns |= turns;
        }
    }

    /// Takes back every "not supported" and "not permitted".
    pub(crate) fn ask_again(&mut self) {
        self.wanted.iter_mut().for_each(|wanted| wanted.worth_asking = true);
    }

    /// Every counter at its own pace again.
    pub(crate) fn start_afresh(&mut self) {
        self.schedule.start_afresh();
    }

    /// Reads what is due.
    pub(crate) fn read(&mut self, device: &Device, round: &mut Round) -> Result<(), Code> {
        let Self { function, wanted, schedule, counters } = self;
        counters.clear();
        for wanted in wanted.iter_mut() {
            let turns = if schedule.is_demoted() { SLOW } else { wanted.turns };
            wanted.asked = wanted.worth_asking && turns & round.due != 0;
            if wanted.asked {
                counters.push(PrmCounter::ask(wanted.id, wanted.link));
            }
        }
        if counters.is_empty() {
            return Ok(());
        }
        let (answer, took) = round.times.time(*function, || device.prm_counters(counters));
        match answer {
            Ok(()) => {}
            Err(code) if code.is_about_the_gpu() => return Err(code),
            Err(code) => counters.iter_mut().for_each(|counter| refuse(counter, code)),
        }
        for (wanted, counter) in wanted.iter_mut().filter(|wanted| wanted.asked).zip(counters) {
            wanted.answer(decode(counter), round)?;
        }
        if (took > demotion::SURELY_FAST || schedule.is_pending()) && !round.tally.slow {
            let targets = wanted.iter().map(|wanted| &wanted.targets[..]);
            schedule.weigh(PRM_CALL, took, targets, round);
        }
        Ok(())
    }
}

impl Wanted {
    fn answer(&mut self, reading: Reading, round: &mut Round) -> Result<(), Code> {
        match reading {
            Ok(_) => round.tally.answered |= self.turns != SLOW,
            Err(Reason::Lost) => return Err(Code::GPU_IS_LOST),
            Err(reason) => {
                self.worth_asking = !reason.is_lasting();
                round.tally.note(reason);
                if reason == Reason::NotSupported {
                    round.tally.unsupported.push(self.field);
                }
            }
        }
        round.sink.set(&self.targets, &reading);
        Ok(())
    }
}

/// Makes a counter say that the whole call failed. For a single counter an invalid argument means
/// that the driver does not know it; for the call it means no such thing.
fn refuse(counter: &mut PrmCounter, code: Code) {
    let code = if code == Code::INVALID_ARGUMENT { Code::UNKNOWN } else { code };
    counter.status = code.0;
}

/// What a counter says. Counters are whole numbers; of any other type they are not understood.
fn decode(counter: &PrmCounter) -> Reading {
    entry::answered(counter.status)?;
    match counter.kind {
        sys::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT
        | sys::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG
        | sys::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG_LONG => {
            convert::count(entry::number(counter.kind, counter.value)?)
        }
        _ => Err(Reason::Failed),
    }
}

/// Times what [`Prm::read`] does, with every counter of as many links as there can be.
pub(crate) fn timing(device: &Device, links: u32) -> Timing {
    let of_link = |link| PRM_TABLE.iter().map(move |(_, id)| PrmCounter::ask(*id, link));
    let mut counters: Vec<PrmCounter> = (0..links.clamp(1, MOST_LINKS)).flat_map(of_link).collect();
    let call = format!("{PRM_CALL} (all {})", counters.len());
    time(&call, || device.prm_counters(&mut counters))
}

#[cfg(test)]
mod tests {
    use model::Value;

    use super::*;

    fn told(status: u32, kind: u32, value: u64) -> Reading {
        let mut counter = PrmCounter::ask(101, 3);
        (counter.status, counter.kind) = (status, kind);
        counter.value.ullVal = value;
        decode(&counter)
    }

    #[test]
    fn ports_count_from_one() {
        let counter = PrmCounter::ask(101, 17);
        assert_eq!((counter.id, counter.port), (101, 18));
    }

    #[test]
    fn whole_numbers_of_three_types_are_understood() {
        let large = 0x1_0000_0007;
        assert_eq!(told(0, 1, large), Ok(Value::Int(7)));
        assert_eq!(told(0, 2, large), Ok(Value::Int(0x1_0000_0007)));
        assert_eq!(told(0, 3, large), Ok(Value::Int(0x1_0000_0007)));
        for kind in [0, 4, 5, 6, 7, 99] {
            assert_eq!(told(0, kind, 7), Err(Reason::Failed), "{kind}");
        }
        assert_eq!(told(0, 1, u64::MAX), Err(Reason::Implausible));
        assert_eq!(told(0, 3, u64::MAX), Err(Reason::Implausible));
    }

    #[test]
    fn each_counter_says_itself_why_it_has_no_value() {
        let why = |status| told(status, 3, 7);
        assert_eq!(why(Code::NOT_SUPPORTED.0), Err(Reason::NotSupported));
        assert_eq!(why(Code::INVALID_ARGUMENT.0), Err(Reason::NotSupported));
        assert_eq!(why(4), Err(Reason::NotPermitted));
        assert_eq!(why(Code::UNKNOWN.0), Err(Reason::Failed));
        assert_eq!(decode(&PrmCounter::ask(1, 0)), Err(Reason::NotSupported), "left alone");
    }

    #[test]
    fn a_failed_call_is_not_an_unknown_counter() {
        let refused = |code| {
            let mut counter = PrmCounter::ask(1, 0);
            refuse(&mut counter, code);
            decode(&counter)
        };
        assert_eq!(refused(Code::INVALID_ARGUMENT), Err(Reason::Failed));
        assert_eq!(refused(Code::FUNCTION_NOT_FOUND), Err(Reason::NotSupported));
    }

    #[test]
    fn no_counter_is_read_twice() {
        let mut ids = PRM_TABLE.map(|(_, id)| id);
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    }
}
