//! The refresher `kubelet`: which container has which GPU.
//!
//! It asks the kubelet's pod resources API, by gRPC on a Unix socket: `List` at each look, and more rarely
//! `GetAllocatableResources`. There is one connection, and one request at a time. A connection that breaks
//! is opened again at once; so is one whose socket file is another one now, since the server of the old
//! file may still answer.

#[allow(unreachable_pub, dead_code, reason = "inner messages are read field by field")]
mod api;
mod connection;
#[allow(unreachable_pub, reason = "the generated interface names its type")]
mod message;
mod reply;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::connection::{Connection, Failure, SocketFile};
use self::message::Message;
use self::reply::ReplyReader;
use crate::device_id::DeviceId;
use crate::error::RefreshError;
use crate::parts::{KubeletPart, Part, PartKind, PodUse, Since, UseKey};
use crate::refresher;
use crate::settings::KubeletSettings;
use crate::shared::Shared;
use crate::skipped::Skipped;

/// How long a look may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// How much of it the allocatable devices may take, if nothing else is set.
const ALLOCATABLE_DEADLINE: Duration = Duration::from_secs(1);

/// How long it is from one question for the allocatable devices to the next.
const ALLOCATABLE_INTERVAL: Duration = Duration::from_secs(60);

/// Starts the refresher.
///
/// # Errors
///
/// If there is no thread.
pub(crate) fn start(shared: &Arc<Shared>, settings: &KubeletSettings) -> io::Result<()> {
    let mut kubelet = Kubelet::new(settings.clone(), DEADLINE);
    let look = move || kubelet.look().map(|part| Part::Kubelet(Arc::new(part)));
    refresher::start(Arc::clone(shared), PartKind::Kubelet, look)
}

/// The kubelet, and what is remembered from one look to the next.
struct Kubelet {
    settings: KubeletSettings,
    deadline: Duration,
    /// How much of it the allocatable devices may take.
    allocatable_deadline: Duration,
    connection: Option<Connection>,
    allocatable: Option<Vec<DeviceId>>,
    /// When the allocatable devices are asked for again; `None` for at once.
    next_allocatable: Option<Instant>,
    /// Why the allocatable devices are unknown, as it was logged.
    logged: Option<RefreshError>,
    /// Device ids of unknown form, and pods that are not understood.
    skipped: Skipped,
    /// How often it was asked.
    looks: u64,
    /// When each use of the last reply was first seen.
    first_seen: HashMap<UseKey, Since>,
}

impl Kubelet {
    fn new(settings: KubeletSettings, deadline: Duration) -> Self {
        Self {
            settings,
            deadline,
            allocatable_deadline: ALLOCATABLE_DEADLINE,
            connection: None,
            allocatable: None,
            next_allocatable: None,
            logged: None,
            skipped: Skipped::new(PartKind::Kubelet),
            looks: 0,
            first_seen: HashMap::new(),
        }
    }

    /// Asks the kubelet.
    fn look(&mut self) -> Result<KubeletPart, RefreshError> {
        let until = Instant::now() + self.deadline;
        let result = self.list(until);
        // The kubelet that answers next may be another one.
        let reply = result.inspect_err(|_| self.next_allocatable = None)?;
        let mut reader = self.reader();
        let mut uses = reader.uses(&reply)?;
        let is_incomplete = reader.is_incomplete;
        self.date(&mut uses);
        if self.next_allocatable.is_none_or(|next| next <= Instant::now()) {
            self.refresh_allocatable(until);
        }
        let skipped = self.skipped.counts();
        Ok(KubeletPart { uses, allocatable: self.allocatable.clone(), is_incomplete, skipped })
    }

    fn reader(&mut self) -> ReplyReader<'_> {
        let (settings, skipped) = (&self.settings, &mut self.skipped);
        ReplyReader { settings, skipped, is_incomplete: false }
    }

    /// Says of each use at which look it was first seen. The kubelet lists pods in any order.
    fn date(&mut self, uses: &mut [PodUse]) {
        self.looks += 1;
        let mut seen = HashMap::with_capacity(uses.len());
        for (place, one) in uses.iter_mut().enumerate() {
            let key = one.key();
            one.since = self.first_seen.get(&key).copied().unwrap_or((self.looks, place));
            seen.insert(key, one.since);
        }
        self.first_seen = seen;
    }

    /// The devices of all containers. A connection is kept as long as its requests succeed.
    fn list(&mut self, until: Instant) -> Result<Message, RefreshError> {
        let kept = self.connection.take();
        let file = SocketFile::find(&self.settings.socket)?;
        if let Some(mut kept) = kept {
            if kept.file == file {
                match kept.list(until) {
                    Ok(reply) => {
                        self.connection = Some(kept);
                        return Ok(reply);
                    }
                    Err(Failure::Refused(error)) => return Err(error),
                    // Closed since the last look.
                    Err(Failure::Broken(_)) => {}
                }
            }
            self.next_allocatable = None;
        }
        let mut new = Connection::open(&self.settings.socket, file, until)?;
        let reply = new.list(until).map_err(Failure::into_error)?;
        self.connection = Some(new);
        Ok(reply)
    }

    /// Asks for the allocatable devices. They are unknown if the kubelet does not say.
    fn refresh_allocatable(&mut self, until: Instant) {
        let Some(mut connection) = self.connection.take() else { return };
        let now = Instant::now();
        let result = connection
            .allocatable(until.min(now + self.allocatable_deadline))
            .map_err(Failure::into_error)
            .and_then(|reply| {
                self.connection = Some(connection);
                self.reader().allocatable(&reply)
            });
        self.next_allocatable = Some(now + ALLOCATABLE_INTERVAL);
        let error = result.as_ref().err().cloned();
        // They rarely change: those of before are better than none.
        if let Ok(allocatable) = result {
            self.allocatable = Some(allocatable);
        }
        if let Some(error) = error.as_ref().filter(|error| self.logged.as_ref() != Some(error)) {
            tracing::warn!("kubelet: the allocatable devices are unknown: {error}");
        }
        self.logged = error;
    }
}
