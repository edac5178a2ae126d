//! The connection to the API server.

use std::fmt;
use std::fs;
use std::io;
use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::AsyncReadExt as _;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Uri};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::api::{ListParams, VersionMatch};
use kube::client::Body;
use kube::core::{ApiResource, ObjectList, Request as ApiRequest};
use kube::{Client, Resource};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;
use tower::ServiceExt as _;

use super::failure::{Failure, Request, line};
use crate::error::{ErrorReason, RefreshError};
use crate::settings::ApiServer;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// After this time without a byte, the system asks three times whether the other side is still there.
/// So a watch whose connection is dead ends within a minute.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The largest list that is read. A node has about a hundred pods, each of which takes up to 20 kB.
const MAX_LIST_BYTES: u64 = 32 << 20;

/// The largest single object that is read. The API server stores at most 1.5 MiB.
const MAX_OBJECT_BYTES: u64 = 4 << 20;

/// Makes a client. Nothing is sent yet.
///
/// It is put together here rather than by `kube`, whose clients can also run programs for credentials,
/// read kubeconfig files and ask this machine for certificates: half a megabyte of the binary.
pub(super) fn connect(server: &ApiServer) -> Result<Client, RefreshError> {
    let base: Uri = server.url.parse().map_err(|error| {
        let message = format!("`{}` is no URL of an API server: {error}", server.url);
        RefreshError::new(ErrorReason::Malformed, message)
    })?;
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http.set_keepalive(Some(KEEPALIVE));
    http.set_keepalive_interval(Some(KEEPALIVE / 3));
    http.set_keepalive_retries(Some(3));
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls(&server.service_account.join("ca.crt"))?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    let http = legacy::Client::builder(TokioExecutor::new()).build(https);
    let token = server.service_account.join("token");
    let mut header = authorization(&token)?;
    let service = http.map_request(move |mut request: http::Request<Body>| {
        let mut uri = mem::take(request.uri_mut()).into_parts();
        uri.scheme = base.scheme().cloned();
        uri.authority = base.authority().cloned();
        // The parts of a URI with a path, which is the client's, and with the rest of the base's.
        *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
        // Kubernetes renews the token in the file. A request is made every few minutes.
        if let Ok(renewed) = authorization(&token) {
            header = renewed;
        }
        request.headers_mut().insert(AUTHORIZATION, header.clone());
        request
    });
    Ok(Client::new(service, ""))
}

/// The settings of TLS: the file decides which certificates are accepted.
fn tls(file: &Path) -> Result<ClientConfig, RefreshError> {
    let unusable = |error: &dyn fmt::Display| {
        let message = format!("cannot use the certificates in {}: {}", file.display(), line(error));
        RefreshError::new(ErrorReason::Malformed, message)
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&read(file)?) {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    if roots.is_empty() {
        return Err(unusable(&"there is none"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The header with the token in the file.
fn authorization(file: &Path) -> Result<HeaderValue, RefreshError> {
    let bytes = read(file)?;
    let token = bytes.trim_ascii();
    let header = HeaderValue::from_bytes(&[b"Bearer ", token].concat());
    let is_plain = token.iter().all(|byte| matches!(byte, b'!'..=b'~'));
    let mut header = header.ok().filter(|_| is_plain).ok_or_else(|| {
        let message = format!(
            "{} has characters that a token cannot have: write it without a line break",
            file.display()
        );
        RefreshError::new(ErrorReason::Malformed, message)
    })?;
    header.set_sensitive(true);
    Ok(header)
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
    let what = format!("the list of {}", resource.plural);
    answer(client, call, MAX_LIST_BYTES, &what, request).await
}

/// Gets the object at a path.
pub(super) async fn get<K: DeserializeOwned>(
    client: &Client,
    path: &str,
    request: &Request<'_>,
) -> Result<K, Failure> {
    let call = http::Request::get(path).body(Vec::new());
    let call = call.map_err(|error| request.malformed(&error))?;
    answer(client, call, MAX_OBJECT_BYTES, "the object", request).await
}

/// Posts an object to a path. One of this name that is there already is as good.
pub(super) async fn create(
    client: &Client,
    path: &str,
    object: Vec<u8>,
    request: &Request<'_>,
) -> Result<(), Failure> {
    let call = http::Request::post(path).header(CONTENT_TYPE, "application/json").body(object);
    let call = call.map_err(|error| request.malformed(&error))?;
    match client.request_text(call).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(request.failure(&error)),
    }
}

/// Sends a request, and reads an answer of at most this many bytes.
async fn answer<K: DeserializeOwned>(
    client: &Client,
    call: http::Request<Vec<u8>>,
    most_bytes: u64,
    what: &str,
    request: &Request<'_>,
) -> Result<K, Failure> {
    let answer = client.request_stream(call).await.map_err(|error| request.failure(&error))?;
    let mut text = Vec::new();
    let mut answer = Box::pin(answer.take(most_bytes + 1));
    answer.read_to_end(&mut text).await.map_err(|error| request.no_connection(&error))?;
    if text.len() as u64 > most_bytes {
        let message = format!("{what} is larger than {most_bytes} bytes");
        return Err(RefreshError::new(ErrorReason::TooLarge, message).into());
    }
    serde_json::from_slice(&text).map_err(|error| request.malformed(&error))
}
