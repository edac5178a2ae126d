//! Settings of a page.

use std::sync::Arc;
use std::time::SystemTime;

use model::HistoryView;

use crate::show::Show;

/// Settings of a page.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// The host name on the series of every device; `None` leaves the label out.
    pub hostname: Option<Arc<str>>,
    /// The label of the host name: `hostname`, or `Hostname` as in dcgm-exporter up to 4.8.2. On the
    /// series of links it is always `hostname`, as in dcgm-exporter.
    pub host_label: &'static str,
    /// Whether the label `UUID` is written `uuid`.
    pub old_namespace: bool,
    /// The devices that appear in the families of the counters file.
    pub show: Show,
    /// How holders appear.
    pub holders: HolderSettings,
    /// The version of this program.
    pub version: &'static str,
    /// Number of invalid rows of the counters files.
    pub rows_skipped: u64,
    /// Whether the last reload of the configuration succeeded.
    pub is_reloaded: bool,
    /// When the configuration in force was put in force.
    pub reloaded_at: Option<SystemTime>,
    /// Whether `NVIDIA H100 80GB HBM3` is written `NVIDIA-H100-80GB-HBM3`.
    pub replace_blanks_in_model_name: bool,
    /// Expected number of GPUs, if set.
    pub expected_gpus: Option<u32>,
    /// When these settings began to give series other labels than before, as
    /// [`Settings::note_labels_before`] notes it. Births from before that are not shown: the events were
    /// counted in series with the labels of before. `None` if they never did.
    pub labels_since: Option<SystemTime>,
    /// HTTP connections that were closed because the limit was reached.
    pub connections_closed: u64,
    /// The state of the history; `None` if nothing is recorded.
    pub history: Option<Arc<HistoryView>>,
}

impl Settings {
    /// Notes that pages had the settings `before` until `now`.
    pub fn note_labels_before(&mut self, before: &Self, now: SystemTime) {
        let of_labels = |it: &Self| {
            let Self { hostname, host_label, old_namespace, holders, .. } = it;
            let blanks = it.replace_blanks_in_model_name;
            (hostname.clone(), *host_label, *old_namespace, *holders, blanks)
        };
        if of_labels(self) != of_labels(before) {
            self.labels_since = Some(now);
        }
    }
}

/// How holders appear on a page.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct HolderSettings {
    /// Whether the series of a device have no labels of holders, which then are only in
    /// `heatsink_gpu_holder_info`.
    pub only_info: bool,
    /// Whether each holder of a shared device has series of its own.
    pub per_share: bool,
    /// Whether the label `pod_uid` is served.
    pub pod_uid: bool,
}
