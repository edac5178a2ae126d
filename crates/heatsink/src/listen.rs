//! Where it listens: on systemd's socket, or on one for `-a, --address`.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use anyhow::{Context, Result, anyhow};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::systemd;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;

/// Bytes of an answer that the kernel takes from us for a client that does not read. Left to
/// itself, it takes megabytes: a crowd of such clients would cost a gigabyte.
const SEND_BUFFER: usize = 256 * 1024;

/// Systemd's socket, if it passes one; else, and only if that is not `required`, one for `address`.
///
/// # Errors
///
/// One line that says what is wrong with the address, or with what systemd passes.
pub(crate) fn listener(required: bool, address: &str) -> Result<TcpListener> {
    match systemd::socket(required)? {
        Some(listener) => {
            let bounded = SockRef::from(&listener).set_send_buffer_size(SEND_BUFFER);
            bounded.context("systemd's socket cannot be set up")?;
            Ok(listener)
        }
        None => bind(address),
    }
}

/// A listening socket.
///
/// # Errors
///
/// One line that names the address, the flag, and what is wrong.
pub(crate) fn bind(address: &str) -> Result<TcpListener> {
    let cannot = || format!("cannot listen on `{address}` (-a, --address)");
    if let Some(port) = address.strip_prefix(':') {
        let port: u16 =
            port.parse().map_err(|_| anyhow!("`{port}` is no port")).with_context(cannot)?;
        // One socket for IPv6 and IPv4, or, where the machine has no IPv6, for IPv4.
        return listen((Ipv6Addr::UNSPECIFIED, port).into())
            .or_else(|error| match error.kind() {
                io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
                _ => listen((Ipv4Addr::UNSPECIFIED, port).into()),
            })
            .with_context(cannot);
    }
    let mut last = Err(anyhow!("the name has no address"));
    for address in address.to_socket_addrs().with_context(cannot)? {
        last = listen(address).map_err(anyhow::Error::from);
        if last.is_ok() {
            break;
        }
    }
    last.with_context(cannot)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Machines differ in what they take for granted (net.ipv6.bindv6only).
        socket.set_only_v6(false)?;
    }
    // A restart does not wait for the connections of the run before.
    socket.set_reuse_address(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn addresses() {
        assert!(bind("127.0.0.1:0").is_ok());
        assert!(bind("localhost:0").is_ok());
        for text in ["", "9400", ":x", ":99999", "127.0.0.1", "[::1"] {
            let error = bind(text).expect_err(text);
            assert!(format!("{error:#}").contains("--address"), "{error:#}");
        }
    }

    #[test]
    fn a_port_alone_is_listened_on_with_both_protocols() {
        let listener = bind(":0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).is_ok());
        if address.is_ipv6() {
            assert!(TcpStream::connect((Ipv6Addr::LOCALHOST, address.port())).is_ok());
        }
    }
}
