//! An object of the API server, of which little is kept.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::{Deserialize, Deserializer};

/// An object with as much of its spec and status as the types say. Of its metadata, only what is named
/// in [`Metadata`] is ever in memory.
#[derive(Clone, Deserialize, Debug)]
#[serde(bound(deserialize = "S: Deserialize<'de>, T: Deserialize<'de>"))]
pub(crate) struct Object<S, T> {
    #[serde(deserialize_with = "metadata")]
    pub(crate) metadata: ObjectMeta,
    #[serde(default = "none")]
    pub(crate) spec: Option<S>,
    #[serde(default = "none")]
    pub(crate) status: Option<T>,
}

/// The part of the metadata that is read. Annotations and managed fields can be larger than the rest of
/// an object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let Metadata { name, namespace, uid, resource_version, labels } =
        Metadata::deserialize(deserializer)?;
    Ok(ObjectMeta { name, namespace, uid, resource_version, labels, ..ObjectMeta::default() })
}

fn none<T>() -> Option<T> {
    None
}

impl<S, T> Resource for Object<S, T> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    #[test]
    fn managed_fields_and_annotations_are_dropped() {
        let text = r#"{"apiVersion": "v1", "kind": "Pod", "spec": {"nodeName": "a"}, "status": null,
            "metadata": {"name": "n", "namespace": "s", "uid": "u", "resourceVersion": "7",
                "labels": {"a": "b"}, "annotations": {"c": "d"},
                "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:metadata": {}}}]}}"#;
        let object: Object<IgnoredAny, IgnoredAny> = serde_json::from_str(text).unwrap();
        let expected = ObjectMeta {
            name: Some("n".into()),
            namespace: Some("s".into()),
            uid: Some("u".into()),
            resource_version: Some("7".into()),
            labels: Some([("a".into(), "b".into())].into()),
            ..ObjectMeta::default()
        };
        assert_eq!(object.metadata, expected);
    }
}
