//! The listening sockets: systemd's, or those of `-a, --address`.

use std::fs::{self, Permissions};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use listenfd::ListenFd;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use crate::address::{host_and_port, unix_path};
use crate::flags::{ADDRESS, WEB_SYSTEMD_SOCKET};

/// Connections that the kernel keeps until they are accepted; it may keep fewer (net.core.somaxconn). If
/// there is no room, a client tries again after a second.
const BACKLOG: i32 = 4096;

/// Bytes of a response that the kernel buffers for a client that does not read. By default it buffers
/// megabytes, and hundreds of such clients would cost a gigabyte.
const SEND_BUFFER: usize = 256 * 1024;

/// Who may connect to a Unix socket, whatever the umask is: its owner and its group.
const SOCKET_MODE: u32 = 0o660;

/// What else can be wrong if an address of several is in use.
const OR_OVERLAPS: &str = ", or another --address overlaps";

/// A listening socket.
pub(crate) enum Listener {
    /// TCP over IPv4, IPv6 or both.
    Tcp(TcpListener),
    /// A Unix socket, and its file, which is removed at the end; `None` if the file is systemd's.
    Unix(UnixListener, Option<SocketFile>),
}

/// The file of a Unix socket; dropping this removes it.
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode, because another process may have put its own file there.
    id: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if id(&self.path).is_ok_and(|id| id == self.id) {
            // If this fails, the next start finds that nothing listens there.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn id(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

impl Listener {
    /// The address as a browser of this machine opens it, `http://localhost:9400`, or
    /// `unix:///run/heatsink.sock`.
    pub(crate) fn url(&self, is_encrypted: bool) -> String {
        let address = match self {
            Self::Tcp(listener) => listener.local_addr(),
            Self::Unix(listener, _) => {
                let address = listener.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                return format!("unix://{}", path.unwrap_or(Path::new("?")).display());
            }
        };
        let scheme = if is_encrypted { "https" } else { "http" };
        match address {
            Ok(address) => format!("{scheme}://{}", reachable(address)),
            Err(_) => format!("{scheme}://?"),
        }
    }
}

/// The address at which this machine reaches it: `localhost:9400`.
fn reachable(address: SocketAddr) -> String {
    match address.ip().is_unspecified() {
        true => format!("localhost:{}", address.port()),
        false => address.to_string(),
    }
}

/// systemd's sockets, if it passes some; else, unless those are `required`, one for each address.
///
/// # Errors
///
/// What is wrong with an address, or with the sockets that systemd passes.
pub(crate) fn listeners(required: bool, addresses: &[String]) -> Result<Vec<Listener>> {
    let passed = passed_sockets(required)?;
    for listener in &passed {
        let socket = match listener {
            Listener::Tcp(listener) => SockRef::from(listener),
            Listener::Unix(listener, _) => SockRef::from(listener),
        };
        socket.set_send_buffer_size(SEND_BUFFER).context("systemd's socket cannot be set up")?;
    }
    if !passed.is_empty() {
        return Ok(passed);
    }
    let mut distinct: Vec<&String> = Vec::new();
    for address in addresses {
        if !distinct.contains(&address) {
            distinct.push(address);
        }
    }
    let in_use = if distinct.len() > 1 { OR_OVERLAPS } else { "" };
    let listeners: Result<_> =
        distinct.into_iter().map(|address| bind_one(address, in_use)).collect();
    listeners.context(&ADDRESS)
}

/// The sockets that systemd listens on for this process (`heatsink.socket`): TCP and Unix sockets.
///
/// # Errors
///
/// When systemd passes something else, or nothing although a socket is `required`.
fn passed_sockets(required: bool) -> Result<Vec<Listener>> {
    let mut passed = ListenFd::from_env();
    if required && passed.len() == 0 {
        bail!(
            "{WEB_SYSTEMD_SOCKET}: systemd has passed no socket; start heatsink.socket, or leave the \
             flag out and listen on --address"
        );
    }
    (0..passed.len()).map(|index| passed_socket(&mut passed, index)).collect()
}

fn passed_socket(passed: &mut ListenFd, index: usize) -> Result<Listener> {
    if let Ok(Some(listener)) = passed.take_tcp_listener(index) {
        return Ok(Listener::Tcp(listener));
    }
    let listener = passed.take_unix_listener(index).context(
        "systemd has passed something that is not a listening TCP or Unix socket: leave only \
         ListenStream= in heatsink.socket",
    )?;
    let listener = listener.context("systemd has passed a socket that is already in use")?;
    Ok(Listener::Unix(listener, None))
}

/// A listening socket.
///
/// # Errors
///
/// What is wrong with the address, or why nothing can listen there; and what to do.
pub(crate) fn bind(address: &str) -> Result<Listener> {
    bind_one(address, "")
}

/// A listening socket. `in_use` is added to the message that another program listens there.
fn bind_one(address: &str, in_use: &str) -> Result<Listener> {
    match address.strip_prefix("unix:") {
        Some(path) => bind_unix(address, path, in_use),
        None => bind_tcp(address, in_use).map(Listener::Tcp),
    }
}

/// A listening Unix socket. Removes the file of one that nothing listens on.
fn bind_unix(address: &str, path: &str, in_use: &str) -> Result<Listener> {
    let path = unix_path(address, path)?;
    match fs::symlink_metadata(path) {
        Ok(file) if !file.file_type().is_socket() => {
            bail!("cannot listen on `{address}`: there is a file that is not a socket")
        }
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => bail!(
                "another program listens on `{address}`{in_use}; `ss -lxp src {}` shows which; stop it, or \
                 choose another path",
                path.display()
            ),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).with_context(|| {
                    format!("cannot remove the socket that another process left at `{address}`")
                })?;
            }
            Err(error) => bail!("cannot listen on `{address}`, where a socket is: {error}"),
        },
        Err(_) => {}
    }
    listen_unix(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            anyhow!("cannot listen on `{address}`: its folder is missing; make it first")
        }
        io::ErrorKind::PermissionDenied => anyhow!(
            "cannot listen on `{address}`: permission denied; choose a folder that heatsink may write"
        ),
        _ => anyhow!("cannot listen on `{address}`: {error}"),
    })
}

