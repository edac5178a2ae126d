//! Who uses the GPUs: pods, containers, claims and jobs.
//!
//! Refreshers look at the kubelet, the API server and files, each on a thread of its own. What they find
//! goes into one state, and from that state an immutable [`Attribution`] is built. Reading it does no I/O
//! and waits for no refresher.
//!
//! Start reading at `attributor`. A refresher is a function that is called again and again
//! (`refresher`); its result is a part of the state (`state`); `merge` joins the parts.

#![forbid(unsafe_code)]

mod api;
#[cfg(test)]
mod api_tests;
mod attributor;
mod checkpoint;
mod claims;
mod config_map;
mod device_id;
mod error;
mod files;
mod jobs;
#[cfg(test)]
mod kmock_tests;
mod kubelet;
mod merge;
mod node;
mod parts;
mod pod_events;
mod pod_labels;
mod pods;
mod refresher;
mod resource_slices;
mod settings;
mod shared;
mod skipped;
mod state;

pub use model::Attribution;

pub use crate::attributor::{Attributor, StartError};
pub use crate::config_map::{ConfigMapError, ConfigMapText, config_map_text};
pub use crate::pod_events::{PodEvent, PodEventError, create_pod_event};
pub use crate::pod_labels::{AllowList, AllowListError, NoValidPattern};
pub use crate::settings::{
    ApiServer, DraSettings, JobSettings, KubeletSettings, NodeSettings, PodLabelSettings,
    PodSettings, Settings,
};
