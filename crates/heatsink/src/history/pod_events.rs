//! Events on the pods that hold a GPU of an incident, so that `kubectl describe pod` says what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use attribution::{ApiServer, PodEvent, create_pod_event};
use history::event::HolderInfo;
use history::incident::Incident;

use crate::cli::Args;
use crate::{flags, holders};

/// How long an incident is left to settle: what belongs to it comes within five seconds.
const SETTLES: Duration = Duration::from_secs(10);

/// The most incidents that wait. Further ones get no Event.
const MAX_WAITING: usize = 32;

/// The reason of the Events.
const REASON: &str = "GpuIncident";

/// Where Events are written.
#[derive(Clone, Debug)]
pub(crate) struct PodEventSettings {
    server: ApiServer,
}

impl PodEventSettings {
    /// Reads the settings; `None` if no Events are written.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub(crate) fn read(args: &Args) -> Result<Option<Self>> {
        let is_on = args.get(&flags::POD_EVENTS)?;
        let server = is_on.then(|| holders::api_server(args)).transpose()?;
        Ok(server.map(|server| Self { server }))
    }
}

/// Writes Events on a thread of its own, from the first incident on.
pub(crate) struct PodEvents {
    settings: PodEventSettings,
    incidents: Mutex<Option<SyncSender<Incident>>>,
    settles: Duration,
}

impl PodEvents {
    /// A writer.
    pub(crate) fn new(settings: PodEventSettings) -> Self {
        Self { settings, incidents: Mutex::default(), settles: SETTLES }
    }

    /// Takes the newest state of an incident. Waits for nothing.
    pub(crate) fn tell(&self, incident: &Incident) {
        let has_pod = |(_, holder): &(_, _)| matches!(holder, HolderInfo::Pod { .. });
        if !incident.holders.iter().any(has_pod) {
            return;
        }
        let mut incidents = self.incidents.lock().unwrap_or_else(PoisonError::into_inner);
        if incidents.is_none() {
            let (send, receive) = sync_channel(MAX_WAITING);
            let (server, settles) = (self.settings.server.clone(), self.settles);
            let run = move || write_all(&server, settles, &receive);
            match thread::Builder::new().name("pod events".to_owned()).spawn(run) {
                Ok(_) => *incidents = Some(send),
                Err(error) => tracing::warn!("no thread to write Events on pods: {error}"),
            }
        }
        if let Some(send) = &*incidents
            && send.try_send(incident.clone()).is_err()
        {
            tracing::warn!("incident {} gets no Events: the API server is slow", incident.number);
        }
    }
}

/// Incidents by number, each with the moment from which it is told.
type Waiting = BTreeMap<u64, (Instant, Incident)>;

/// Writes the Events of each incident once, when it has settled.
fn write_all(server: &ApiServer, settles: Duration, incidents: &Receiver<Incident>) {
    let mut waiting: Waiting = BTreeMap::new();
    let mut last_written = 0;
    loop {
        let next = waiting.values().map(|(due, _)| *due).min();
        let pause = next.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()));
        let first = match incidents.recv_timeout(pause) {
            Ok(incident) => Some(incident),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) if waiting.is_empty() => return,
            Err(RecvTimeoutError::Disconnected) => {
                thread::sleep(pause);
                None
            }
        };
        for incident in first.into_iter().chain(incidents.try_iter()) {
            let number = incident.number;
            if number > last_written {
                let due = waiting.get(&number).map(|(due, _)| *due);
                waiting.insert(number, (due.unwrap_or_else(|| Instant::now() + settles), incident));
            }
        }
        let now = Instant::now();
        let (due, later): (Waiting, Waiting) =
            waiting.into_iter().partition(|(_, (due, _))| *due <= now);
        waiting = later;
        for (number, (_, incident)) in due {
            last_written = last_written.max(number);
            for event in events(&incident) {
                if let Err(error) = create_pod_event(server, &event) {
                    tracing::warn!("{error}");
                }
            }
        }
    }
}

