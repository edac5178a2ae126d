//! The address of a host engine, as users write it.

use std::ffi::CString;
use std::fmt;
use std::io;
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The default port of a host engine.
const DEFAULT_PORT: u16 = 5555;

/// How long the search for the cause of a failed connection may take.
const DIAGNOSIS: Duration = Duration::from_millis(500);

/// The address of a host engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// A TCP port of a host.
    Tcp {
        /// Host name or IP address, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// A vsock port.
    Vsock {
        /// The context id (CID).
        cid: u32,
        /// The port.
        port: u32,
    },
}

/// Why an address is invalid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressError(String);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AddressError {}

/// The forms that [`Address::parse`] accepts.
const FORMS: &str =
    "write host:port, [IPv6 address]:port, tcp://host:port, unix:///path or vsock://cid:port";

impl Address {
    /// Parses `host:port`, `[v6]:port`, `tcp://...`, `unix:///path` or `vsock://cid:port`. The port
    /// is optional.
    ///
    /// # Errors
    ///
    /// One line that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let wrong = |what: &str| AddressError(format!("`{text}` {what}; {FORMS}"));
        if text.contains('\0') {
            return Err(wrong("contains a zero byte"));
        }
        if let Some(path) = text.strip_prefix("unix://") {
            return match Path::new(path).is_absolute() {
                true => Ok(Self::Unix(path.into())),
                false => Err(wrong("names no absolute path")),
            };
        }
        if let Some(rest) = text.strip_prefix("vsock://") {
            let (cid, port) = match rest.split_once(':') {
                Some((cid, port)) => (cid, Some(port)),
                None => (rest, None),
            };
            let cid = cid.parse().map_err(|_| wrong("has no context number"))?;
            let port = port.map_or(Ok(DEFAULT_PORT.into()), str::parse);
            return Ok(Self::Vsock { cid, port: port.map_err(|_| wrong("has no such port"))? });
        }
        let rest = text.strip_prefix("tcp://").unwrap_or(text);
        if let Some((scheme, _)) = rest.split_once("://") {
            return Err(wrong(&format!("begins with {scheme}://, which is unknown")));
        }
        if rest.parse::<u16>().is_ok() {
            return Err(wrong("is a port without a host"));
        }
        let (host, port) = host_and_port(rest).ok_or_else(|| wrong("is not HOST:PORT"))?;
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(wrong(&format!("has no such port as `{port}`"))),
                Ok(port) => port,
            },
        };
        Ok(Self::Tcp { host: host.to_owned(), port })
    }

    /// The host, if the address has one.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Tcp { host, .. } => Some(host),
            Self::Unix(_) | Self::Vsock { .. } => None,
        }
    }

    /// Whether the engine certainly runs on this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => {
                host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
            }
            Self::Unix(_) => true,
            Self::Vsock { .. } => false,
        }
    }

    /// The form that DCGM expects. The text has no zero byte.
    pub(crate) fn as_c(&self) -> CString {
        CString::new(self.to_string()).unwrap_or_default()
    }

    /// The path of a Unix socket, as the older connect call expects it.
    pub(crate) fn socket(&self) -> Option<CString> {
        match self {
            Self::Unix(path) => CString::new(path.to_str()?).ok(),
            Self::Tcp { .. } | Self::Vsock { .. } => None,
        }
    }

    /// Why a connection fails, in the words of the operating system; `None` if it works.
    pub(crate) fn diagnosis(&self) -> Option<String> {
        let connected = match self {
            Self::Unix(path) => UnixStream::connect(path).map(drop),
            Self::Tcp { host, port } => reach(host, *port),
            Self::Vsock { .. } => return None,
        };
        connected.err().map(|error| words(&error))
    }
}

/// The meaning of a connection error, and what to do.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file: is nv-hostengine running?".to_owned(),
        io::ErrorKind::ConnectionRefused => {
            "connection refused: is nv-hostengine running?".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied: run heatsink as a user who may write to the socket".to_owned()
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            "no answer from the network".to_owned()
        }
        _ => error.to_string(),
    }
}

fn reach(host: &str, port: u16) -> io::Result<()> {
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, DIAGNOSIS) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The host, and the text after the colon.
fn host_and_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        // A percent sign separates the interface.
        host.split('%').next()?.parse::<std::net::Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None if rest.is_empty() => Some((host, None)),
            None => None,
        };
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (!host.is_empty() && host.chars().all(is_name)).then_some((host, port))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Vsock { cid, port } => write!(f, "vsock://{cid}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        Address::parse(text).map_or_else(|error| error.0, |address| address.to_string())
    }

    #[test]
    fn every_form_of_an_address_is_parsed() {
        for (written, meant) in [
            ("localhost:5555", "localhost:5555"),
            ("node-7.example", "node-7.example:5555"),
            (" 10.0.0.1:6000 ", "10.0.0.1:6000"),
            ("[::1]:5555", "[::1]:5555"),
            ("[fe80::1]", "[fe80::1]:5555"),
            ("[fe80::1%eth0]:1", "[fe80::1%eth0]:1"),
            ("tcp://gpu_1:5556", "gpu_1:5556"),
            ("tcp://[::1]:1", "[::1]:1"),
            ("unix:///run/nv.sock", "unix:///run/nv.sock"),
            ("vsock://2:5555", "vsock://2:5555"),
            ("vsock://3", "vsock://3:5555"),
        ] {
            assert_eq!(parsed(written), meant);
            assert!(Address::parse(written).unwrap().as_c().to_str().unwrap().contains(meant));
        }
    }

    #[test]
    fn malformed_ones_are_named_in_one_line() {
        for text in [
            "",
            ":5555",
            "host:",
            "host:0",
            "host:99999",
            "host:x",
            "a b:1",
            "::1",
            "[::1",
            "[x]:1",
            "[::1]x",
            "unix://relative",
            "unix://",
            "vsock://:1",
            "vsock://x:1",
            "vsock://1:x",
            "http://host:1",
            "5555",
            "host:1:2",
            "a\0b",
        ] {
            let message = parsed(text);
            assert!(message.contains(FORMS) && !message.contains('\n'), "{text} became {message}");
        }
    }

    #[test]
    fn local_addresses_are_detected() {
        let local = |text| Address::parse(text).unwrap().is_local();
        assert!(["localhost", "127.0.0.1:1", "[::1]:1", "unix:///x"].map(local) == [true; 4]);
        assert!(["node-1", "10.0.0.1:1", "vsock://2"].map(local) == [false; 3]);
        assert_eq!(Address::parse("tcp://node-1:1").unwrap().host(), Some("node-1"));
    }

    #[test]
    fn connection_errors_have_a_reason() {
        let missing = Address::parse("unix:///nowhere/at/all").unwrap();
        assert!(missing.diagnosis().unwrap().contains("no such file"));
        let refused = Address::parse("127.0.0.1:1").unwrap();
        assert!(refused.diagnosis().unwrap().contains("refused"));
        let denied = words(&io::ErrorKind::PermissionDenied.into());
        assert!(denied.contains("permission denied") && denied.contains("write to the socket"));
    }
}
