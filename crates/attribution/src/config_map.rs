//! Reads one ConfigMap from the API server.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::timeout;

use crate::api;
use crate::error::RefreshError;
use crate::settings::ApiServer;

/// How long is waited for the whole answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The text under one key of a ConfigMap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigMapText {
    /// The version of the object; a change gives it another one.
    pub version: String,
    /// The text.
    pub text: String,
}

/// Why a ConfigMap cannot be read: one line, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigMapError {
    /// What the API server or its certificates say.
    #[error("cannot read the ConfigMap {name}: {why}")]
    Unreadable {
        /// `NAMESPACE:NAME`.
        name: String,
        /// The reason, and what to do.
        why: String,
    },
    /// There is no such ConfigMap.
    #[error("there is no ConfigMap {name}; create it, or correct the name")]
    Absent {
        /// `NAMESPACE:NAME`.
        name: String,
    },
    /// It has no such key.
    #[error("the ConfigMap {name} has no key `{key}`; add it")]
    NoKey {
        /// `NAMESPACE:NAME`.
        name: String,
        /// The key that is missing.
        key: String,
    },
    /// There is no event loop.
    #[error("cannot read the ConfigMap: {0}")]
    System(#[from] io::Error),
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
    #[serde(default)]
    data: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    resource_version: String,
}

/// Reads the text under `key` of a ConfigMap with one GET. Needs the right to get this one object. Waits
/// for the answer, at most ten seconds; must not be called on a thread with an event loop.
///
/// # Errors
///
/// When the API server does not answer, does not permit it, or has no such object or key.
pub fn config_map_text(
    server: &ApiServer,
    namespace: &str,
    name: &str,
    key: &str,
) -> Result<ConfigMapText, ConfigMapError> {
    let full_name = format!("{namespace}:{name}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
    let answer = runtime
        .block_on(async { timeout(TIMEOUT, api::get::<Object>(server, &path, PERMISSION)).await });
    // A lookup of a name may hang on a thread of its own.
    runtime.shutdown_background();
    let unreadable = |error: RefreshError| ConfigMapError::Unreadable {
        name: full_name.clone(),
        why: error.message,
    };
    let object = match answer {
        Ok(Ok(Some(object))) => object,
        Ok(Ok(None)) => return Err(ConfigMapError::Absent { name: full_name }),
        Ok(Err(error)) => return Err(unreadable(error)),
        Err(_) => {
            let why = format!("no answer from {} in {TIMEOUT:?}", server.url);
            return Err(ConfigMapError::Unreadable { name: full_name, why });
        }
    };
    let text = object.data.unwrap_or_default().remove(key);
    let Some(text) = text else {
        return Err(ConfigMapError::NoKey { name: full_name, key: key.to_owned() });
    };
    Ok(ConfigMapText { version: object.metadata.resource_version, text })
}

const PERMISSION: &str = "get on this ConfigMap";

#[cfg(test)]
mod tests {
    use fake_kubernetes::api_server::{ApiServer as Server, Fault, Verb};
    use serde_json::json;

    use super::*;

    fn read(server: &Server, name: &str) -> Result<ConfigMapText, String> {
        let api = ApiServer {
            url: server.url(),
            service_account: server.service_account().to_owned(),
            node_name: String::new(),
        };
        config_map_text(&api, "gpu", name, "metrics").map_err(|error| error.to_string())
    }

    fn map(name: &str, data: serde_json::Value) -> serde_json::Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data,
            "metadata": {"namespace": "gpu", "name": name}})
    }

    #[test]
    fn the_text_and_its_version_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        server.set("configmaps", map("rows", json!({"metrics": "a, gauge, A.\n"})));
        let first = read(&server, "rows").unwrap();
        assert_eq!(first.text, "a, gauge, A.\n");
        assert_eq!(read(&server, "rows").unwrap(), first);
        server.set("configmaps", map("rows", json!({"metrics": "b, gauge, B.\n"})));
        let second = read(&server, "rows").unwrap();
        assert!(second.version != first.version && second.text.starts_with('b'));
        let paths: Vec<String> = server.requests().into_iter().map(|one| one.path).collect();
        assert!(paths.iter().all(|path| path == "/api/v1/namespaces/gpu/configmaps/rows"));
        assert!(server.requests().iter().all(|request| request.verb == Verb::Get));
    }

    #[test]
    fn a_line_break_after_the_token_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        server.set("configmaps", map("rows", json!({"metrics": "a, gauge, A.\n"})));
        let token = server.service_account().join("token");
        let text = std::fs::read_to_string(&token).unwrap();
        std::fs::write(&token, text.clone() + "\n").unwrap();
        assert!(read(&server, "rows").is_ok());
        std::fs::write(&token, "two\nlines").unwrap();
        assert!(read(&server, "rows").unwrap_err().contains("cannot have"));
        std::fs::write(&token, text).unwrap();
        assert!(read(&server, "rows").is_ok());
    }

    #[test]
    fn each_mistake_is_named_and_ends_with_its_cause() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        let refused = |name: &str, said: &str| {
            let error = read(&server, name).unwrap_err();
            assert!(error.contains(said) && error.lines().count() == 1, "{error}");
        };
        refused("rows", "there is no ConfigMap gpu:rows");
        server.set("configmaps", map("rows", json!({"other": ""})));
        refused("rows", "has no key `metrics`");
        server.set("configmaps", map("rows", json!(null)));
        refused("rows", "has no key `metrics`");
        server.set("configmaps", map("rows", json!({"metrics": "x".repeat(5 << 20)})));
        refused("rows", "larger than");
        server.set("configmaps", map("rows", json!({"metrics": "a, gauge, A.\n"})));
        for (fault, said) in [
            (Fault::Status { code: 403, retry_after: None }, "get on this ConfigMap"),
            (Fault::Status { code: 401, retry_after: None }, "rejects the token"),
            (Fault::Status { code: 500, retry_after: None }, "(500)"),
            (Fault::Status { code: 429, retry_after: Some(1) }, "(429)"),
            (Fault::Garbage, "not understood"),
        ] {
            server.inject("configmaps", Verb::Get, fault);
            refused("rows", said);
            server.heal();
            assert!(read(&server, "rows").is_ok());
        }
        server.rotate_token();
        assert!(read(&server, "rows").is_ok());
    }

    #[test]
    fn a_server_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        let api = ApiServer {
            url: "https://127.0.0.1:1".into(),
            service_account: server.service_account().to_owned(),
            node_name: String::new(),
        };
        let error = config_map_text(&api, "gpu", "rows", "metrics").unwrap_err().to_string();
        assert!(error.contains("no connection to https://127.0.0.1:1"), "{error}");
    }
}
