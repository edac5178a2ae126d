//! What systemd hands over and is told: a listening socket, readiness, how it goes, and that this
//! process is alive. Without systemd, all of it does nothing.

use std::net::TcpListener;
use std::sync::Weak;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use listenfd::ListenFd;
use model::Snapshot;
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

use crate::http::{self, App};

/// How often systemd is told how it goes; more often only if its watchdog is less patient.
const PULSE: Duration = Duration::from_secs(1);

/// The socket that systemd listens on for this process (`heatsink.socket`), if it does.
///
/// # Errors
///
/// When something else was handed over, or more than one socket, or nothing although it is
/// `required`.
pub(crate) fn socket(required: bool) -> Result<Option<TcpListener>> {
    let mut passed = ListenFd::from_env();
    match passed.len() {
        0 if required => bail!(
            "--web-systemd-socket (DCGM_EXPORTER_SYSTEMD_SOCKET): systemd has passed no socket; \
             start heatsink.socket, or leave the flag out and listen on --address"
        ),
        0 => return Ok(None),
        1 => {}
        more => bail!(
            "systemd has passed {more} sockets: leave one ListenStream= in heatsink.socket \
             (a port alone is IPv6 and IPv4)"
        ),
    }
    let listener = passed.take_tcp_listener(0);
    let listener = listener.context("systemd has passed what is no TCP socket that listens")?;
    ensure!(listener.is_some(), "systemd has passed a socket that is already taken");
    Ok(listener)
}

/// Tells systemd that this process serves, and from then on how it goes. Runs where connections are
/// served, so that a server that hangs is silent, and systemd's watchdog restarts it.
pub(crate) async fn report(app: Weak<App>) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
        tracing::warn!("systemd cannot be told that heatsink serves: {error}");
    }
    let watchdog = sd_notify::watchdog_enabled();
    let period = watchdog.map_or(PULSE, |patience| PULSE.min(patience / 3));
    let mut pulse = interval(period.max(Duration::from_millis(1)));
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = String::new();
    loop {
        pulse.tick().await;
        let Some(app) = app.upgrade() else { return };
        // Of what is not heard, systemd makes its own conclusions.
        if watchdog.is_some() {
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
        let status = status(&app.sampler.snapshot());
        if status != told {
            let _ = sd_notify::notify(&[NotifyState::Status(&status)]);
            told = status;
        }
    }
}

/// Tells systemd that the end has begun.
pub(crate) fn stopping() {
    // Nothing would be different if it were not heard.
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}

/// What `systemctl status` shows.
fn status(snapshot: &Snapshot) -> String {
    let simulated = if snapshot.source.name == "sim" { "simulated " } else { "" };
    match http::readiness(snapshot) {
        Ok(()) => {
            let up = snapshot.gpus.iter().filter(|view| view.up.is_ok()).count();
            format!("{up} of {} {simulated}GPUs answer", snapshot.gpus.len())
        }
        Err(why) => format!("no data: {}", why.lines().next().unwrap_or_default()),
    }
}
