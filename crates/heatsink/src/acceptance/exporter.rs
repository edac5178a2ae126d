//! heatsink itself as the exporter, on a free port of the loopback interface.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::process::{Interrupt, Process};

const START_TIMEOUT: Duration = Duration::from_secs(30);
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Exporter {
    pub(super) process: Process,
    address: SocketAddr,
}

impl Exporter {
    /// Starts it and waits until it serves data.
    pub(super) fn start(flags: &[OsString], log: &Path, interrupt: &Interrupt) -> Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["-f", "all", "--window", "60s", "-c", "1000", "--address"]);
        // Without the name of the host, because runs are published.
        command.arg(address.to_string()).arg("--no-hostname").args(flags);
        let mut exporter = Self { process: Process::start(&mut command, log)?, address };
        let began = Instant::now();
        while exporter.get("/ready").is_err() {
            let log = log.display();
            ensure!(exporter.process.status().is_none(), "the exporter ended; see {log}");
            let is_late = began.elapsed() > START_TIMEOUT;
            ensure!(!is_late, "the exporter is not ready after {START_TIMEOUT:?}; see {log}");
            interrupt.sleep(Duration::from_millis(200))?;
        }
        Ok(exporter)
    }

    /// The body of an answer with status 200.
    pub(super) fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, SCRAPE_TIMEOUT)?;
        stream.set_read_timeout(Some(SCRAPE_TIMEOUT))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no body")?;
        ensure!(head.starts_with("HTTP/1.1 200 "), "{}", head.lines().next().unwrap_or_default());
        Ok(body.to_owned())
    }
}
