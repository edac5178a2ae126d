//! systemd: notifies it of readiness, status and liveness. Without systemd, it does nothing.

use std::sync::Weak;
use std::sync::mpsc::{self, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use model::Snapshot;
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

use crate::health;
use crate::http::App;

/// How often the status is sent; more often if the watchdog's timeout is short.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Messages that wait to be sent at most; further ones are lost.
const MAX_WAITING_MESSAGES: usize = 16;

/// Sends messages to systemd from a thread of its own: systemd may be slow, and must not delay a scrape.
/// Messages that it does not receive in time are lost.
#[derive(Clone)]
pub(crate) struct Messenger {
    /// None if systemd did not ask for messages.
    messages: Option<SyncSender<String>>,
}

impl Messenger {
    /// Starts the thread, which ends once all clones of the messenger are dropped and their messages sent.
    pub(crate) fn start() -> (Self, Option<JoinHandle<()>>) {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return (Self { messages: None }, None);
        }
        let (messages, received) = mpsc::sync_channel::<String>(MAX_WAITING_MESSAGES);
        let messenger = thread::Builder::new().name("systemd".to_owned()).spawn(move || {
            for message in received {
                if let Err(error) = sd_notify::notify(&[NotifyState::Custom(&message)]) {
                    tracing::debug!("systemd did not receive a message: {error}");
                }
            }
        });
        match messenger {
            Ok(thread) => (Self { messages: Some(messages) }, Some(thread)),
            Err(error) => {
                tracing::warn!("no thread to notify systemd with: {error}");
                (Self { messages: None }, None)
            }
        }
    }

    /// Sends that the process is stopping.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1".to_owned());
    }

    /// Sends a message, and says whether the queue has room for it.
    fn send(&self, message: String) -> bool {
        self.messages.as_ref().is_some_and(|messages| messages.try_send(message).is_ok())
    }
}

/// Sends that this process is ready, and then its status. Runs on the thread that serves connections,
/// so that systemd's watchdog restarts a server that hangs.
pub(crate) async fn report(messenger: Messenger, app: Weak<App>) {
    if messenger.messages.is_none() {
        return;
    }
    messenger.send("READY=1".to_owned());
    let watchdog = sd_notify::watchdog_enabled();
    let period = watchdog.map_or(STATUS_INTERVAL, |timeout| STATUS_INTERVAL.min(timeout / 3));
    let mut ticks = interval(period.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_status = String::new();
    loop {
        ticks.tick().await;
        let Some(app) = app.upgrade() else { return };
        if watchdog.is_some() {
            messenger.send("WATCHDOG=1".to_owned());
        }
        let status = status(&app.sampler.snapshot());
        if status != last_status && messenger.send(format!("STATUS={status}")) {
            last_status = status;
        }
    }
}

/// The text that `systemctl status` shows.
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
