//! The kubelet's cgroups: a pod has one while it runs.
//!
//! With the driver cgroupfs they are `kubepods[/burstable|/besteffort]/pod<UID>`, with systemd
//! `kubepods.slice[/kubepods-<class>.slice]/kubepods[-<class>]-pod<UID with _>.slice`. In kind they
//! are inside `kubelet` or `kubelet.slice`, and slices begin with `kubelet-`.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use crate::error::{ErrorReason, RefreshError};
use crate::files;
use crate::node::pod_uid::is_pod_uid;

/// Where cgroups begin: at once in version 2; in version 1 each controller has the same, and one is
/// enough.
const HIERARCHIES: [&str; 5] = ["", "memory", "cpu", "systemd", "pids"];

/// How deep pods are, as in
/// `kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/<pod>`.
const MOST_FOLDERS: usize = 3;

/// The UIDs of the pods that run.
///
/// # Errors
///
/// If no cgroups of pods are visible, or there are more than `most`.
pub(super) fn pod_uids(root: &Path, most: usize) -> Result<HashSet<String>, RefreshError> {
    let failed =
        |cause: io::Error| files::error(root, &cause, "mount the host's /sys/fs/cgroup there");
    fs::read_dir(root).map_err(failed)?;
    for hierarchy in HIERARCHIES {
        let mut walk = Walk::default();
        walk.enter(&root.join(hierarchy), MOST_FOLDERS).map_err(failed)?;
        if walk.uids.len() > most {
            let message = format!("{} has more than {most} pods", root.display());
            return Err(RefreshError::new(ErrorReason::TooLarge, message));
        }
        if walk.has_kubepods {
            return Ok(walk.uids);
        }
    }
    let message = format!(
        "no cgroups of pods in {}; mount the host's /sys/fs/cgroup there, and see whether the \
         kubelet has a --cgroup-root",
        root.display()
    );
    Err(RefreshError::new(ErrorReason::Absent, message))
}

#[derive(Default)]
struct Walk {
    has_kubepods: bool,
    uids: HashSet<String>,
}

impl Walk {
    /// Looks for pods in a folder, and in those inside that can have pods.
    fn enter(&mut self, folder: &Path, more_folders: usize) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            // The last pod of its class has ended, or the machine does not have this controller.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some(uid) = pod_uid(name) {
                self.uids.insert(uid);
            } else if can_have_pods(name) && more_folders > 0 {
                self.has_kubepods |= name.contains("kubepods");
                self.enter(&entry.path(), more_folders - 1)?;
            }
        }
        Ok(())
    }
}

/// The UID of the pod whose folder it is.
fn pod_uid(folder: &str) -> Option<String> {
    let uid = match folder.strip_suffix(".slice") {
        Some(slice) => slice.rsplit_once("-pod")?.1.replace('_', "-"),
        None => folder.strip_prefix("pod")?.to_owned(),
    };
    is_pod_uid(&uid).then_some(uid)
}

/// Whether folders of pods can be inside.
fn can_have_pods(folder: &str) -> bool {
    let name = folder.strip_suffix(".slice").unwrap_or(folder);
    let name = name.strip_prefix("kubelet-").unwrap_or(name);
    let name = name.strip_prefix("kubepods-").unwrap_or(name);
    ["kubelet", "kubepods", "burstable", "besteffort"].contains(&name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const UID: &str = "0e7b1a8c-5d1f-4a6e-9b60-6f2f5a7c1d11";
    const ESCAPED: &str = "0e7b1a8c_5d1f_4a6e_9b60_6f2f5a7c1d11";
    const HASH: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn pods_are_found_with_each_driver_and_version() {
        let cases = [
            (format!("kubepods/pod{UID}/4f1c"), UID),
            (format!("kubepods/burstable/pod{UID}"), UID),
            (format!("kubepods/besteffort/pod{HASH}"), HASH),
            (format!("kubepods.slice/kubepods-pod{ESCAPED}.slice"), UID),
            (
                format!(
                    "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{ESCAPED}.slice/\
                     cri-containerd-4f1c.scope"
                ),
                UID,
            ),
            (
                format!(
                    "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{HASH}.slice"
                ),
                HASH,
            ),
            (format!("kubelet/kubepods/burstable/pod{UID}"), UID),
            (
                format!(
                    "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/\
                     kubelet-kubepods-burstable-pod{ESCAPED}.slice"
                ),
                UID,
            ),
            (format!("memory/kubepods/pod{UID}"), UID),
            (format!("systemd/kubepods.slice/kubepods-pod{ESCAPED}.slice"), UID),
        ];
        for (folder, uid) in cases {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir_all(root.path().join(&folder)).unwrap();
            for other in ["system.slice/docker.service", "podruntime", "user.slice"] {
                fs::create_dir_all(root.path().join(other)).unwrap();
            }
            let found = pod_uids(root.path(), 1);
            assert_eq!(found, Ok([uid.to_owned()].into()), "{folder}");
        }
    }

    #[test]
    fn a_node_without_pods_has_none() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("kubepods/besteffort")).unwrap();
        fs::write(root.path().join("kubepods/cgroup.procs"), "").unwrap();
        assert_eq!(pod_uids(root.path(), 1), Ok(HashSet::new()));
    }

    #[test]
    fn where_no_pods_can_be_seen_it_is_unknown_which_run() {
        let root = tempfile::tempdir().unwrap();
        let gone = pod_uids(&root.path().join("none"), 1).unwrap_err();
        assert_eq!(gone.reason, ErrorReason::Absent);
        // As in a container with a cgroup namespace of its own.
        fs::create_dir_all(root.path().join("system.slice").join(format!("pod{UID}"))).unwrap();
        let hidden = pod_uids(root.path(), 1).unwrap_err();
        assert_eq!(hidden.reason, ErrorReason::Absent);
        assert!(hidden.message.contains("mount the host's /sys/fs/cgroup there"), "{hidden}");
    }

    #[test]
    fn a_folder_that_may_not_be_read_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let secret = root.path().join("kubepods");
        fs::create_dir(&secret).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
        if fs::read_dir(&secret).is_ok() {
            eprintln!("not tested: this user may read everything");
            return;
        }
        assert_eq!(pod_uids(root.path(), 1).unwrap_err().reason, ErrorReason::NotPermitted);
    }

    #[test]
    fn more_pods_than_the_limit_are_an_error() {
        let root = tempfile::tempdir().unwrap();
        for uid in [UID, HASH] {
            fs::create_dir_all(root.path().join(format!("kubepods/pod{uid}"))).unwrap();
        }
        assert_eq!(pod_uids(root.path(), 2).unwrap().len(), 2);
        assert_eq!(pod_uids(root.path(), 1).unwrap_err().reason, ErrorReason::TooLarge);
    }
}
