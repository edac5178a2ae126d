//! Tells of incidents: a command that is run, a webhook that is called.

mod alert;
mod command;
mod limit;
mod ongoing;
mod running;
mod settling;
mod webhook;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use anyhow::Result;
use history::history::History;
use history::incident::Incident;
use history::time::Time;
use jiff::tz::TimeZone;

use self::alert::News;
pub(crate) use self::alert::Telling;
pub(crate) use self::ongoing::Now;
use self::running::Running;
use self::settling::Settling;
use crate::cli::Args;
use crate::flags;
use crate::webhook_url::WebhookUrl;

/// The most news that wait for a slow command or webhook. More are dropped, and counted.
const QUEUE: usize = 32;

/// Who is told.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct TellSettings {
    command: Option<String>,
    webhook: Option<WebhookUrl>,
}

impl TellSettings {
    /// Reads the settings.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub(crate) fn read(args: &Args) -> Result<Self> {
        Ok(Self {
            command: args.get(&flags::ON_INCIDENT)?,
            webhook: args.get(&flags::INCIDENT_WEBHOOK)?,
        })
    }
}

/// Tells of incidents, with a thread for each way to do so. A thread is started with the first incident. A
/// command that runs is ended when the teller is dropped.
pub(crate) struct Teller {
    settling: Settling,
    /// Empty if there is no command and no webhook.
    ways: Vec<Way>,
    running: Arc<Running>,
}

impl Teller {
    /// A teller that makes its reports from this history, which has a folder or not.
    pub(crate) fn new(settings: TellSettings, history: Arc<History>, has_folder: bool) -> Self {
        let TellSettings { command, webhook } = settings;
        let telling = Telling { zone: TimeZone::system(), has_folder };
        let running = Arc::new(Running::default());
        let command = command.map(|text| {
            let (telling, running) = (telling.clone(), Arc::clone(&running));
            Way::new("on-incident", move |news, dropped| {
                command::run(&text, news, &*history, dropped, &telling, &running);
            })
        });
        let webhook = webhook.map(|url| {
            Way::new("incident-hook", move |news, _| webhook::run(&url, news, &telling))
        });
        let ways = command.into_iter().chain(webhook).collect();
        Self { settling: Settling::default(), ways, running }
    }

    /// Takes the newest states of incidents; `time` is on the clock of the recording. To be called for each
    /// row, because an incident is told a while after it opened, and again when it is over. Waits for
    /// nothing.
    pub(crate) fn observe(&mut self, time: Time, incidents: &[Incident], now: Now<'_>) {
        let goes_on = |incident: &Incident| ongoing::goes_on(incident, now);
        for news in self.settling.observe(time, incidents, goes_on) {
            for way in &mut self.ways {
                way.tell(&news);
            }
        }
    }

    /// Whether it has something to do with these incidents, or with earlier ones.
    pub(crate) fn has_work(&self, incidents: &[Incident]) -> bool {
        !self.ways.is_empty() && (!incidents.is_empty() || self.settling.is_following())
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.running.stop();
    }
}

/// Tells all news that it receives, until there will be none. Adds the dropped ones that are counted.
type Tell = Arc<dyn Fn(Receiver<News>, &AtomicU64) + Send + Sync>;

/// A way to tell.
struct Way {
    /// The name of its thread.
    name: &'static str,
    tell: Tell,
    /// To its thread, once there is one.
    queue: Option<SyncSender<News>>,
    /// News that did not fit into the queue.
    dropped: Arc<AtomicU64>,
}

impl Way {
    fn new(
        name: &'static str,
        tell: impl Fn(Receiver<News>, &AtomicU64) + Send + Sync + 'static,
    ) -> Self {
        Self { name, tell: Arc::new(tell), queue: None, dropped: Arc::default() }
    }

    /// Hands the news to the thread. Waits for nothing.
    fn tell(&mut self, news: &News) {
        let number = news.incident.number;
        let queue = match &self.queue {
            Some(queue) => queue,
            None => match self.start() {
                Ok(queue) => self.queue.insert(queue),
                Err(error) => {
                    tracing::warn!("cannot tell of incident {number}: no thread: {error}");
                    return;
                }
            },
        };
        match queue.try_send(news.clone()) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.dropped.fetch_add(u64::from(news.ended.is_none()), Ordering::Relaxed);
                tracing::warn!("cannot tell of incident {number}: {QUEUE} others wait to be told");
            }
            // Its thread has panicked: the next news start another one.
            Err(TrySendError::Disconnected(_)) => {
                tracing::warn!("cannot tell of incident {number}: the thread has ended");
                self.queue = None;
            }
        }
    }

    fn start(&self) -> io::Result<SyncSender<News>> {
        let (queue, news) = sync_channel(QUEUE);
        let (tell, dropped) = (Arc::clone(&self.tell), Arc::clone(&self.dropped));
        let thread = thread::Builder::new().name(self.name.to_owned());
        thread.spawn(move || tell(news, &dropped))?;
        Ok(queue)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::alert::tests::news;
    use super::*;

    #[test]
    fn news_beyond_the_queue_are_dropped_and_counted_and_nothing_waits() {
        let (took, taken) = channel();
        let (go, gone) = channel::<()>();
        let gone = std::sync::Mutex::new(gone);
        let mut way = Way::new("test", move |news, dropped| {
            let _ = took.send((0, 0));
            let _ = gone.lock().unwrap().recv();
            for news in news {
                let _ = took.send((news.incident.number, dropped.load(Ordering::Relaxed)));
            }
        });
        let most = u64::try_from(QUEUE).unwrap();
        for number in 1..=most {
            way.tell(&news(number, false));
        }
        assert_eq!(taken.recv(), Ok((0, 0)), "the thread runs");
        for number in most + 1..=most + 5 {
            way.tell(&news(number, false));
        }
        way.tell(&news(1, true));
        drop(go);
        assert_eq!(taken.recv(), Ok((1, 5)));
        drop(way);
        assert_eq!(taken.iter().map(|(number, _)| number).last(), Some(most));
    }

    #[test]
    fn a_thread_that_panicked_is_replaced() {
        let (took, taken) = channel();
        let mut way = Way::new("test", move |news, _| {
            let _ = took.send(());
            drop(news);
        });
        way.tell(&news(1, false));
        taken.recv().unwrap();
        // The first that finds the queue closed is lost; those after it have a thread again.
        while taken.try_recv().is_err() {
            way.tell(&news(2, false));
        }
    }

    #[test]
    fn without_a_command_or_a_webhook_nothing_is_told() {
        let settings = history::history::Settings { store: None, boot_id: None };
        let history = Arc::new(History::open(settings));
        let teller = Teller::new(TellSettings::default(), history, false);
        assert!(!teller.has_work(&[alert::tests::incident(1)]));
    }
}
