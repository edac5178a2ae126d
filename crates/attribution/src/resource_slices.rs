//! The refresher `resource_slices`: what the devices of resource claims are, from the API server.
//!
//! NVIDIA's DRA driver publishes the GPUs of a node as resource slices. It names a GPU `gpu-<minor>`
//! and gives its UUID as an attribute. A MIG device that exists has its own UUID; one that is made when
//! a claim needs it has only its profile.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use kube::core::{ApiResource, GroupVersionKind};
use model::{DeviceKey, GpuKey};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::api::{self, Kept, Object};
use crate::claims::{DRIVER, whole_gpu};
use crate::parts::{Part, PartKind, SliceDevice, SliceFacts, SlicesPart};
use crate::settings::DraSettings;
use crate::shared::Shared;

/// The versions of the API, the best first.
const VERSIONS: [&str; 3] = ["v1", "v1beta2", "v1beta1"];

/// Starts the refresher.
///
/// # Errors
///
/// If there is no thread.
pub(crate) fn start(shared: &Arc<Shared>, settings: &DraSettings) -> io::Result<()> {
    api::start(shared, &settings.api, Slices::default())
}

/// A resource slice, as far as it is read.
type Slice = Object<Spec, IgnoredAny>;

#[derive(Clone, Deserialize, Debug)]
struct Spec {
    driver: Option<String>,
    pool: Option<Pool>,
    devices: Option<Vec<Device>>,
}

#[derive(Clone, Deserialize, Debug)]
struct Pool {
    name: Option<String>,
    generation: Option<i64>,
}

#[derive(Clone, Deserialize, Debug)]
struct Device {
    name: Option<String>,
    attributes: Option<Attributes>,
    /// Where `v1beta1` has the attributes.
    basic: Option<BasicDevice>,
}

#[derive(Clone, Deserialize, Debug)]
struct BasicDevice {
    attributes: Option<Attributes>,
}

type Attributes = BTreeMap<String, Option<Attribute>>;

/// The value of an attribute, of which only texts are read.
#[derive(Clone, Deserialize, Debug)]
struct Attribute {
    string: Option<String>,
}

/// This node's slices, by name.
#[derive(Default)]
struct Slices {
    slices: HashMap<String, KeptSlice>,
}

struct KeptSlice {
    /// It rises each time the driver publishes the pool again.
    generation: i64,
    devices: Vec<(SliceDevice, SliceFacts)>,
}

impl Kept for Slices {
    type Object = Slice;

    const KIND: PartKind = PartKind::ResourceSlices;

    const PERMISSION: &'static str = "list, watch on resourceslices of resource.k8s.io \
        (chart: kubernetesDRA.enabled=true, kubernetes.rbac.create=true)";

    fn resources() -> Vec<ApiResource> {
        let resource = |version| {
            let kind = GroupVersionKind::gvk("resource.k8s.io", version, "ResourceSlice");
            ApiResource::from_gvk_with_plural(&kind, "resourceslices")
        };
        VERSIONS.map(resource).into()
    }

    fn replace(&mut self, slices: Vec<Slice>) {
        self.slices.clear();
        for slice in slices {
            self.put(slice);
        }
    }

    fn put(&mut self, slice: Slice) {
        let name = slice.metadata.name.unwrap_or_default();
        match slice.spec.and_then(read) {
            Some(slice) => self.slices.insert(name, slice),
            None => self.slices.remove(&name),
        };
    }

    fn remove(&mut self, slice: &Slice) {
        self.slices.remove(slice.metadata.name.as_deref().unwrap_or_default());
    }

    /// If slices of several generations have a device, the latest one says what it is.
    fn part(&self) -> Part {
        let mut slices: Vec<&KeptSlice> = self.slices.values().collect();
        slices.sort_by_key(|slice| slice.generation);
        let devices = slices.iter().flat_map(|slice| slice.devices.iter().cloned()).collect();
        Part::ResourceSlices(Arc::new(SlicesPart { devices }))
    }
}

/// The devices of a slice; `None` if it is not of NVIDIA's driver.
fn read(spec: Spec) -> Option<KeptSlice> {
    let driver: Arc<str> = spec.driver.filter(|driver| driver == DRIVER)?.into();
    let pool = spec.pool?;
    let pool_name: Arc<str> = pool.name?.into();
    let devices = spec.devices.unwrap_or_default().into_iter().filter_map(|device| {
        let name = device.name?;
        let attributes = device.attributes.or_else(|| device.basic?.attributes).unwrap_or_default();
        let facts = facts(&name, &attributes);
        let (driver, pool) = (Arc::clone(&driver), Arc::clone(&pool_name));
        Some((SliceDevice { driver, pool, device: name.into() }, facts))
    });
    Some(KeptSlice { generation: pool.generation.unwrap_or(0), devices: devices.collect() })
}

/// What a device is.
fn facts(name: &str, attributes: &Attributes) -> SliceFacts {
    let uuid = text(attributes, "uuid");
    let mig_profile = text(attributes, "profile");
    let is_mig =
        text(attributes, "type") == Some("mig") || mig_profile.is_some() || name.contains("-mig-");
    let key = match uuid {
        Some(uuid) => Some(DeviceKey::uuid(uuid)),
        // The minor number and the PCI address are those of the GPU that a MIG device is a part of.
        None if is_mig => None,
        None => gpu_key(name, attributes).map(DeviceKey::whole),
    };
    SliceFacts {
        key,
        mig_profile: mig_profile.filter(|_| is_mig).map(Into::into),
        mig_uuid: uuid.filter(|_| is_mig).map(Into::into),
    }
}

/// A GPU without a UUID.
fn gpu_key(name: &str, attributes: &Attributes) -> Option<GpuKey> {
    // The driver had `pcieBusID` before there was a standard name.
    let address = || text(attributes, "pciBusID").or_else(|| text(attributes, "pcieBusID"));
    whole_gpu(name).or_else(|| pci_bus_id(address()?).map(GpuKey::PciBusId))
}

/// The text of an attribute. Its name may be given with the driver's domain, or with that of
/// Kubernetes' standard attributes.
fn text<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    let names =
        [name.to_owned(), format!("{DRIVER}/{name}"), format!("resource.kubernetes.io/{name}")];
    let attribute = names.iter().find_map(|name| attributes.get(name))?;
    attribute.as_ref()?.string.as_deref().filter(|text| !text.is_empty())
}

/// A PCI address in upper case, with an eight-digit domain.
fn pci_bus_id(address: &str) -> Option<Box<str>> {
    let hex = |digits| u32::from_str_radix(digits, 16).ok();
    let (rest, function) = address.rsplit_once('.')?;
    let mut parts = rest.split(':');
    let (domain, bus, device) = (hex(parts.next()?)?, hex(parts.next()?)?, hex(parts.next()?)?);
    let is_all = parts.next().is_none();
    is_all.then_some(format!("{domain:08X}:{bus:02X}:{device:02X}.{:X}", hex(function)?).into())
}
