//! The fault commands of the control file, documented in `control`.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    board::size_of_profile,
    control_file::Commands,
    functions::FUNCTIONS,
    mig_command::MigCommand,
    refusal::Refusal,
    samples::{Quantity, Spike},
    state_change::StateChange,
    xid::Xid,
};

/// The faults in force.
#[derive(Default, Debug)]
pub(crate) struct Faults {
    pub init: Option<InitFault>,
    /// How many GPUs the driver lists.
    pub listed: Option<usize>,
    pub driver: Option<String>,
    gpus: BTreeMap<usize, GpuFaults>,
}

/// A fault of `nvmlInit`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum InitFault {
    Mismatch,
    NotLoaded,
    Hang,
}

/// The faults of one GPU.
#[derive(Default, Debug)]
pub(crate) struct GpuFaults {
    pub lost: bool,
    /// Whether a session that has seen it lost never sees it again.
    pub stays_lost: bool,
    pub mig: Option<bool>,
    pub mig_commands: Vec<MigCommand>,
    /// The XIDs of its `xid` lines.
    pub xids: Vec<Xid>,
    /// The spikes of its `spike` lines.
    pub spikes: Vec<Spike>,
    /// The quantities of its `set`, `silent` and `idle` lines, the later ones last.
    pub changes: Vec<StateChange>,
    hangs: bool,
    hanging_calls: Vec<String>,
    slow: Vec<(Option<String>, Duration)>,
    refusals: Vec<(Target, Refusal)>,
    nonsense: Vec<(Target, u64)>,
}

/// What a fault is about.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Target {
    Function(String),
    Field(u32),
    Gpm,
}

impl Faults {
    /// The faults of a GPU, if it has any.
    pub(crate) fn of(&self, gpu: usize) -> Option<&GpuFaults> {
        self.gpus.get(&gpu)
    }

    /// The GPUs with faults.
    pub(crate) fn gpus(&self) -> impl Iterator<Item = (usize, &GpuFaults)> {
        self.gpus.iter().map(|(gpu, faults)| (*gpu, faults))
    }
}

impl Commands for Faults {
    fn apply_command(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["gpu", gpu, fault @ ..] => {
                // Parsed first, so that a line that is not understood has no effect.
                let gpu = gpu.parse().ok()?;
                let fault = GpuFault::parse(fault)?;
                self.gpus.entry(gpu).or_default().apply(fault);
            }
            ["nonsense", gpu, target @ .., value] => {
                let (gpu, target) = (gpu.parse().ok()?, Target::parse(target)?);
                let value = value.parse().ok()?;
                self.gpus.entry(gpu).or_default().nonsense.push((target, value));
            }
            ["gpus", count] => self.listed = Some(count.parse().ok()?),
            ["driver", version] => self.driver = Some((*version).to_owned()),
            ["init", "mismatch"] => self.init = Some(InitFault::Mismatch),
            ["init", "not-loaded"] => self.init = Some(InitFault::NotLoaded),
            ["init", "hang"] => self.init = Some(InitFault::Hang),
            _ => return None,
        }
        Some(())
    }
}

/// A command about one GPU.
enum GpuFault {
    Hang,
    HangCalls(Vec<String>),
    Lost,
    StaysLost,
    Slow(Option<String>, Duration),
    Refuse(Target, Refusal),
    Xid(Xid),
    Mig(bool),
    MigCommand(MigCommand),
    Spike(Spike),
    Change(StateChange),
}