/// An Event for each pod of an incident.
fn events(incident: &Incident) -> Vec<PodEvent> {
    let node = incident.host.hostname.as_deref().unwrap_or("this node");
    let cause = incident.verdict.cause.trim_end_matches('.');
    let simulated = if incident.host.is_simulated() { "simulated: " } else { "" };
    let message =
        format!("{simulated}{cause}; see `heatsink report {}` on {node}", incident.number);
    let mut pods = BTreeSet::new();
    let events = incident.holders.iter().filter_map(|(_, holder)| match holder {
        HolderInfo::Pod { namespace, pod, uid, .. } => {
            pods.insert((namespace, pod)).then(|| PodEvent {
                namespace: namespace.clone(),
                pod: pod.clone(),
                uid: uid.clone(),
                reason: REASON.to_owned(),
                message: message.clone(),
                time: incident.began.to_system(),
                number: incident.number,
            })
        }
        HolderInfo::Job { .. } => None,
    });
    events.collect()
}

#[cfg(test)]
mod tests {
    use fake_kubernetes::api_server::ApiServer as Server;
    use history::incident::{Confidence, Verdict};
    use history::layout::HostInfo;
    use history::sign::SignKind;
    use history::time::{Range, Time};

    use super::*;

    fn pod(name: &str, container: &str) -> (usize, HolderInfo) {
        let pod = HolderInfo::Pod {
            namespace: "ml".to_owned(),
            pod: name.to_owned(),
            container: container.to_owned(),
            uid: Some(format!("uid-of-{name}")),
        };
        (0, pod)
    }

    fn incident(number: u64, cause: &str) -> Incident {
        Incident {
            number,
            kind: SignKind::Xid,
            began: Time(1_700_000_000_123),
            last: Time(1_700_000_000_123),
            window: Range::ALL,
            is_closed: false,
            host: HostInfo { hostname: Some("gpu-node-1".to_owned()), ..HostInfo::default() },
            gpus: Vec::new(),
            holders: vec![pod("a-0", "trainer"), pod("a-0", "sidecar"), pod("a-1", "trainer")],
            signs: Vec::new(),
            events: Vec::new(),
            verdict: Verdict {
                name: "off_bus".to_owned(),
                cause: cause.to_owned(),
                evidence: Vec::new(),
                actions: Vec::new(),
                confidence: Confidence::Certain,
                runbook: None,
            },
        }
    }

    #[test]
    fn each_pod_gets_one_event_with_the_cause_that_is_known_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        let settings = PodEventSettings {
            server: ApiServer {
                url: server.url(),
                service_account: server.service_account().to_owned(),
                node_name: "gpu-node-1".to_owned(),
            },
        };
        let pod_events = PodEvents::new(settings.clone());
        pod_events.tell(&Incident { holders: Vec::new(), ..incident(16, "There is no pod.") });
        assert!(pod_events.incidents.lock().unwrap().is_none(), "no thread without pods");
        let cause = "GPU 3 fell off the bus (XID 79) at 03:12:44.";
        let (send, receive) = sync_channel(MAX_WAITING);
        for (number, cause) in
            [(17, "An application was ended (XID 45)."), (17, cause), (18, cause)]
        {
            send.send(incident(number, cause)).expect("there is room");
        }
        let late = send.clone();
        drop(send);
        thread::scope(|scope| {
            let server_of_pods = &settings.server;
            scope.spawn(move || write_all(server_of_pods, Duration::ZERO, &receive));
            server.wait_until("four Events", |server| server.objects("events").len() == 4);
            // Of an incident that was told, nothing more is told.
            late.send(incident(18, "Something else.")).expect("it is received");
            drop(late);
        });
        let mut told: Vec<(String, String)> = Vec::new();
        for event in server.objects("events") {
            let text = |pointer| event.pointer(pointer).unwrap().as_str().unwrap().to_owned();
            told.push((text("/involvedObject/uid"), text("/message")));
        }
        told.sort();
        let message = |number| {
            let cause = "GPU 3 fell off the bus (XID 79) at 03:12:44";
            format!("{cause}; see `heatsink report {number}` on gpu-node-1")
        };
        let of = |pod: &str, number| (format!("uid-of-{pod}"), message(number));
        assert_eq!(told, [of("a-0", 17), of("a-0", 18), of("a-1", 17), of("a-1", 18)]);
    }
}
