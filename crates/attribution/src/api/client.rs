//! The connection to the API server.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use futures_util::AsyncReadExt as _;
use kube::api::{ListParams, VersionMatch};
use kube::core::{ApiResource, ObjectList, Request as ApiRequest};
use kube::{Client, Config, Resource};
use serde::de::DeserializeOwned;

use super::failure::{Failure, Request, line};
use crate::error::{ErrorReason, RefreshError};
use crate::settings::ApiServer;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest list that is read. A node has about a hundred pods, each of which takes up to 20 kB.
const MAX_LIST_BYTES: u64 = 32 << 20;

/// Makes a client. Nothing is sent yet.
///
/// The client reads the token again after at most a minute, and likewise the certificates.
pub(super) fn connect(server: &ApiServer) -> Result<Client, RefreshError> {
    let certificates = server.service_account.join("ca.crt");
    let token = server.service_account.join("token");
    read(&certificates)?;
    if !read(&token)?.iter().all(|byte| matches!(byte, b'!'..=b'~')) {
        let message = format!(
            "{} has characters that a token cannot have: write it without a line break",
            token.display()
        );
        return Err(RefreshError::new(ErrorReason::Malformed, message));
    }
    let url = server.url.parse().map_err(|error| {
        let message = format!("`{}` is no URL of an API server: {error}", server.url);
        RefreshError::new(ErrorReason::Malformed, message)
    })?;
    let mut config = Config::new(url);
    // The file decides which certificates are accepted. Without this list, the client would want those
    // of this machine, which a container often lacks.
    config.root_cert = Some(Vec::new());
    config.root_cert_file = Some(certificates.clone());
    config.auth_info.token_file = Some(token.to_string_lossy().into_owned());
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // Retries are the caller's, so that errors are seen.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| {
        let message =
            format!("cannot use the certificates in {}: {}", certificates.display(), line(error));
        RefreshError::new(ErrorReason::Malformed, message)
    })
}

fn read(file: &Path) -> Result<Vec<u8>, RefreshError> {
    fs::read(file).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::PermissionDenied => ErrorReason::NotPermitted,
            _ => ErrorReason::Absent,
        };
        let message = format!(
            "cannot read {}: {error}; mount the token of a service account \
             (automountServiceAccountToken)",
            file.display()
        );
        RefreshError::new(reason, message)
    })
}

/// Lists the objects that the selector selects, from the API server's memory rather than from its
/// database: this is what a kubelet asks for, too.
pub(super) async fn list<K: Resource<DynamicType = ApiResource> + Clone + DeserializeOwned>(
    client: &Client,
    resource: &ApiResource,
    selector: &str,
    request: &Request<'_>,
) -> Result<ObjectList<K>, Failure> {
    let params = ListParams {
        field_selector: Some(selector.to_owned()),
        version_match: Some(VersionMatch::NotOlderThan),
        resource_version: Some("0".to_owned()),
        ..ListParams::default()
    };
    let call = ApiRequest::new(K::url_path(resource, None)).list(&params);
    let call = call.map_err(|error| request.malformed(&error))?;
    let answer = client.request_stream(call).await.map_err(|error| request.failure(&error))?;
    let mut text = Vec::new();
    let mut answer = Box::pin(answer.take(MAX_LIST_BYTES + 1));
    answer.read_to_end(&mut text).await.map_err(|error| request.no_connection(&error))?;
    if text.len() as u64 > MAX_LIST_BYTES {
        let message =
            format!("the list of {} is larger than {MAX_LIST_BYTES} bytes", resource.plural);
        return Err(RefreshError::new(ErrorReason::TooLarge, message).into());
    }
    serde_json::from_slice(&text).map_err(|error| request.malformed(&error))
}
