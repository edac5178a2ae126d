//! What happened at a moment, and is no number of a row.

use serde::{Deserialize, Serialize};

use crate::layout::GpuInfo;
use crate::time::Time;

/// Something that happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub time: Time,
    /// The GPU that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gpu: Option<GpuInfo>,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// heatsink started.
    Started {
        /// How the run before it ended; `None` if there was none, or if that is not known.
        #[serde(default)]
        before: Option<PreviousRun>,
    },
    /// heatsink is being stopped.
    Stopped,
    /// The wall clock was set forward (positive) or back.
    ClockSet {
        /// By how many milliseconds.
        by_ms: i64,
    },
    /// The source of readings cannot be opened, or was closed.
    SourceDown {
        /// Why.
        why: String,
    },
    /// The source of readings is open.
    SourceUp {
        /// The version of its driver.
        driver_version: Option<String>,
    },
    /// The GPU does not answer.
    GpuDown {
        /// The word of `heatsink_gpu_down_info`: `lost`, `late`, `missing`, ...
        reason: String,
    },
    /// The GPU answers again.
    GpuUp,
    /// The driver reported an XID.
    Xid {
        /// Its code.
        code: u32,
        /// Its meaning.
        message: String,
        /// The process that the driver names, which is often not the one at fault.
        #[serde(default)]
        process: Option<Process>,
        /// The number of the NVLink, if it names one.
        #[serde(default)]
        link: Option<u32>,
        /// The line of the kernel log, if it is from there.
        #[serde(default)]
        line: Option<String>,
        /// How many were counted at once: 1, unless the source only counts.
        #[serde(default = "one")]
        count: u64,
    },
    /// Another line of the driver in the kernel log.
    DriverLine {
        /// The line.
        line: String,
    },
    /// The kernel killed a process because memory was short.
    OomKill {
        /// The process.
        process: Process,
        /// The memory cgroup whose limit was reached; `None` if the machine was out of memory.
        #[serde(default)]
        limited_cgroup: Option<String>,
        /// The cgroup of the process, if the kernel said so.
        #[serde(default)]
        cgroup: Option<String>,
        /// Its resident memory without that of files, in kB.
        #[serde(default)]
        anonymous_kb: Option<u64>,
        /// The line.
        line: String,
    },
    /// A pod or a job has the GPU from now on.
    HolderBegan {
        /// Who.
        holder: HolderInfo,
    },
    /// A pod or a job still has the GPU. Repeated from time to time, because the event of its begin may be
    /// removed before it ends.
    HolderGoesOn {
        /// Who.
        holder: HolderInfo,
    },
    /// A pod or a job has it no more.
    HolderEnded {
        /// Who.
        holder: HolderInfo,
    },
}

fn one() -> u64 {
    1
}

/// How an earlier run of heatsink ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct PreviousRun {
    /// Whether it was stopped as it should be.
    pub was_stopped: bool,
    /// Whether the machine was started since.
    pub machine_restarted: bool,
    /// The last time that it recorded.
    pub last: Time,
}

/// A process.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Process {
    /// Its id on the host.
    pub pid: Option<u32>,
    /// Its name.
    pub name: Option<String>,
}

/// Who uses a GPU.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HolderInfo {
    /// A container of a pod.
    Pod {
        /// The namespace.
        namespace: String,
        /// The name.
        pod: String,
        /// The name of the container.
        container: String,
        /// The UID, if it is known.
        #[serde(default)]
        uid: Option<String>,
    },
    /// A job of a batch system.
    Job {
        /// Its id.
        id: String,
    },
}

impl HolderInfo {
    /// Whether both are the same. The UID of a pod may be known to one of them only.
    pub fn is_same(&self, other: &Self) -> bool {
        let (Self::Pod { uid: one, .. }, Self::Pod { uid: two, .. }) = (self, other) else {
            return self == other;
        };
        let has_other_uid = one.is_some() && two.is_some() && one != two;
        !has_other_uid && self.names() == other.names()
    }

    /// Its names, without the UID.
    fn names(&self) -> [&str; 3] {
        match self {
            Self::Pod { namespace, pod, container, .. } => [namespace, pod, container],
            Self::Job { id } => [id, "", ""],
        }
    }

    /// The UID of a pod, if it is known.
    pub fn uid(&self) -> Option<&str> {
        match self {
            Self::Pod { uid, .. } => uid.as_deref(),
            Self::Job { .. } => None,
        }
    }

    /// How sentences name it: `pod ml/pretrain-0`, `job 4711`.
    pub fn name(&self) -> String {
        match self {
            Self::Pod { namespace, pod, .. } => format!("pod {namespace}/{pod}"),
            Self::Job { id } => format!("job {id}"),
        }
    }
}
