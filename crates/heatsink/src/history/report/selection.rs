//! What `heatsink report` is asked for.

use anyhow::{Context as _, Result, bail};
use history::time::Time;

use super::super::when;
use crate::cli::Args;
use crate::flags;

/// What is told.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Selection {
    /// The newest incident.
    Newest,
    /// The incident with this number.
    Number(u64),
    /// The incident at this time, or the minutes around it.
    At(Time),
    /// What happened between these times; without an end, to the end of the recording.
    Range { from: Time, to: Option<Time> },
    /// What happened to this job or pod.
    Job(String),
}

impl Selection {
    /// Reads the flags. Those that contradict each other are refused by the command line.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub(super) fn read(args: &Args, now: Time) -> Result<Self> {
        let (from, to) = (args.get(&flags::FROM)?, args.get(&flags::TO)?);
        if from.is_none() && to.is_some() {
            bail!("{} needs {}", flags::TO, flags::FROM);
        }
        if let Some(number) = args.get(&flags::REPORT_ID)? {
            return Ok(Self::Number(number));
        }
        if let Some(at) = args.get(&flags::REPORT_AT)? {
            return Ok(Self::At(when::parse(&at, now).context(&flags::REPORT_AT)?));
        }
        if let Some(job) = args.get(&flags::REPORT_JOB)? {
            return Ok(Self::Job(job));
        }
        if let Some(from) = from {
            let from_time = when::parse(&from, now).context(&flags::FROM)?;
            let to = to.map(|to| when::parse(&to, now).context(&flags::TO)).transpose()?;
            if to.is_some_and(|to| to < from_time) {
                bail!("{} is after {}", flags::FROM, flags::TO);
            }
            return Ok(Self::Range { from: from_time, to });
        }
        Ok(Self::Newest)
    }
}
