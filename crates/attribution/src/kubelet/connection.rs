//! A connection to the kubelet's socket.

use std::error::Error;
use std::fs;
use std::future::{Future, ready};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Instant;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Response, Status};

use super::api::pod_resources_lister_client::PodResourcesListerClient;
use super::api::{AllocatableResourcesRequest, ListPodResourcesRequest};
use super::message::Message;
use crate::error::{ErrorReason, RefreshError};

/// The largest reply that is read.
const MAX_REPLY_BYTES: usize = 16 << 20;

/// How much the kubelet may send before it is read.
const WINDOW_BYTES: u32 = 256 << 10;

/// So many characters of the kubelet's own messages are kept.
const MOST_CHARACTERS: usize = 200;

/// A socket file, told apart from one that had its name before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SocketFile {
    device: u64,
    inode: u64,
    /// Inode numbers are used again.
    changed: (i64, i64),
}

/// A connection to the kubelet. It has a runtime of its own: when that is dropped, the connection is closed
/// at once, and with it a request that has no answer yet.
pub(crate) struct Connection {
    /// The socket file before it was connected to.
    pub(crate) file: SocketFile,
    client: PodResourcesListerClient<Channel>,
    runtime: Runtime,
}

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection broke.
    Broken(RefreshError),
    /// The kubelet refused, or did not answer in time.
    Refused(RefreshError),
}

impl Failure {
    pub(crate) fn into_error(self) -> RefreshError {
        match self {
            Self::Broken(error) | Self::Refused(error) => error,
        }
    }
}

impl SocketFile {
    /// The socket file that has this name now.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub(crate) fn find(path: &Path) -> Result<Self, RefreshError> {
        let metadata = fs::metadata(path).map_err(|error| refusal(path, &error))?;
        if !metadata.file_type().is_socket() {
            let what_to_do = "mount the folder that has the kubelet's socket, or set \
                              --pod-resources-kubelet-socket";
            let message = format!("{} is not a socket: {what_to_do}", path.display());
            return Err(RefreshError::new(ErrorReason::Absent, message));
        }
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

impl Connection {
    /// Connects to the socket, which was this file just before.
    ///
    /// # Errors
    ///
    /// If nothing accepts the connection until then.
    pub(crate) fn open(
        path: &Path,
        file: SocketFile,
        until: Instant,
    ) -> Result<Self, RefreshError> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| RefreshError::new(ErrorReason::Failed, error.to_string()))?;
        let connect = async {
            let stream = UnixStream::connect(path).await.map_err(|error| refusal(path, &error))?;
            channel(stream).await.map_err(|error| broken(&error))
        };
        let channel = by(&runtime, until, connect).ok_or_else(timeout)??;
        let client =
            PodResourcesListerClient::new(channel).max_decoding_message_size(MAX_REPLY_BYTES);
        Ok(Self { file, client, runtime })
    }

    /// The devices of all containers.
    ///
    /// # Errors
    ///
    /// If there is no reply until then.
    pub(crate) fn list(&mut self, until: Instant) -> Result<Message, Failure> {
        let reply = self.client.list(ListPodResourcesRequest {});
        answer(by(&self.runtime, until, reply), "List")
    }

    /// The devices that can be allocated.
    ///
    /// # Errors
    ///
    /// If there is no reply until then.
    pub(crate) fn allocatable(&mut self, until: Instant) -> Result<Message, Failure> {
        let reply = self.client.get_allocatable_resources(AllocatableResourcesRequest {});
        answer(by(&self.runtime, until, reply), "GetAllocatableResources")
    }
}

/// A channel that has only this stream, and does not connect again.
async fn channel(stream: UnixStream) -> Result<Channel, tonic::transport::Error> {
    let mut stream = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: Uri| {
        ready(stream.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)))
    });
    // The name is only for HTTP's header: servers refuse the path of a socket there.
    Endpoint::from_static("http://localhost")
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .connect_with_connector(connector)
        .await
}

/// Waits for it, but not longer than that.
fn by<T>(runtime: &Runtime, until: Instant, future: impl Future<Output = T>) -> Option<T> {
    runtime.block_on(async { tokio::time::timeout_at(until.into(), future).await.ok() })
}

