//! The listening socket: systemd's, or one for `-a, --address`.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use anyhow::{Context, Result, anyhow, bail};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::flags::ADDRESS;
use crate::systemd;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;

/// Bytes of a response that the kernel buffers for a client that does not read. By default it buffers
/// megabytes, and hundreds of such clients would cost a gigabyte.
const SEND_BUFFER: usize = 256 * 1024;

/// systemd's socket, if it passes one; else, unless that is `required`, one for `address`.
///
/// # Errors
///
/// What is wrong with the address, or with the sockets that systemd passes.
pub(crate) fn listener(required: bool, address: &str) -> Result<TcpListener> {
    match systemd::socket(required)? {
        Some(listener) => {
            let bounded = SockRef::from(&listener).set_send_buffer_size(SEND_BUFFER);
            bounded.context("systemd's socket cannot be set up")?;
            Ok(listener)
        }
        None => bind(address).context(&ADDRESS),
    }
}

/// A listening socket.
///
/// # Errors
///
/// What is wrong with the address, or why nothing can listen there; and what to do.
pub(crate) fn bind(address: &str) -> Result<TcpListener> {
    let (host, port) = host_and_port(address)?;
    let explain = |error: &io::Error| explain(error, address, port);
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

/// The host and the port of `:9400`, `127.0.0.1:9400`, `[::1]:9400` or `host:9400`.
fn host_and_port(address: &str) -> Result<(&str, u16)> {
    const FORMS: &str = "write :9400, 127.0.0.1:9400 or [::1]:9400";
    if let Ok(port) = address.parse::<u16>() {
        bail!("`{address}` is a port without a colon; write :{port}");
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_literal = address.parse::<SocketAddr>().is_ok();
    let halves = address.rsplit_once(':');
    let halves = halves.filter(|(host, _)| is_literal || host.chars().all(is_name));
    let (host, port) = halves.with_context(|| format!("`{address}` is not HOST:PORT; {FORMS}"))?;
    let port = port.parse();
    Ok((host, port.map_err(|_| anyhow!("`{address}` has no port from 0 to 65535; {FORMS}"))?))
}

/// Why nothing can listen there, and what to do.
fn explain(error: &io::Error, address: &str, port: u16) -> anyhow::Error {
    let other = if port < u16::MAX { port + 1 } else { port - 1 };
    match error.kind() {
        io::ErrorKind::AddrInUse => anyhow!(
            "another program listens on `{address}`; `ss -ltnp 'sport = :{port}'` shows which; \
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

/// The address as a browser of this machine opens it: `http://localhost:9400`.
pub(crate) fn url(address: SocketAddr) -> String {
    match address.ip().is_unspecified() {
        true => format!("http://localhost:{}", address.port()),
        false => format!("http://{address}"),
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

    use super::*;

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
        ] {
            let error = bind(text).expect_err(text);
            assert!(format!("{error:#}").contains(message), "{error:#}");
        }
    }

    #[test]
    fn a_printed_address_can_be_opened() {
        for (address, expected) in [
            ("[::]:9400", "http://localhost:9400"),
            ("0.0.0.0:9400", "http://localhost:9400"),
            ("127.0.0.1:1", "http://127.0.0.1:1"),
            ("[::1]:1", "http://[::1]:1"),
        ] {
            assert_eq!(url(address.parse().unwrap()), expected);
        }
    }

    #[test]
    fn a_port_alone_listens_on_ipv4_and_ipv6() {
        let listener = bind(":0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).is_ok());
        if address.is_ipv6() {
            assert!(TcpStream::connect((Ipv6Addr::LOCALHOST, address.port())).is_ok());
        }
    }
}
