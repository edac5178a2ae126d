//! Settings of a page.

use std::sync::Arc;

use crate::holders::HolderSettings;
use crate::show::Show;

/// Settings of a page.
#[derive(Clone, PartialEq, Eq, Debug)]
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
    /// Whether the last reload of the counters files succeeded.
    pub is_reloaded: bool,
    /// Whether `NVIDIA H100 80GB HBM3` is written `NVIDIA-H100-80GB-HBM3`.
    pub replace_blanks_in_model_name: bool,
    /// Expected number of GPUs, if set.
    pub expected_gpus: Option<u32>,
    /// HTTP connections that were closed because the limit was reached.
    pub connections_closed: u64,
}
