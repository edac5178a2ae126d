//! The refresher `node`: UIDs of pods, and which pods are alive, from folders of this node. It
//! needs no API server.

mod cgroups;
mod pod_logs;
mod pod_uid;

use std::io;
use std::sync::Arc;

use crate::error::RefreshError;
use crate::parts::{NodePart, NodePod, Part, PartKind};
use crate::refresher;
use crate::settings::NodeSettings;
use crate::shared::Shared;
use crate::skipped::Skipped;

/// The most pods that are looked at. The kubelet runs 110 if nothing else is set.
const MOST_PODS: usize = 4096;

/// Starts the refresher.
///
/// # Errors
///
/// If there is no thread.
pub(crate) fn start(shared: &Arc<Shared>, settings: &NodeSettings) -> io::Result<()> {
    let settings = settings.clone();
    let mut skipped = Skipped::new(PartKind::Node);
    refresher::start(Arc::clone(shared), PartKind::Node, move || {
        look(&settings, &mut skipped).map(|part| Part::Node(Arc::new(part)))
    })
}

/// Looks at the folders. Without cgroups it is unknown which pods are alive.
fn look(settings: &NodeSettings, skipped: &mut Skipped) -> Result<NodePart, RefreshError> {
    let names = pod_logs::pods(&settings.pod_logs, MOST_PODS)?;
    let cgroups = cgroups::pod_uids(&settings.cgroups, MOST_PODS);
    let alive = cgroups.map_err(|error| skipped.add(error)).ok();
    let mut part = NodePart::default();
    for (name, uid) in names {
        let is_alive = alive.as_ref().map(|alive| alive.contains(&*uid));
        part.pods.entry(name).or_default().push(NodePod { uid, is_alive });
    }
    part.skipped = skipped.counts();
    Ok(part)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::error::ErrorReason;

    const OLD: &str = "0e7b1a8c-5d1f-4a6e-9b60-6f2f5a7c1d11";
    const NEW: &str = "9c1d4f02-7d58-4f0b-8c9a-2f6f0f6f3b22";

    #[test]
    fn a_pod_that_has_ended_is_told_from_its_successor_of_the_same_name() {
        let root = tempfile::tempdir().unwrap();
        let settings = NodeSettings {
            pod_logs: root.path().join("pods"),
            cgroups: root.path().join("cgroup"),
        };
        for uid in [OLD, NEW] {
            fs::create_dir_all(settings.pod_logs.join(format!("default_train-0_{uid}"))).unwrap();
        }
        let pods = |is_alive: fn(&str) -> Option<bool>| {
            [OLD, NEW].map(|uid| NodePod { uid: uid.into(), is_alive: is_alive(uid) }).to_vec()
        };
        let name = ("default".into(), "train-0".into());
        let mut skipped = Skipped::new(PartKind::Node);

        let part = look(&settings, &mut skipped).unwrap();
        assert_eq!(part.pods[&name], pods(|_| None));
        assert_eq!(part.skipped, [(ErrorReason::Absent, 1)].into());

        fs::create_dir_all(settings.cgroups.join(format!("kubepods/pod{NEW}"))).unwrap();
        let part = look(&settings, &mut skipped).unwrap();
        assert_eq!(part.pods[&name], pods(|uid| Some(uid == NEW)));
        assert_eq!(part.skipped, [(ErrorReason::Absent, 1)].into());
    }

    #[test]
    fn without_log_folders_the_look_fails() {
        let root = tempfile::tempdir().unwrap();
        let settings = NodeSettings {
            pod_logs: root.path().join("pods"),
            cgroups: root.path().join("cgroup"),
        };
        let error = look(&settings, &mut Skipped::new(PartKind::Node)).unwrap_err();
        assert_eq!(error.reason, ErrorReason::Absent);
        assert!(error.message.ends_with("; mount the host's /var/log/pods there"), "{error}");
    }
}
