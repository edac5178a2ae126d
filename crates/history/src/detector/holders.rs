//! Who has which GPU, and who had it a while ago.

use std::time::Duration;

use crate::event::{Event, HolderInfo, What};
use crate::layout::GpuInfo;
use crate::time::Time;

/// Holders that are known at once.
const MOST: usize = 1024;
/// A holder is forgotten this long after it gave its GPU back.
const KEEP: Duration = Duration::from_secs(12 * 60);

/// One GPU of one holder.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Hold {
    /// The GPU.
    pub(crate) gpu: GpuInfo,
    /// Who has it.
    pub(crate) holder: HolderInfo,
    /// Since when.
    pub(crate) from: Time,
    /// Until when; `None` while it has it.
    pub(crate) to: Option<Time>,
}

/// Who has which GPU.
#[derive(Clone, Default, Debug)]
pub(crate) struct Holders {
    holds: Vec<Hold>,
}

impl Holders {
    /// Takes an event at its time on the detector's clock.
    pub(crate) fn step(&mut self, time: Time, event: &Event) {
        let Some(gpu) = &event.gpu else { return };
        match &event.what {
            What::HolderBegan { holder } | What::HolderGoesOn { holder } => {
                if let Some(hold) = self.current(gpu, holder) {
                    // Its UID may be known by now.
                    hold.holder = holder.clone();
                } else {
                    let hold =
                        Hold { gpu: gpu.clone(), holder: holder.clone(), from: time, to: None };
                    self.holds.push(hold);
                }
            }
            What::HolderEnded { holder } => {
                if let Some(hold) = self.current(gpu, holder) {
                    hold.to = Some(time);
                }
            }
            _ => return,
        }
        self.holds.retain(|hold| hold.to.is_none_or(|to| time.since(to) <= KEEP));
        let surplus = self.holds.len().saturating_sub(MOST);
        self.holds.drain(..surplus);
    }

    /// Nothing is known of who has GPUs from now on.
    pub(crate) fn end_all(&mut self, time: Time) {
        for hold in &mut self.holds {
            hold.to.get_or_insert(time);
        }
    }

    /// All holds, those of a while ago too.
    pub(crate) fn all(&self) -> &[Hold] {
        &self.holds
    }

    /// The holders that had one of their GPUs at `time` or later, each once, in order.
    pub(crate) fn since(&self, time: Time) -> Vec<&HolderInfo> {
        let recent = self.holds.iter().filter(|hold| hold.to.is_none_or(|to| to >= time));
        let mut holders: Vec<_> = recent.map(|hold| &hold.holder).collect();
        holders.sort_unstable();
        holders.dedup_by(|one, other| one.is_same(other));
        holders
    }

    /// Whether there are holders, and each can be told by the path of a memory cgroup.
    pub(crate) fn have_cgroups(&self) -> bool {
        let mut now = self.holds.iter().filter(|hold| hold.to.is_none()).peekable();
        let has_cgroup = |hold: &Hold| !matches!(hold.holder, HolderInfo::Pod { uid: None, .. });
        now.peek().is_some() && now.all(has_cgroup)
    }

    /// The GPUs of a holder of whose memory cgroup this path is.
    pub(crate) fn of_cgroup(&self, path: &str) -> Vec<&Hold> {
        self.holds.iter().filter(|hold| is_cgroup_of(path, &hold.holder)).collect()
    }

    fn current(&mut self, gpu: &GpuInfo, holder: &HolderInfo) -> Option<&mut Hold> {
        let mut holds = self.holds.iter_mut();
        holds.find(|hold| hold.to.is_none() && hold.gpu.is_same(gpu) && hold.holder.is_same(holder))
    }
}

/// Whether a cgroup is one of the holder: its path has the pod's UID, or the number of the job.
fn is_cgroup_of(path: &str, holder: &HolderInfo) -> bool {
    match holder {
        HolderInfo::Pod { uid: Some(uid), .. } => {
            // systemd's slices have `_` where the UID has `-`.
            let plain = |text: &str| text.replace('_', "-").to_ascii_lowercase();
            uid.len() >= 8 && plain(path).contains(&plain(uid))
        }
        HolderInfo::Pod { uid: None, .. } => false,
        HolderInfo::Job { id } => {
            !id.is_empty()
                && path.split('/').any(|part| {
                    let rest =
                        part.strip_prefix("job").map(|rest| rest.trim_start_matches(['_', '-']));
                    rest.map(|rest| rest.split('.').next().unwrap_or(rest)) == Some(id)
                })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_belongs_to_the_pod_or_job_in_its_path() {
        let uid = "12345678-9abc-def0-1234-56789abcdef0".to_owned();
        let pod = HolderInfo::Pod {
            namespace: "ml".to_owned(),
            pod: "train-0".to_owned(),
            container: "main".to_owned(),
            uid: Some(uid),
        };
        let slice =
            "/kubepods.slice/kubepods-pod12345678_9abc_def0_1234_56789abcdef0.slice/cri-1.scope";
        assert!(is_cgroup_of(slice, &pod));
        assert!(!is_cgroup_of("/kubepods.slice/kubepods-pod22345678_9abc.slice", &pod));
        let job = HolderInfo::Job { id: "4711".to_owned() };
        assert!(is_cgroup_of("/slurm/uid_1000/job_4711/step_0", &job));
        assert!(is_cgroup_of("/system.slice/slurmstepd.scope/job_4711/step_0/user/task_0", &job));
        assert!(!is_cgroup_of("/slurm/uid_1000/job_47112/step_0", &job));
        assert!(!is_cgroup_of("/slurm/uid_4711/job_1/step_0", &job));
    }
}
