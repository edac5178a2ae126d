//! The objects of the API server, their history, the faults, and who asked for what. No I/O.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Fault, Request, Verb};

/// Namespace and name.
type Name = (String, String);

/// Everything that the server knows.
pub(super) struct Store {
    /// By resource: `pods`, `resourceslices`, `configmaps`.
    objects: BTreeMap<String, BTreeMap<Name, Value>>,
    history: Vec<Change>,
    /// The version of the last change.
    pub(super) version: u64,
    /// The version from which the history is known.
    oldest: u64,
    /// The versions of `resource.k8s.io` that exist.
    pub(super) dra_versions: Vec<String>,
    pub(super) token: String,
    faults: Vec<(String, Verb, Fault, Lasts)>,
    pub(super) requests: Vec<Request>,
    /// How often bookmarks were asked for.
    pub(super) bookmarks: u64,
    /// How often all watches were ended.
    pub(super) ends: u64,
    pub(super) open_watches: usize,
}

/// How long a fault lasts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasts {
    Once,
    UntilHealed,
}

/// A change of an object.
#[derive(Clone)]
pub(super) struct Change {
    pub(super) version: u64,
    resource: String,
    kind: &'static str,
    object: Value,
}

impl Change {
    /// The line of a watch.
    pub(super) fn line(&self) -> String {
        line(self.kind, &self.object)
    }
}

/// A line of a watch.
pub(super) fn line(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

impl Store {
    pub(super) fn new(token: String) -> Self {
        Self {
            objects: BTreeMap::new(),
            history: Vec::new(),
            version: 1,
            oldest: 1,
            dra_versions: vec!["v1".into()],
            token,
            faults: Vec::new(),
            requests: Vec::new(),
            bookmarks: 0,
            ends: 0,
            open_watches: 0,
        }
    }

    pub(super) fn set(&mut self, resource: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let objects = self.objects.entry(resource.into()).or_default();
        let before = objects.insert(name(&object), object.clone());
        self.log(resource, if before.is_some() { "MODIFIED" } else { "ADDED" }, object);
    }

    /// Whether there was such an object.
    pub(super) fn remove(&mut self, resource: &str, namespace: &str, name: &str) -> bool {
        let name = (namespace.to_owned(), name.to_owned());
        let Some(mut object) = self.objects.entry(resource.into()).or_default().remove(&name)
        else {
            return false;
        };
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.log(resource, "DELETED", object);
        true
    }

    fn log(&mut self, resource: &str, kind: &'static str, object: Value) {
        let (version, resource) = (self.version, resource.to_owned());
        self.history.push(Change { version, resource, kind, object });
    }

    /// Forgets the history.
    pub(super) fn compact(&mut self) {
        self.oldest = self.version;
        self.history.clear();
    }

    pub(super) fn list(&self, resource: &str, selector: &str) -> Vec<Value> {
        let objects = self.objects.get(resource).into_iter().flat_map(BTreeMap::values);
        objects.filter(|object| is_selected(object, selector)).cloned().collect()
    }

    pub(super) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.objects.get(resource)?.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// The changes after a version; `None` if they are forgotten.
    pub(super) fn since(
        &self,
        version: u64,
        resource: &str,
        selector: &str,
    ) -> Option<Vec<Change>> {
        let is_wanted = |change: &&Change| {
            change.version > version
                && change.resource == resource
                && is_selected(&change.object, selector)
        };
        (version >= self.oldest).then(|| self.history.iter().filter(is_wanted).cloned().collect())
    }

    pub(super) fn inject(&mut self, resource: &str, verb: Verb, fault: Fault, lasts: Lasts) {
        self.faults.push((resource.into(), verb, fault, lasts));
    }

    pub(super) fn heal(&mut self) {
        self.faults.clear();
    }

    /// Whether requests of this kind hang.
    pub(super) fn hangs(&self, resource: &str, verb: Verb) -> bool {
        let is_it = |(of, at, fault, _): &(String, Verb, Fault, Lasts)| {
            (of == resource || of == "*") && *at == verb && *fault == Fault::Hang
        };
        self.faults.iter().any(is_it)
    }

    /// The fault of a request. One that happens once is used up.
    pub(super) fn fault(
        &mut self,
        resource: &str,
        verb: Verb,
        wanted: fn(&Fault) -> bool,
    ) -> Option<Fault> {
        let index = self.faults.iter().position(|(of, at, fault, _)| {
            (of == resource || of == "*") && *at == verb && wanted(fault)
        })?;
        let (_, _, fault, lasts) = self.faults[index].clone();
        if lasts == Lasts::Once {
            self.faults.remove(index);
        }
        Some(fault)
    }
}

fn name(object: &Value) -> Name {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// Whether an object has each field of a selector: `spec.nodeName=a,metadata.name=b`.
fn is_selected(object: &Value, selector: &str) -> bool {
    selector.split(',').filter(|term| !term.is_empty()).all(|term| {
        let (path, value) = term.split_once('=').unwrap_or((term, ""));
        let field = path.split('.').fold(object, |object, field| &object[field]);
        field.as_str().unwrap_or_default() == value
    })
}