impl GpuFault {
    fn parse(words: &[&str]) -> Option<Self> {
        Some(match words {
            ["hang"] => Self::Hang,
            ["hang-calls", names] => {
                Self::HangCalls(names.split(',').map(function).collect::<Option<_>>()?)
            }
            ["lost"] => Self::Lost,
            ["lost", "until-init"] => Self::StaysLost,
            ["slow", millis, name @ ..] if name.len() <= 1 => {
                let name = match name.first() {
                    Some(name) => Some(function(name)?),
                    None => None,
                };
                Self::Slow(name, Duration::from_millis(millis.parse().ok()?))
            }
            ["unsupported", target @ ..] => {
                Self::Refuse(Target::parse(target)?, Refusal::NOT_SUPPORTED)
            }
            ["denied", target @ ..] => Self::Refuse(Target::parse(target)?, Refusal::NO_PERMISSION),
            ["fail", target @ ..] => Self::Refuse(Target::parse(target)?, Refusal::UNKNOWN),
            ["xid", code] => Self::Xid(Xid::whole(code.parse().ok()?)),
            ["xid", code, "instance", instance, compute @ ..] => {
                let whole = Xid::whole(code.parse().ok()?);
                let instance = instance.parse().ok()?;
                Self::Xid(match compute {
                    [] => Xid { instance, ..whole },
                    ["compute", id] => {
                        Xid { instance, compute_instance: id.parse().ok()?, ..whole }
                    }
                    _ => return None,
                })
            }
            ["spike", quantity, millis, value] => Self::Spike(Spike {
                quantity: spiking(quantity)?,
                lasts: Duration::from_millis(millis.parse().ok()?),
                value: value.parse().ok()?,
            }),
            ["set", quantity, value] => Self::Change(StateChange::parse(quantity, value)?),
            ["silent"] => Self::Change(StateChange::SILENT),
            ["idle"] => Self::Change(StateChange::IDLE),
            ["mig", "on"] => Self::Mig(true),
            ["mig", "off"] => Self::Mig(false),
            ["mig-create", id, profile, bare @ ..] if matches!(bare, [] | ["bare"]) => {
                size_of_profile(profile)?;
                Self::MigCommand(MigCommand::Create {
                    id: id.parse().ok()?,
                    profile: (*profile).to_owned(),
                    bare: !bare.is_empty(),
                })
            }
            ["mig-destroy", id] => Self::MigCommand(MigCommand::Destroy(id.parse().ok()?)),
            _ => return None,
        })
    }
}

impl Target {
    fn parse(words: &[&str]) -> Option<Self> {
        match words {
            ["field", id] => Some(Self::Field(id.parse().ok()?)),
            ["gpm"] => Some(Self::Gpm),
            [name] => Some(Self::Function(function(name)?)),
            _ => None,
        }
    }
}

fn spiking(name: &str) -> Option<Quantity> {
    Some(match name {
        "power" => Quantity::Power,
        "gpu_utilization" => Quantity::GpuUtilization,
        "memory_utilization" => Quantity::MemoryUtilization,
        "sm_clock" => Quantity::SmClock,
        "memory_clock" => Quantity::MemoryClock,
        _ => return None,
    })
}

/// A name that the library exports; a misspelt one would be a fault without effect.
fn function(name: &str) -> Option<String> {
    FUNCTIONS.contains(&name).then(|| name.to_owned())
}

impl GpuFaults {
    fn apply(&mut self, fault: GpuFault) {
        match fault {
            GpuFault::Hang => self.hangs = true,
            GpuFault::HangCalls(names) => self.hanging_calls.extend(names),
            GpuFault::Lost => self.lost = true,
            GpuFault::StaysLost => (self.lost, self.stays_lost) = (true, true),
            GpuFault::Slow(name, by) => self.slow.push((name, by)),
            GpuFault::Refuse(target, refusal) => self.refusals.push((target, refusal)),
            GpuFault::Xid(xid) => self.xids.push(xid),
            GpuFault::MigCommand(command) => self.mig_commands.push(command),
            GpuFault::Spike(spike) => self.spikes.push(spike),
            GpuFault::Change(change) => self.changes.push(change),
            GpuFault::Mig(on) => self.mig = Some(on),
        }
    }

    /// Whether a call of `function` blocks.
    pub(crate) fn hangs(&self, function: &str) -> bool {
        self.hangs || self.hangs_by_name(function)
    }

    /// Whether `function` was named as one that blocks.
    pub(crate) fn hangs_by_name(&self, function: &str) -> bool {
        self.hanging_calls.iter().any(|name| name == function)
    }

    /// How much longer a call of `function` takes.
    pub(crate) fn delay(&self, function: &str) -> Duration {
        let named = |name: &Option<String>| name.as_ref().is_none_or(|name| name == function);
        self.slow.iter().filter(|(name, _)| named(name)).map(|(_, by)| *by).sum()
    }

    pub(crate) fn refusal_of_function(&self, function: &str) -> Option<Refusal> {
        self.refusal(|target| matches!(target, Target::Function(name) if name == function))
    }

    pub(crate) fn refusal_of_field(&self, id: u32) -> Option<Refusal> {
        self.refusal(|target| *target == Target::Field(id))
    }

    pub(crate) fn refusal_of_gpm(&self) -> Option<Refusal> {
        self.refusal(|target| *target == Target::Gpm)
    }

    pub(crate) fn nonsense_of_function(&self, function: &str) -> Option<u64> {
        let matches =
            |target: &Target| matches!(target, Target::Function(name) if name == function);
        self.nonsense.iter().find(|(target, _)| matches(target)).map(|(_, value)| *value)
    }

    pub(crate) fn nonsense_of_field(&self, id: u32) -> Option<u64> {
        let target = Target::Field(id);
        self.nonsense.iter().find(|(known, _)| *known == target).map(|(_, value)| *value)
    }

