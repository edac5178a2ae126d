//! The settings of attribution: who uses the GPUs, and how that appears.

use std::sync::Arc;

use anyhow::{Context, Result};
use attribution::{
    AllowList, AllowListError, ApiServer, Attributor, DraSettings, JobSettings, KubeletSettings,
    NodeSettings, PodLabelSettings, PodSettings,
};
use exposition::HolderSettings;
use model::{Attribution, DeviceKey, DeviceUse, GpuKey, Holder, Moment, Pod};

use crate::cli::Args;
use crate::flag::Row;
use crate::flags::{
    ATTRIBUTION, ATTRIBUTION_INTERVAL, ATTRIBUTION_MAX_AGE, DRA, DRA_CHECKPOINT, GPU_ID_TYPE,
    JOB_FOLDER, KUBELET_SOCKET, KUBERNETES, NODE_FILES, POD_EVENTS, POD_LABEL_ALLOW_LIST,
    POD_LABEL_LIMIT, POD_LABELS, POD_UID, RESOURCE_NAMES, ROOTFS, SERVICE_ACCOUNT, VIRTUAL_GPUS,
};
use crate::message::one_line;

/// Who uses the GPUs.
pub(crate) enum Holders {
    /// As refreshers find it.
    Found(Attributor),
    /// Simulated.
    Simulated(Arc<Attribution>),
}

impl Holders {
    /// Who uses the GPUs at `now`. Waits for nothing.
    pub(crate) fn current(&self, now: Moment) -> Arc<Attribution> {
        match self {
            Self::Found(attributor) => attributor.current(now),
            Self::Simulated(attribution) => Arc::clone(attribution),
        }
    }
}

/// The simulated pods of a demo: two workers of one training job, each with four GPUs.
pub(crate) fn simulated() -> Holders {
    let pod = |worker: u32| Pod {
        namespace: "simulated".into(),
        name: format!("pretrain-worker-{worker}").into(),
        container: "trainer".into(),
        ..Pod::default()
    };
    let workers = [0, 1].map(|worker| Arc::new(Holder::Pod(pod(worker))));
    let uses = (0..8_u32).map(|gpu| {
        let holder = Arc::clone(&workers[usize::from(gpu > 3)]);
        let one = DeviceUse { holder, compute_instance: None, share: None };
        (DeviceKey::whole(GpuKey::Index(gpu)), vec![one])
    });
    Holders::Simulated(Arc::new(Attribution {
        uses: uses.collect(),
        allocatable: None,
        is_complete: true,
        refreshers: Vec::new(),
        pod_labels_cut: None,
        good_until: Moment::now(),
    }))
}

/// How holders appear on pages.
pub(crate) fn shown(args: &Args) -> Result<HolderSettings> {
    Ok(HolderSettings {
        only_info: args.get(&ATTRIBUTION)?,
        per_share: args.get(&VIRTUAL_GPUS)?,
        pod_uid: args.get(&POD_UID)?,
    })
}

/// Starts looking for holders; `None` if that is not asked for.
pub(crate) fn start(args: &Args) -> Result<Option<Holders>> {
    Ok(Attributor::start(settings(args)?)?.map(Holders::Found))
}