fn listen_unix(path: &Path) -> io::Result<Listener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile { path: path.to_owned(), id: id(path)? };
    // Before it listens, so that no other user can connect in between.
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
    socket.listen(BACKLOG)?;
    Ok(Listener::Unix(socket.into(), Some(file)))
}

/// A listening TCP socket.
///
/// # Errors
///
/// What is wrong with the address, or why nothing can listen there; and what to do.
fn bind_tcp(address: &str, in_use: &str) -> Result<TcpListener> {
    let (host, port) = host_and_port(address)?;
    let explain = |error: &io::Error| explain(error, address, port, in_use);
    if host.is_empty() {
        // One socket for IPv6 and IPv4, or, where the machine has no IPv6, for IPv4.
        return listen((Ipv6Addr::UNSPECIFIED, port).into())
            .or_else(|error| match error.kind() {
                io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
                _ => listen((Ipv4Addr::UNSPECIFIED, port).into()),
            })
            .map_err(|error| explain(&error));
    }
    let addresses = address.to_socket_addrs();
    let addresses = addresses.with_context(|| format!("`{host}` has no address"))?;
    let mut last = Err(anyhow!("`{host}` has no address"));
    for address in addresses {
        last = listen(address).map_err(|error| explain(&error));
        if last.is_ok() {
            break;
        }
    }
    last
}

