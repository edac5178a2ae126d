//! Makes the calls of the table that somebody watches.

use std::time::Duration;

use model::{FieldId, Reason};
use nvml_wrapper_sys::bindings as sys;

use crate::call_times::{CallTimes, Function};
use crate::demotion;
use crate::getters::{Answers, Getter, LINK_ERRORS_CALL, LinkErrors, Read};
use crate::plan::Target;
use crate::round::{Round, Schedule};
use crate::{Code, Device, convert};

/// The calls that are made for one GPU or instance.
#[derive(Default)]
pub(crate) struct Calls {
    calls: Vec<Call>,
    /// Kept between calls, so that they need no memory.
    answers: Answers,
}

struct Call {
    name: &'static str,
    function: Function,
    ask: Ask,
    /// By place in the call's answers.
    wanted: Vec<Wanted>,
    schedule: Schedule,
    /// How long it took in this pass.
    took: Option<Duration>,
    /// Cleared at the first answer that says so; set again when the GPU is opened anew, when its
    /// MIG mode changes, and every ten minutes.
    supported: bool,
}

struct Wanted {
    answer: usize,
    field: FieldId,
    targets: Vec<Target>,
}

/// What is called.
enum Ask {
    Getter(Read),
    LinkErrors { link: u32, counter: sys::nvmlNvLinkErrorCounter_t },
}

impl Ask {
    fn read(&self, device: &Device, answers: &mut Answers) -> Result<(), Code> {
        match *self {
            Self::Getter(read) => read(device, answers),
            Self::LinkErrors { link, counter } => {
                let count = device.link_errors(link, counter).map_err(|code| match code {
                    // The GPU has no link of this number, or none that counts this.
                    Code::INVALID_ARGUMENT => Code::NOT_SUPPORTED,
                    code => code,
                })?;
                answers.push(convert::count(count));
                Ok(())
            }
        }
    }
}

impl Calls {
    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Forgets all calls but the first ones.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.calls.truncate(len);
    }

    /// Keeps no more room than is needed: there is one of these for each GPU.
    pub(crate) fn fit(&mut self) {
        self.calls.shrink_to_fit();
    }

    /// Adds a call of the table, if any of its fields is wanted: where that field goes, and when it
    /// is due.
    pub(crate) fn add(
        &mut self,
        getter: &'static Getter,
        times: &mut CallTimes,
        mut targets: impl FnMut(FieldId) -> (Vec<Target>, u64),
    ) {
        let mut wanted = Vec::new();
        let mut turns = 0;
        for (answer, field) in getter.fields.iter().enumerate() {
            let (targets, due) = targets(*field);
            if !targets.is_empty() {
                wanted.push(Wanted { answer, field: *field, targets });
                turns |= due;
            }
        }
        self.push(getter.call, Ask::Getter(getter.read), wanted, turns, times);
    }

    /// Adds an error counter of a link, if it is wanted.
    pub(crate) fn add_link_errors(
        &mut self,
        row: &LinkErrors,
        link: u32,
        times: &mut CallTimes,
        (targets, turns): (Vec<Target>, u64),
    ) {
        let ask = Ask::LinkErrors { link: row.link.unwrap_or(link), counter: row.counter };
        let wanted = Wanted { answer: 0, field: row.field, targets };
        let wanted = if turns == 0 { Vec::new() } else { vec![wanted] };
        self.push(LINK_ERRORS_CALL, ask, wanted, turns, times);
    }

    fn push(
        &mut self,
        name: &'static str,
        ask: Ask,
        wanted: Vec<Wanted>,
        turns: u64,
        times: &mut CallTimes,
    ) {
        if wanted.is_empty() {
            return;
        }
        self.calls.push(Call {
            name,
            function: times.function(name),
            ask,
            wanted,
            schedule: Schedule::of(turns),
            took: None,
            supported: true,
        });
    }

    /// Takes back every "not supported".
    pub(crate) fn ask_again(&mut self) {
        self.calls.iter_mut().for_each(|call| call.supported = true);
    }

    /// Every call at its own pace again.
    pub(crate) fn start_afresh(&mut self) {
        self.calls.iter_mut().for_each(|call| call.schedule.start_afresh());
    }

    /// Makes the calls that are due.
    pub(crate) fn read(&mut self, device: &Device, round: &mut Round) -> Result<(), Code> {
        let mut weigh = false;
        for call in &mut self.calls {
            call.took = None;
            if !call.supported || !call.schedule.is_due(round.due) {
                continue;
            }
            let answers = &mut self.answers;
            answers.clear();
            let (result, took) = round.times.time(call.function, || call.ask.read(device, answers));
            call.took = Some(took);
            weigh |= took > demotion::SURELY_FAST || call.schedule.is_pending();
            match result {
                Ok(()) => {
                    // A driver may know the slow ones by heart: they prove nothing of the GPU.
                    round.tally.answered |= !call.schedule.is_slow();
                    for wanted in &call.wanted {
                        let answer = answers.get(wanted.answer);
                        let reading = answer.unwrap_or(&Err(Reason::Failed));
                        round.sink.set(&wanted.targets, reading);
                    }
                }
                Err(code) if code.is_about_the_gpu() => return Err(code),
                Err(code) => {
                    let reason = code.reason();
                    round.tally.note(reason);
                    if reason == Reason::NotSupported {
                        call.supported = false;
                        round.tally.unsupported.extend(call.wanted.iter().map(|w| w.field));
                    }
                    for wanted in &call.wanted {
                        round.sink.set(&wanted.targets, &Err(reason));
                    }
                }
            }
        }
        if weigh {
            self.weigh(round);
        }
        Ok(())
    }

    /// Finds calls that take too long.
    fn weigh(&mut self, round: &mut Round) {
        let mut all = demotion::Calls::default();
        for call in &self.calls {
            let Some(took) = call.took else { continue };
            all.made += 1;
            all.slow += usize::from(call.schedule.is_too_long(took, round));
        }
        if all.most_were_slow() {
            round.tally.slow = true;
            return;
        }
        for call in &mut self.calls {
            let Some(took) = call.took else { continue };
            let targets = call.wanted.iter().map(|wanted| &wanted.targets[..]);
            call.schedule.weigh(call.name, took, targets, round);
        }
    }
}