    fn refusal(&self, hit: impl Fn(&Target) -> bool) -> Option<Refusal> {
        self.refusals.iter().find(|(target, _)| hit(target)).map(|(_, refusal)| *refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control_file::parse;

    #[test]
    fn every_command_is_parsed() {
        let (faults, unknown) = parse::<Faults>(
            "# a comment alone\n\
             gpu 3 hang            # and one behind a command\n\
             gpu 4 hang-calls nvmlDeviceGetUtilizationRates,nvmlDeviceGetHandleByIndex_v2\n\
             gpu 2 lost\n\
             gpu 7 lost until-init\n\
             gpu 1 slow 200\n\
             gpu 1 slow 50 nvmlDeviceGetName\n\
             gpu 0 unsupported nvmlDeviceGetFanSpeed\n\
             gpu 0 unsupported field 82\n\
             gpu 0 denied gpm\n\
             gpu 0 fail nvmlDeviceGetName\n\
             gpu 5 xid 79\n\
             gpu 5 xid 48\n\
             gpu 5 xid 43 instance 2\n\
             gpu 5 xid 43 instance 2 compute 1\n\
             gpu 6 mig on\n\
             gpu 6 mig-create 3 1g.10gb\n\
             gpu 6 mig-create 4 2g.20gb bare\n\
             gpu 6 mig-destroy 3\n\
             gpu 6 spike power 200 900000\n\
             gpu 6 spike sm_clock 50 2100\n\
             gpu 2 set clock_reasons 96\n\
             gpu 2 silent\n\
             gpu 2 idle\n\
             gpus 7\n\
             init mismatch\n\
             driver 570.86.10\n\
             nonsense 0 nvmlDeviceGetUtilizationRates 808334905\n\
             nonsense 0 field 82 300\n",
        );
        assert_eq!(unknown, [""; 0]);
        assert!(faults.of(3).unwrap().hangs("nvmlDeviceGetName"));
        assert!(faults.of(4).unwrap().hangs("nvmlDeviceGetUtilizationRates"));
        assert!(!faults.of(4).unwrap().hangs("nvmlDeviceGetName"));
        assert!(faults.of(2).unwrap().lost && !faults.of(2).unwrap().stays_lost);
        assert!(faults.of(7).unwrap().lost && faults.of(7).unwrap().stays_lost);
        let slow = faults.of(1).unwrap();
        assert_eq!(slow.delay("nvmlDeviceGetName"), Duration::from_millis(250));
        assert_eq!(slow.delay("nvmlDeviceGetUUID"), Duration::from_millis(200));
        let zero = faults.of(0).unwrap();
        let refused = zero.refusal_of_function("nvmlDeviceGetFanSpeed");
        assert_eq!(refused, Some(Refusal::NOT_SUPPORTED));
        assert_eq!(zero.refusal_of_function("nvmlDeviceGetName"), Some(Refusal::UNKNOWN));
        assert_eq!(zero.refusal_of_field(82), Some(Refusal::NOT_SUPPORTED));
        assert_eq!(zero.refusal_of_gpm(), Some(Refusal::NO_PERMISSION));
        let nonsense = zero.nonsense_of_function("nvmlDeviceGetUtilizationRates");
        assert_eq!((nonsense, zero.nonsense_of_field(82)), (Some(808_334_905), Some(300)));
        let of_instance = Xid { instance: 2, ..Xid::whole(43) };
        let of_both = Xid { compute_instance: 1, ..of_instance };
        let xids = [Xid::whole(79), Xid::whole(48), of_instance, of_both];
        assert_eq!(faults.of(5).unwrap().xids, xids);
        assert_eq!(faults.of(6).unwrap().mig_commands[2], MigCommand::Destroy(3));
        assert_eq!(faults.of(6).unwrap().mig, Some(true));
        let lasts = Duration::from_millis(200);
        let spike = Spike { quantity: Quantity::Power, lasts, value: 900_000 };
        assert_eq!(faults.of(6).unwrap().spikes[0], spike);
        assert_eq!(faults.of(2).unwrap().changes.len(), 3);
        assert_eq!((faults.listed, faults.init), (Some(7), Some(InitFault::Mismatch)));
        assert_eq!(faults.driver.as_deref(), Some("570.86.10"));
    }

    #[test]
    fn unknown_commands_are_returned_and_have_no_effect() {
        let text = "gpu x hang\ngpu 1 explode\ngpu 1 fail nvmlDeviceGetNam\ngpu 1 set x 1\nfoo\n";
        let (faults, unknown) = parse::<Faults>(text);
        assert_eq!(unknown.len(), 5);
        assert!(faults.of(1).is_none());
    }
}
