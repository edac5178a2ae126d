//! Ordinary calls: each is about a few fields.

use model::Reason;

use crate::call_group::CallGroup;
use crate::call_times::Function;
use crate::code::Code;
use crate::device::Device;
use crate::entries::FieldOffset;
use crate::pass::{PassContext, TargetFinder};
use crate::row::{Answers, Call, OrdinaryCall, Read, Row};
use crate::schedule::{self, Scheduled};

/// The ordinary calls that are made for one GPU or instance.
#[derive(Default)]
pub(crate) struct OrdinaryCalls {
    calls: Vec<Scheduled<Request, FieldOffset>>,
    /// Kept between calls, so that they need no memory.
    answers: Answers,
}

/// A call, and which NVLink it is about.
struct Request {
    call: &'static OrdinaryCall,
    link: u32,
    function: Function,
}

impl CallGroup for OrdinaryCalls {
    fn add(&mut self, row: &'static Row, link: u32, targets: &mut TargetFinder) {
        let (Call::Ordinary(call) | Call::Pcie(call)) = &row.call else { return };
        let mut watched = Vec::new();
        for (offset, field) in row.fields.iter() {
            watched.extend(targets.target(field).map(|target| (offset, target)));
        }
        if watched.is_empty() {
            return;
        }
        let function = targets.shared.times.function(call.name);
        if let Read::Link(scope, _) = call.read {
            // Each field is of another link.
            for (offset, target) in watched {
                let request = Request { call, link: scope.number(offset, link), function };
                self.calls.push(Scheduled::new(request, vec![(FieldOffset::FIRST, target)]));
            }
        } else {
            let request = Request { call, link, function };
            self.calls.push(Scheduled::new(request, watched));
        }
    }

    fn remove_links(&mut self) {
        schedule::remove_links(&mut self.calls);
    }

    fn read(&mut self, device: &Device, pass: &mut PassContext) -> Result<(), Code> {
        let answers = &mut self.answers;
        for call in &mut self.calls {
            if !call.begin(pass) {
                continue;
            }
            let Request { call: ordinary, link, function } = call.request;
            let make = || ordinary.make(device, link, answers);
            let (result, took) = pass.shared.times.time(function, make);
            call.took = Some(took);
            match result {
                Ok(()) => {
                    // The driver may have the slow ones in memory: they are no sign that the GPU answers.
                    pass.outcome.answered |= !call.schedule.is_slow();
                    for (offset, target) in &call.answers {
                        let reading = answers.get(usize::from(offset.0));
                        pass.write(target, reading.unwrap_or(&Err(Reason::Failed)));
                    }
                }
                Err(code) if code.is_about_the_gpu() => return Err(code),
                Err(code) => {
                    let reason = code.reason();
                    call.supported = reason != Reason::NotSupported;
                    for (_, target) in &call.answers {
                        pass.outcome.note_absent(target.field, reason);
                        pass.write(target, &Err(reason));
                    }
                }
            }
        }
        pass.outcome.gpu_is_slow =
            schedule::record_durations(&mut self.calls, |one| one.request.call.name, pass);
        Ok(())
    }

    fn shrink_to_fit(&mut self) {
        self.calls.shrink_to_fit();
    }

    fn retry_unsupported(&mut self) {
        schedule::retry_unsupported(&mut self.calls);
    }

    fn reset(&mut self) {
        schedule::reset(&mut self.calls);
    }
}
