//! Families about the holders of GPUs, and the refreshers that find them.

use std::collections::HashSet;
use std::time::Duration;

use model::{Attribution, DeviceUse, FieldId, GpuView, Holder, Instance, RefresherView, field};

use crate::gpus::{self, GpuRow};
use crate::inputs::{Inputs, Samples, since_1970};
use crate::text::{Family, Labels, Number};

pub(super) const FAMILIES: &[(FieldId, Samples)] = &[
    (field::GPU_HOLDER_INFO, info),
    (field::GPU_ALLOCATED, allocated),
    (field::ATTRIBUTION_UP, |inputs, family| per_refresher(inputs, family, |one| Some(one.up))),
    (field::ATTRIBUTION_LAST_SUCCESS_TIMESTAMP_SECONDS, |inputs, family| {
        per_refresher(inputs, family, |one| one.last_success.and_then(since_1970));
    }),
    (field::ATTRIBUTION_DURATION_SECONDS, |inputs, family| {
        per_refresher::<Duration>(inputs, family, |one| one.duration);
    }),
    (field::ATTRIBUTION_ENTRIES, |inputs, family| {
        per_refresher(inputs, family, |one| one.entries);
    }),
    (field::ATTRIBUTION_ERRORS_TOTAL, errors),
    (field::ATTRIBUTION_POD_LABELS_CUT_TOTAL, |inputs, family| {
        if let Some(cut) = inputs.attribution.and_then(|known| known.pod_labels_cut) {
            family.counter(inputs.snapshot.counting_since, &Labels::default()).value(cut);
        }
    }),
];

/// A series for each holder of each GPU and each GPU instance.
fn info(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    let Some(attribution) = inputs.attribution else { return };
    for gpu in inputs.gpus {
        let mut seen = HashSet::new();
        for (instance, one) in uses(attribution, gpu) {
            let labels = holder_labels(gpu, instance, one);
            // A container that has two MIG devices of one GPU instance holds that instance once.
            if !seen.contains(&labels) {
                family.sample(&labels, true);
                seen.insert(labels);
            }
        }
    }
}

fn holder_labels(gpu: &GpuRow<'_>, instance: Option<&Instance>, one: &DeviceUse) -> Labels {
    let mut labels = gpu.labels.clone();
    if let Some(instance) = instance {
        labels.number("GPU_I_ID", instance.gpu_instance);
    }
    let share = ("share", one.share.as_deref());
    let texts: &[(&str, Option<&str>)] = match &*one.holder {
        Holder::Job { id } => &[("kind", Some("job")), ("job_id", Some(id)), share],
        Holder::Pod(pod) => &[
            ("kind", Some("pod")),
            ("namespace", Some(&pod.namespace)),
            ("pod", Some(&pod.name)),
            ("container", Some(&pod.container)),
            ("pod_uid", pod.uid.as_deref()),
            share,
        ],
    };
    for (name, text) in texts {
        // To Prometheus, an empty label is no label.
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            labels.text(name, text);
        }
    }
    labels
}

/// 0 only if a holder would have been found: all refreshers of holders have answered, each MIG device that
/// is used is one of these GPUs', and the GPU is one that can be allocated.
fn allocated(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    let Some(attribution) = inputs.attribution else { return };
    let known = inputs.gpus.iter().flat_map(|gpu| instances(gpu.view));
    let known: HashSet<String> = known
        .flat_map(|instance| &instance.mig_devices)
        .map(|device| device.uuid.to_ascii_lowercase())
        .collect();
    // DCGM does not tell these UUIDs, and without fields of instances nothing looks for them.
    let are_all_placed = attribution.mig_uuids().all(|uuid| known.contains(uuid));
    for gpu in inputs.gpus {
        let Some(identity) = gpu.view.gpu.identity.as_deref() else { continue };
        if uses(attribution, gpu).next().is_some() {
            family.sample(&gpu.labels, true);
        } else if attribution.is_complete
            && are_all_placed
            && attribution.is_allocatable(identity, &instances(gpu.view)) != Some(false)
        {
            family.sample(&gpu.labels, false);
        }
    }
}

/// The uses of a GPU as a whole, then those of its instances.
fn uses<'a>(
    attribution: &'a Attribution,
    gpu: &'a GpuRow<'_>,
) -> impl Iterator<Item = (Option<&'a Instance>, &'a DeviceUse)> {
    let identity = gpu.view.gpu.identity.as_deref();
    let instances = instances(gpu.view).into_iter().map(Some);
    std::iter::once(None).chain(instances).flat_map(move |instance| {
        let uses = identity.map(|identity| attribution.uses_of(identity, instance));
        uses.into_iter().flatten().map(move |one| (instance, one))
    })
}

/// The GPU instances; compute instances are parts of them.
fn instances(view: &GpuView) -> Vec<&Instance> {
    let instances = gpus::instances(view).into_iter().map(|(instance, _)| instance);
    instances.filter(|instance| instance.compute_instance.is_none()).collect()
}

fn per_refresher<N: Into<Number>>(
    inputs: &Inputs<'_>,
    family: &mut Family<'_>,
    value: impl Fn(&RefresherView) -> Option<N>,
) {
    for refresher in inputs.attribution.iter().flat_map(|known| &known.refreshers) {
        if let Some(value) = value(refresher) {
            family.line(&Labels::default()).text("refresher", refresher.name).value(value);
        }
    }
}

fn errors(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    for refresher in inputs.attribution.iter().flat_map(|known| &known.refreshers) {
        for (reason, count) in &refresher.errors {
            let line = family.counter(inputs.snapshot.counting_since, &Labels::default());
            line.text("refresher", refresher.name).text("reason", reason).value(*count);
        }
    }
}