fn answer<T>(result: Option<Result<Response<T>, Status>>, call: &str) -> Result<T, Failure> {
    match result {
        Some(Ok(response)) => Ok(response.into_inner()),
        // What the kubelet itself says has no source.
        Some(Err(status)) if status.source().is_some() => Err(Failure::Broken(broken(&status))),
        Some(Err(status)) => Err(Failure::Refused(said(&status, call))),
        None => Err(Failure::Refused(timeout())),
    }
}

/// What the kubelet said instead of a reply.
fn said(status: &Status, call: &str) -> RefreshError {
    const SEE_LOG: &str = "see the kubelet's log";
    let (reason, advice) = match status.code() {
        Code::Unimplemented => (ErrorReason::Unimplemented, "Kubernetes 1.23 or newer has it"),
        Code::ResourceExhausted => {
            (ErrorReason::RateLimited, "the programs of this node ask too often")
        }
        Code::OutOfRange => (ErrorReason::TooLarge, "too many devices on this node"),
        Code::PermissionDenied | Code::Unauthenticated => (ErrorReason::NotPermitted, SEE_LOG),
        Code::DeadlineExceeded => (ErrorReason::Timeout, SEE_LOG),
        Code::Internal | Code::DataLoss => (ErrorReason::Malformed, SEE_LOG),
        _ => (ErrorReason::Failed, SEE_LOG),
    };
    let (code, text) = (status.code(), one_line(status.message()));
    RefreshError::new(reason, format!("{call} fails with {code:?} ({text}): {advice}"))
}

/// The connection ended without a reply.
fn broken(error: &dyn Error) -> RefreshError {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = one_line(&innermost.to_string());
    let message = format!(
        "the connection ended without a gRPC reply ({text}): the kubelet ended, or \
         --pod-resources-kubelet-socket is not its socket"
    );
    RefreshError::new(ErrorReason::Failed, message)
}

fn timeout() -> RefreshError {
    RefreshError::new(ErrorReason::Timeout, "the kubelet does not answer in time: see its log")
}

/// The socket could not be connected to.
fn refusal(path: &Path, error: &io::Error) -> RefreshError {
    let socket = path.display();
    let (reason, message) = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => (
            ErrorReason::Absent,
            format!(
                "there is no socket {socket}: mount its folder, or set \
                 --pod-resources-kubelet-socket"
            ),
        ),
        io::ErrorKind::ConnectionRefused => (
            ErrorReason::Absent,
            format!(
                "nothing accepts connections on {socket}: the kubelet does not run, or its socket \
                 is mounted in place of the folder"
            ),
        ),
        io::ErrorKind::PermissionDenied => (
            ErrorReason::NotPermitted,
            format!("{socket} is not accessible: run as root, or with a group that may access it"),
        ),
        _ => (ErrorReason::Failed, format!("{socket}: {error}")),
    };
    RefreshError::new(reason, message)
}

/// The first characters of a text, on one line.
fn one_line(text: &str) -> String {
    let is_fit = |character: &char| !character.is_control();
    text.chars().filter(is_fit).take(MOST_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_connection_says_what_to_do() {
        let cases = [
            (io::ErrorKind::NotFound, ErrorReason::Absent, "mount its folder"),
            (io::ErrorKind::NotADirectory, ErrorReason::Absent, "mount its folder"),
            (io::ErrorKind::ConnectionRefused, ErrorReason::Absent, "does not run"),
            (io::ErrorKind::PermissionDenied, ErrorReason::NotPermitted, "run as root"),
            (io::ErrorKind::WouldBlock, ErrorReason::Failed, "kubelet.sock"),
        ];
        for (kind, reason, text) in cases {
            let error = refusal(Path::new("/run/kubelet.sock"), &kind.into());
            assert_eq!(error.reason, reason, "{kind:?}");
            assert!(error.message.contains(text), "{error}");
            assert!(error.message.contains("/run/kubelet.sock"), "{error}");
        }
    }

    #[test]
    fn a_long_message_of_the_kubelet_is_one_short_line() {
        let error = said(&Status::unknown("a\nb".repeat(10_000)), "List");
        assert!(error.message.len() < 2 * MOST_CHARACTERS, "{error}");
        assert!(!error.message.contains('\n'), "{error}");
    }
}