/// Why nothing can listen there, and what to do.
fn explain(error: &io::Error, address: &str, port: u16, in_use: &str) -> anyhow::Error {
    let other = if port < u16::MAX { port + 1 } else { port - 1 };
    match error.kind() {
        io::ErrorKind::AddrInUse => anyhow!(
            "another program listens on `{address}`{in_use}; `ss -ltnp 'sport = :{port}'` shows which; \
             stop it, or choose another port, as in -a :{other}"
        ),
        io::ErrorKind::PermissionDenied => anyhow!(
            "cannot listen on `{address}`: permission denied; choose a port from 1024 on, or give \
             heatsink the capability CAP_NET_BIND_SERVICE"
        ),
        io::ErrorKind::AddrNotAvailable => anyhow!(
            "cannot listen on `{address}`: this machine does not have that address; `ip address` \
             lists those that it has"
        ),
        _ => anyhow!("cannot listen on `{address}`: {error}"),
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // The default differs from machine to machine (net.ipv6.bindv6only).
        socket.set_only_v6(false)?;
    }
    // A restart does not wait until old connections time out.
    socket.set_reuse_address(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use tempfile::TempDir;

    use super::*;

    fn mistake(addresses: &[&str]) -> String {
        let addresses: Vec<String> = addresses.iter().map(|&address| address.to_owned()).collect();
        let error = listeners(false, &addresses).err().expect("it is refused");
        format!("{error:#}")
    }

    #[test]
    fn addresses_are_read_or_refused() {
        assert!(bind("127.0.0.1:0").is_ok());
        assert!(bind("localhost:0").is_ok());
        for (text, message) in [
            ("", "is not HOST:PORT"),
            ("9400", "write :9400"),
            (":x", "has no port"),
            (":99999", "has no port"),
            ("127.0.0.1", "is not HOST:PORT"),
            ("[::1", "is not HOST:PORT"),
            ("::1:9400", "is not HOST:PORT"),
            ("http://localhost:9400", "is not HOST:PORT"),
            ("host.invalid:9400", "`host.invalid` has no address"),
            ("unix:", "has no absolute path"),
            ("unix://", "has no absolute path"),
            ("unix:run/heatsink.sock", "has no absolute path"),
            ("unix://run/heatsink.sock", "has no absolute path"),
            ("unix:///nowhere/heatsink.sock", "its folder is missing"),
            ("unix:///etc/hostname", "a file that is not a socket"),
        ] {
            let message_of_all = mistake(&["127.0.0.1:0", text]);
            assert!(message_of_all.contains(message), "{message_of_all}");
        }
        let long = format!("unix:///tmp/{}", "x".repeat(200));
        assert!(mistake(&[&long]).contains("cannot listen on"));
    }

    #[test]
    fn an_address_that_is_given_twice_is_listened_on_once_and_an_overlap_is_named() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        let taken = address.to_string();
        let alone = mistake(&[&taken, &taken]);
        assert!(alone.contains(&format!("another program listens on `{taken}`; ")), "{alone}");
        drop(free);
        let twice = [taken.clone(), taken.clone()];
        assert_eq!(listeners(false, &twice).unwrap().len(), 1);
        let overlap = mistake(&[&taken, &format!("localhost:{}", address.port())]);
        let expected = "`, or another --address overlaps; `ss";
        assert!(overlap.contains(expected), "{overlap}");
    }

    #[test]
    fn a_printed_address_can_be_opened() {
        for (address, expected) in [
            ("[::]:9400", "localhost:9400"),
            ("0.0.0.0:9400", "localhost:9400"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::1]:1", "[::1]:1"),
        ] {
            assert_eq!(reachable(address.parse().unwrap()), expected);
        }
        let listener = bind("127.0.0.1:0").unwrap();
        assert!(listener.url(false).starts_with("http://127.0.0.1:"));
        assert!(listener.url(true).starts_with("https://127.0.0.1:"));
    }

    #[test]
    fn a_port_alone_listens_on_ipv4_and_ipv6() {
        let listener = bind_tcp(":0", "").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).is_ok());
        if address.is_ipv6() {
            assert!(TcpStream::connect((Ipv6Addr::LOCALHOST, address.port())).is_ok());
        }
    }

    #[test]
    fn a_unix_socket_is_for_owner_and_group_and_its_file_is_removed() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.sock");
        let address = format!("unix://{}", path.display());
        let listener = bind(&address).unwrap();
        assert_eq!(listener.url(true), address);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(UnixStream::connect(&path).is_ok());
        // One that is in use is refused, and stays.
        let error = mistake(&[&address]);
        assert!(error.contains("another program listens on"), "{error}");
        assert!(UnixStream::connect(&path).is_ok());
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn the_socket_of_a_dead_process_is_replaced() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "the library does not remove it");
        let address = format!("unix://{}", path.display());
        let old = bind(&address).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
        // A file that another process has put there stays.
        fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(old);
        assert!(UnixStream::connect(&path).is_ok());
    }
}
