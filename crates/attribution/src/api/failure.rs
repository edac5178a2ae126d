//! What the errors of the API server's client mean.

use std::error::Error;
use std::io;
use std::time::Duration;

use kube::core::Status;

use crate::error::{ErrorReason, RefreshError};
use crate::settings::ApiServer;

/// Why a request to the API server failed.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// 410: the version to go on from is too old. Not an error; a new list is needed.
    Gone,
    /// An error.
    Error(RefreshError),
}

impl From<RefreshError> for Failure {
    fn from(error: RefreshError) -> Self {
        Self::Error(error)
    }
}

/// What the messages say of the other side.
pub(super) struct Request<'a> {
    pub(super) server: &'a ApiServer,
    /// The permission that is needed, and the chart's value that gives it.
    pub(super) permission: &'static str,
}

impl Request<'_> {
    /// Why a call of the client failed.
    pub(super) fn failure(&self, error: &kube::Error) -> Failure {
        match error {
            kube::Error::Api(status) => self.status(status),
            kube::Error::SerdeError(error) => self.malformed(error),
            kube::Error::FromUtf8(error) => self.malformed(error),
            error => self.no_connection(error),
        }
    }

    /// What an answer other than 200 says.
    pub(super) fn status(&self, status: &Status) -> Failure {
        let Request { server, permission } = self;
        let (reason, message) = match status.code {
            410 => return Failure::Gone,
            401 => (
                ErrorReason::Unauthorized,
                format!(
                    "the API server rejects the token in {} (401), which may have expired: check \
                     that Kubernetes renews it and that it is of this cluster",
                    server.service_account.join("token").display()
                ),
            ),
            403 => (
                ErrorReason::Forbidden,
                format!("forbidden by the API server: give the service account {permission}"),
            ),
            404 => (
                ErrorReason::Unimplemented,
                format!("the API server at {} does not know what is asked for (404)", server.url),
            ),
            429 => (
                ErrorReason::RateLimited,
                "the API server asks for fewer requests (429); they are repeated less often".into(),
            ),
            code @ (408 | 504) => {
                (ErrorReason::Timeout, format!("the API server had no answer in time ({code})"))
            }
            code => {
                let text = line(&status.message);
                (
                    ErrorReason::Failed,
                    format!("the API server answers with an error ({code}): {text}"),
                )
            }
        };
        RefreshError::new(reason, message).into()
    }

    /// An answer that is not understood.
    pub(super) fn malformed(&self, error: &dyn Error) -> Failure {
        let message =
            format!("the answer of {} is not understood: {}", self.server.url, line(error));
        RefreshError::new(ErrorReason::Malformed, message).into()
    }

    /// No answer in time.
    pub(super) fn timeout(&self, time: Duration) -> Failure {
        let message = format!("no answer from {} in {time:?}", self.server.url);
        RefreshError::new(ErrorReason::Timeout, message).into()
    }

    /// A connection that cannot be made, or breaks.
    pub(super) fn no_connection(&self, error: &(dyn Error + 'static)) -> Failure {
        let reason = chain(error).find_map(reason_of).unwrap_or(ErrorReason::Failed);
        let cause = chain(error).last().map(line).unwrap_or_default();
        let message = format!("no connection to {}: {cause}", self.server.url);
        RefreshError::new(reason, message).into()
    }
}

/// The reason that an error of the network stands for.
fn reason_of(error: &(dyn Error + 'static)) -> Option<ErrorReason> {
    // The connector's name for a host name without an address. The system's error has no kind.
    if error.to_string().starts_with("dns error") {
        return Some(ErrorReason::Absent);
    }
    match error.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::AddrNotAvailable => Some(ErrorReason::Absent),
        io::ErrorKind::PermissionDenied => Some(ErrorReason::NotPermitted),
        io::ErrorKind::TimedOut => Some(ErrorReason::Timeout),
        _ => None,
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// A text in one line that is not too long.
pub(super) fn line(text: impl ToString) -> String {
    text.to_string().split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(error: &kube::Error) -> (ErrorReason, String) {
        let server = ApiServer {
            url: "https://10.0.0.1:443".into(),
            service_account: "/run/account".into(),
            node_name: "a".into(),
        };
        let permission = "list, watch on pods (chart: kubernetes.enablePodLabels=true)";
        match (Request { server: &server, permission }).failure(error) {
            Failure::Error(error) => (error.reason, error.message),
            Failure::Gone => panic!("gone"),
        }
    }

    fn status(code: u16, message: &str) -> kube::Error {
        kube::Error::Api(Status::failure(message, "").with_code(code).boxed())
    }

    fn service(kind: io::ErrorKind) -> kube::Error {
        kube::Error::Service(Box::new(io::Error::from(kind)))
    }

    #[test]
    fn each_error_has_a_reason_and_a_line_that_says_what_to_do() {
        use ErrorReason as R;
        let cases = [
            (status(401, ""), R::Unauthorized, "in /run/account/token (401), which may have"),
            (
                status(403, "pods is forbidden: User \"x\" cannot list"),
                R::Forbidden,
                "give the service account list, watch on pods (chart: kubernetes.enablePodLabels=true)",
            ),
            (status(404, "404 page not found"), R::Unimplemented, "https://10.0.0.1:443"),
            (status(429, "Too many requests"), R::RateLimited, "fewer requests"),
            (status(500, "etcd is\n gone"), R::Failed, "an error (500): etcd is gone"),
            (status(504, ""), R::Timeout, "no answer in time"),
            (service(io::ErrorKind::ConnectionRefused), R::Absent, "443: connection refused"),
            (service(io::ErrorKind::HostUnreachable), R::Absent, "host unreachable"),
            (service(io::ErrorKind::TimedOut), R::Timeout, "timed out"),
            (service(io::ErrorKind::PermissionDenied), R::NotPermitted, "permission denied"),
            (service(io::ErrorKind::ConnectionReset), R::Failed, "connection reset"),
            (
                kube::Error::Service("dns error: no such host".into()),
                R::Absent,
                "no connection to https://10.0.0.1:443: dns error",
            ),
        ];
        for (error, reason, part) in cases {
            let (found, message) = explain(&error);
            assert_eq!(found, reason, "{error:?}");
            assert!(message.contains(part), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }

    #[test]
    fn a_version_that_is_too_old_is_no_error() {
        let server =
            ApiServer { url: String::new(), service_account: "".into(), node_name: String::new() };
        let request = Request { server: &server, permission: "" };
        assert_eq!(request.failure(&status(410, "too old resource version")), Failure::Gone);
    }
}
