//! What systemd hands over and is told: a listening socket, readiness, how it goes, and that this
//! process is alive. Without systemd, all of it does nothing.

use std::net::TcpListener;
use std::sync::Weak;
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use listenfd::ListenFd;
use model::Snapshot;
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

use crate::flags::WEB_SYSTEMD_SOCKET;
use crate::health;
use crate::http::App;

/// How often systemd is told how it goes; more often only if its watchdog is less patient.
const PULSE: Duration = Duration::from_secs(1);

/// Messages that wait for systemd to hear them.
const MOST_UNHEARD: usize = 16;

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
            "{WEB_SYSTEMD_SOCKET}: systemd has passed no socket; start heatsink.socket, or leave the \
             flag out and listen on --address"
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

/// Where systemd is told things: a thread of its own does it, since systemd may be slow to hear, and
/// must hold up neither a scrape nor the end. What it does not hear in time it does without.
#[derive(Clone)]
pub(crate) struct Messenger {
    /// None where systemd asks for no messages.
    messages: Option<SyncSender<String>>,
}

impl Messenger {
    /// Starts to listen to what is to be told.
    pub(crate) fn start() -> Self {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Self { messages: None };
        }
        let (messages, said) = mpsc::sync_channel::<String>(MOST_UNHEARD);
        let messenger = thread::Builder::new().name("systemd".to_owned()).spawn(move || {
            for message in said {
                if let Err(error) = sd_notify::notify(&[NotifyState::Custom(&message)]) {
                    tracing::debug!("systemd does not hear: {error}");
                }
            }
        });
        if let Err(error) = messenger {
            tracing::warn!("systemd cannot be told that heatsink serves: {error}");
            return Self { messages: None };
        }
        Self { messages: Some(messages) }
    }

    /// Tells systemd that the end has begun.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1".to_owned());
    }

    /// Whether there is room for this among what is to be told.
    fn tell(&self, message: String) -> bool {
        self.messages.as_ref().is_some_and(|messages| messages.try_send(message).is_ok())
    }
}

/// Tells systemd that this process serves, and from then on how it goes. Runs where connections are
/// served, so that a server that hangs is silent, and systemd's watchdog restarts it.
pub(crate) async fn report(messenger: Messenger, app: Weak<App>) {
    if messenger.messages.is_none() {
        return;
    }
    messenger.tell("READY=1".to_owned());
    let watchdog = sd_notify::watchdog_enabled();
    let period = watchdog.map_or(PULSE, |patience| PULSE.min(patience / 3));
    let mut pulse = interval(period.max(Duration::from_millis(1)));
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = String::new();
    loop {
        pulse.tick().await;
        let Some(app) = app.upgrade() else { return };
        if watchdog.is_some() {
            messenger.tell("WATCHDOG=1".to_owned());
        }
        let status = status(&app.sampler.snapshot());
        if status != told && messenger.tell(format!("STATUS={status}")) {
            told = status;
        }
    }
}

/// What `systemctl status` shows.
fn status(snapshot: &Snapshot) -> String {
    let simulated = if snapshot.source.name == "sim" { "simulated " } else { "" };
    match health::readiness(snapshot) {
        Ok(()) => {
            let (up, all) = health::answering(snapshot);
            format!("{up} of {all} {simulated}GPUs answer")
        }
        Err(why) => format!("no data: {}", why.lines().next().unwrap_or_default()),
    }
}
