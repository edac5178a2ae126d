//! Events on the pods that hold a GPU of an incident, so that `kubectl describe pod` says what happened.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use attribution::{ApiServer, PodEvent, create_pod_event};
use history::event::HolderInfo;
use history::incident::Incident;
use history::report::Mention;
use jiff::tz::TimeZone;

use super::headline::headline;
use super::tell::Telling;
use crate::cli::Args;
use crate::{flags, holders};

/// How long an incident is left to settle: what belongs to it comes within five seconds.
const SETTLES: Duration = Duration::from_secs(10);

/// The most incidents that wait. Further ones get no Event.
const MAX_WAITING: usize = 32;

/// The most Events that are known to be written. An incident is told of for an hour or more, in which at most 128
/// begin.
const MAX_WRITTEN: usize = 4096;

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
    telling: Telling,
    incidents: Mutex<Option<SyncSender<Incident>>>,
    settles: Duration,
}

impl PodEvents {
    /// A writer. Its Events name `heatsink report` if there is a folder, from which it can tell.
    pub(crate) fn new(settings: PodEventSettings, has_folder: bool) -> Self {
        let telling = Telling { zone: TimeZone::system(), has_folder };
        if settings.server.url.is_empty() {
            tracing::warn!(
                "KUBERNETES_SERVICE_HOST is not set, so no Events are written: they need a pod"
            );
        } else if settings.server.node_name.is_empty() {
            tracing::warn!("NODE_NAME is not set, so Events on pods do not name this node");
        }
        Self { settings, telling, incidents: Mutex::default(), settles: SETTLES }
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
            let telling = self.telling.clone();
            let run = move || write_all(&server, &telling, settles, &receive);
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

/// An Event that was written: the number of its incident, and the namespace and name of its pod.
type Written = (u64, String, String);

/// Writes an Event for each pod of an incident once, when the incident has settled: for one whose GPU joins it later,
/// as long after that.
fn write_all(
    server: &ApiServer,
    telling: &Telling,
    settles: Duration,
    incidents: &Receiver<Incident>,
) {
    let mut waiting: Waiting = BTreeMap::new();
    let mut written: VecDeque<Written> = VecDeque::new();
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
            if events(&incident, telling).iter().any(|event| !written.contains(&key(event))) {
                let due = waiting.get(&number).map(|(due, _)| *due);
                waiting.insert(number, (due.unwrap_or_else(|| Instant::now() + settles), incident));
            }
        }
        let now = Instant::now();
        let (due, later): (Waiting, Waiting) =
            waiting.into_iter().partition(|(_, (due, _))| *due <= now);
        waiting = later;
        for (_, (_, incident)) in due {
            for event in events(&incident, telling) {
                if written.contains(&key(&event)) {
                    continue;
                }
                written.push_back(key(&event));
                if written.len() > MAX_WRITTEN {
                    written.pop_front();
                }
                if let Err(error) = create_pod_event(server, &event) {
                    tracing::warn!("{error}");
                }
            }
        }
    }
}

fn key(event: &PodEvent) -> Written {
    (event.number, event.namespace.clone(), event.pod.clone())
}

/// Added where an application failed. Who has which instance or share of a GPU is not in the incident.
const SHARED: &str = "; other pods use the same GPU, and it may be an application of theirs";

