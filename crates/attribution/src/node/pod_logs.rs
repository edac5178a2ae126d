//! The kubelet's log folders: `/var/log/pods/<namespace>_<pod>_<UID>`. They tell the UID of a pod.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::error::{ErrorReason, RefreshError};
use crate::files;
use crate::node::pod_uid::is_pod_uid;
use crate::parts::PodName;

/// The pods with their UIDs, in the order of these.
///
/// # Errors
///
/// If the folder cannot be listed, or has more than `most` pods.
pub(super) fn pods(folder: &Path, most: usize) -> Result<Vec<(PodName, Arc<str>)>, RefreshError> {
    let failed = |cause| files::error(folder, &cause, "mount the host's /var/log/pods there");
    let mut pods = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        pods.extend(entry.map_err(failed)?.file_name().to_str().and_then(pod));
        if pods.len() > most {
            let message = format!(
                "{} has more than {most} pods; remove the folders of pods that are gone",
                folder.display()
            );
            return Err(RefreshError::new(ErrorReason::TooLarge, message));
        }
    }
    pods.sort_unstable_by(|(_, uid), (_, other)| uid.cmp(other));
    Ok(pods)
}

/// What the name of a folder says. Neither namespaces nor names of pods have a `_`.
fn pod(folder: &str) -> Option<(PodName, Arc<str>)> {
    let mut words = folder.split('_');
    let (namespace, name, uid) = (words.next()?, words.next()?, words.next()?);
    let is_pod =
        !namespace.is_empty() && !name.is_empty() && is_pod_uid(uid) && words.next().is_none();
    is_pod.then(|| ((namespace.into(), name.into()), uid.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0e7b1a8c-5d1f-4a6e-9b60-6f2f5a7c1d11";
    const HASH: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn the_name_of_a_folder_has_three_words() {
        let found = |namespace: &str, name: &str, uid: &str| {
            Some(((namespace.into(), name.into()), uid.into()))
        };
        let cases = [
            (format!("default_train-0_{UID}"), found("default", "train-0", UID)),
            (format!("kube-system_etcd-node.a_{HASH}"), found("kube-system", "etcd-node.a", HASH)),
            (format!("default_train_0_{UID}"), None),
            (format!("default_{UID}"), None),
            (format!("_train_{UID}"), None),
            (format!("default__{UID}"), None),
            ("default_train_".to_owned(), None),
            ("lost+found".to_owned(), None),
            (String::new(), None),
        ];
        for (folder, expected) in cases {
            assert_eq!(pod(&folder), expected, "{folder}");
        }
    }

    #[test]
    fn more_pods_than_the_limit_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..3 {
            let name = format!("default_train-{number}_{UID}");
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::create_dir(folder.path().join("other")).unwrap();
        assert_eq!(pods(folder.path(), 3).unwrap().len(), 3);
        assert_eq!(pods(folder.path(), 2).unwrap_err().reason, ErrorReason::TooLarge);
    }
}