/// What is looked at to find holders.
///
/// # Errors
///
/// The first flag with a mistake, or an allow list without a valid pattern.
fn settings(args: &Args) -> Result<attribution::Settings> {
    // Every form of id is understood; the text is only checked.
    args.get(&GPU_ID_TYPE)?;
    let interval = args.get(&ATTRIBUTION_INTERVAL)?;
    let mut settings = attribution::Settings {
        interval,
        // Shorter, and labels would come and go between two looks.
        max_age: args.get(&ATTRIBUTION_MAX_AGE)?.max(2 * interval),
        kubelet: None,
        pods: None,
        dra: None,
        node: None,
        jobs: args.get(&JOB_FOLDER)?.map(|folder| JobSettings { folder }),
    };
    let labels = pod_labels(args)?.map(|(labels, _)| labels);
    let (is_node_files, is_dra) = (args.get(&NODE_FILES)?, args.get(&DRA)?);
    if !args.get(&KUBERNETES)? {
        return Ok(settings);
    }
    settings.kubelet = Some(KubeletSettings {
        socket: args.get(&KUBELET_SOCKET)?.unwrap_or_default(),
        reads_claims: is_dra,
        resource_names: args.get(&RESOURCE_NAMES)?,
    });
    if is_node_files {
        let root = args.get(&ROOTFS)?;
        settings.node = Some(NodeSettings {
            pod_logs: root.join("var/log/pods"),
            cgroups: root.join("sys/fs/cgroup"),
        });
    }
    let needs_uids_of_api = args.get(&POD_UID)? && settings.node.is_none();
    if labels.is_some() || needs_uids_of_api {
        settings.pods = Some(PodSettings { api: api_server(args)?, labels });
    }
    if is_dra {
        let checkpoint = args.get(&DRA_CHECKPOINT)?.unwrap_or_default();
        settings.dra = Some(DraSettings { api: api_server(args)?, checkpoint });
    }
    Ok(settings)
}

/// Which labels of pods are added, and the patterns that are no regular expressions.
fn pod_labels(args: &Args) -> Result<Option<(PodLabelSettings, Vec<AllowListError>)>> {
    let patterns = args.get(&POD_LABEL_ALLOW_LIST)?;
    let most = args.get(&POD_LABEL_LIMIT)?;
    if !args.get(&POD_LABELS)? {
        return Ok(None);
    }
    let (allow, invalid) =
        AllowList::new(&patterns).with_context(|| args.place(&POD_LABEL_ALLOW_LIST.row))?;
    Ok(Some((PodLabelSettings { allow: Arc::new(allow), most }, invalid)))
}

/// Checks the settings, and returns warnings of those that have no effect.
///
/// # Errors
///
/// As [`settings`] and [`shown`].
pub(crate) fn check(args: &Args) -> Result<Vec<String>> {
    let settings = settings(args)?;
    shown(args)?;
    args.get(&POD_EVENTS)?;
    let mut warnings = Vec::new();
    for error in pod_labels(args)?.map(|(_, invalid)| invalid).unwrap_or_default() {
        let place = args.place(&POD_LABEL_ALLOW_LIST.row);
        warnings.push(one_line(&format!("{place}: {error}; it admits nothing")));
    }
    if settings.kubelet.is_none() {
        let rows: [&Row; 6] = [
            &POD_LABELS.row,
            &POD_UID.row,
            &VIRTUAL_GPUS.row,
            &NODE_FILES.row,
            &DRA.row,
            &POD_EVENTS.row,
        ];
        let unused = rows.into_iter().filter(|row| args.asks_for(row));
        warnings.extend(
            unused.map(|row| format!("{} has no effect without {}", args.place(row), &KUBERNETES)),
        );
    }
    Ok(warnings)
}

/// The API server of the cluster that this pod runs in. What is unknown is empty, which the refresher
/// reports.
pub(crate) fn api_server(args: &Args) -> Result<ApiServer> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let (host, port) = (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT"));
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let port = if port.is_empty() { "443".to_owned() } else { port };
    Ok(ApiServer {
        url: if host.is_empty() { host } else { format!("https://{host}:{port}") },
        service_account: args.get(&SERVICE_ACCOUNT)?.unwrap_or_default(),
        node_name: variable("NODE_NAME"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_kubernetes_is_named_without_it() {
        let warnings = |line: &str| check(&Args::parse(line.split(' ').map(Into::into))?);
        let named = warnings("heatsink --kubernetes-pod-events --kubernetes-enable-dra").unwrap();
        for flag in ["--kubernetes-pod-events", "--kubernetes-enable-dra"] {
            let is_named = |line: &String| line.starts_with(flag) && line.contains("no effect");
            assert!(named.iter().any(is_named), "{named:?}");
        }
        assert_eq!(named.len(), 2);
        assert_eq!(warnings("heatsink -k --kubernetes-pod-events").unwrap(), [""; 0]);
    }
}