/// An Event for each pod of an incident.
fn events(incident: &Incident, telling: &Telling) -> Vec<PodEvent> {
    let node = incident.host.hostname.as_deref().unwrap_or("this node");
    let simulated = if incident.host.is_simulated() { "simulated: " } else { "" };
    let mut message = format!("{simulated}{}", headline(incident, &telling.zone));
    if telling.has_folder {
        let number = incident.number;
        message += &format!("; see `heatsink report {number}` in heatsink's pod on {node}");
    }
    let pods_of_gpus: BTreeSet<_> = incident
        .holders
        .iter()
        .filter_map(|(gpu, holder)| match holder {
            HolderInfo::Pod { namespace, pod, .. } => Some((gpu, namespace, pod)),
            HolderInfo::Job { .. } => None,
        })
        .collect();
    let is_shared = |gpu| pods_of_gpus.iter().filter(|(other, ..)| *other == gpu).count() > 1;
    let is_of_application = incident.verdict.name.starts_with("application_");
    let mut pods = BTreeSet::new();
    let events = incident.holders.iter().filter_map(|(gpu, holder)| match holder {
        HolderInfo::Pod { namespace, pod, uid, .. } => {
            pods.insert((namespace, pod)).then(|| PodEvent {
                namespace: namespace.clone(),
                pod: pod.clone(),
                uid: uid.clone(),
                reason: REASON.to_owned(),
                message: match is_of_application && is_shared(gpu) {
                    true => format!("{message}{SHARED}"),
                    false => message.clone(),
                },
                time: Mention::of(incident).moment.to_system(),
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

    use super::super::headline::tests::fallen;
    use super::*;

    fn pod(name: &str, container: &str) -> HolderInfo {
        HolderInfo::Pod {
            namespace: "ml".to_owned(),
            pod: name.to_owned(),
            container: container.to_owned(),
            uid: Some(format!("uid-of-{name}")),
        }
    }

    fn incident(number: u64) -> Incident {
        fallen(number, vec![pod("a-0", "trainer"), pod("a-0", "sidecar"), pod("a-1", "trainer")])
    }

    fn telling(has_folder: bool) -> Telling {
        Telling { zone: TimeZone::UTC, has_folder }
    }

    #[test]
    fn without_a_folder_no_report_is_promised() {
        let message = |has_folder| events(&incident(17), &telling(has_folder)).remove(0).message;
        let (with, without) = (message(true), message(false));
        assert_eq!(
            with,
            format!("{without}; see `heatsink report 17` in heatsink's pod on gpu-node-1")
        );
        assert!(without.ends_with("(XID 79), at 03:12:44 UTC"), "{without}");
    }

    #[test]
    fn of_an_application_on_a_shared_gpu_it_is_not_said_whose_it_is() {
        let is_in_doubt = |verdict: &str, holders: Vec<(usize, HolderInfo)>| {
            let mut incident = Incident { holders, ..incident(17) };
            incident.verdict.name = verdict.to_owned();
            let events = events(&incident, &telling(true));
            events.iter().map(|event| event.message.ends_with(SHARED)).collect::<Vec<_>>()
        };
        let shared = vec![(0, pod("a", "x")), (0, pod("b", "x")), (1, pod("c", "x"))];
        assert_eq!(is_in_doubt("application_fault", shared.clone()), [true, true, false]);
        assert_eq!(is_in_doubt("off_bus", shared), [false; 3]);
        let own = vec![(0, pod("a", "x")), (0, pod("a", "y")), (1, pod("b", "x"))];
        assert_eq!(is_in_doubt("application_fault", own), [false; 2]);
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
        let pod_events = PodEvents::new(settings.clone(), true);
        pod_events.tell(&Incident { holders: Vec::new(), ..incident(16) });
        assert!(pod_events.incidents.lock().unwrap().is_none(), "no thread without pods");
        let (send, receive) = sync_channel(MAX_WAITING);
        let mut early = incident(17);
        early.verdict.cause = "An application was ended.".to_owned();
        for incident in [early, incident(17), incident(18)] {
            send.send(incident).expect("there is room");
        }
        let late = send.clone();
        drop(send);
        thread::scope(|scope| {
            let (server_of_pods, telling) = (&settings.server, telling(true));
            scope.spawn(move || write_all(server_of_pods, &telling, Duration::ZERO, &receive));
            server.wait_until("four Events", |server| server.objects("events").len() == 4);
            // Of an incident that was told, nothing more is told.
            let told_again = |number| {
                let mut told = incident(number);
                told.verdict.cause = "Something else.".to_owned();
                told
            };
            late.send(told_again(18)).expect("it is received");
            // A GPU may join it later, and with it a pod.
            let mut joined = told_again(18);
            joined.holders.push((1, pod("a-3", "trainer")));
            late.send(joined).expect("it is received");
            // The pod of an earlier one may be known later.
            late.send(fallen(16, vec![pod("a-2", "trainer")])).expect("it is received");
            server.wait_until("two more Events", |server| server.objects("events").len() == 6);
            drop(late);
        });
        let mut told: Vec<(String, String)> = Vec::new();
        for event in server.objects("events") {
            let text = |pointer| event.pointer(pointer).unwrap().as_str().unwrap().to_owned();
            told.push((text("/involvedObject/uid"), text("/message")));
        }
        told.sort();
        let zone = TimeZone::UTC;
        let message = |number| {
            let headline = headline(&incident(number), &zone);
            format!("{headline}; see `heatsink report {number}` in heatsink's pod on gpu-node-1")
        };
        let of = |pod: &str, number| (format!("uid-of-{pod}"), message(number));
        let (of_late, text) = told.pop().expect("that of the pod that joined it");
        assert_eq!(of_late, "uid-of-a-3");
        assert!(text.starts_with("Something else "), "{text}");
        let all = [of("a-0", 17), of("a-0", 18), of("a-1", 17), of("a-1", 18), of("a-2", 16)];
        assert_eq!(told, all);
    }
}
