//! Addresses to listen on, as they are written.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::parse;

/// What an address may look like.
pub(crate) const FORMS: &str =
    "write :9400, 127.0.0.1:9400, [::1]:9400 or unix:///run/heatsink.sock";

/// Addresses separated by commas, each in one of the [`FORMS`].
///
/// # Errors
///
/// What is wrong with the first wrong address, or that there is none.
pub(crate) fn list(text: &str) -> Result<Vec<String>> {
    let addresses = parse::list(text)?;
    ensure!(!addresses.is_empty(), "there is no address; {FORMS}");
    for address in &addresses {
        match address.strip_prefix("unix:") {
            Some(path) => unix_path(address, path).map(drop)?,
            None => host_and_port(address).map(drop)?,
        }
    }
    Ok(addresses)
}

/// The path of `unix:///run/heatsink.sock`, where `path` is what follows `unix:`.
///
/// # Errors
///
/// When it is not absolute.
pub(crate) fn unix_path<'a>(address: &str, path: &'a str) -> Result<&'a Path> {
    let path = path.strip_prefix("//").map(Path::new).filter(|path| path.is_absolute());
    path.with_context(|| format!("`{address}` has no absolute path; {FORMS}"))
}

/// The host and the port of `:9400`, `127.0.0.1:9400`, `[::1]:9400` or `host:9400`.
///
/// # Errors
///
/// What is wrong with the address, and what to write.
pub(crate) fn host_and_port(address: &str) -> Result<(&str, u16)> {
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
