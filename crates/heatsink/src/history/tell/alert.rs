//! An incident as the JSON that Alertmanager sends to webhooks, version 4.

use std::collections::BTreeMap;

use history::incident::{Confidence, Incident};
use history::sign::{Sign, SignKind};
use history::time::Time;
use jiff::tz::TimeZone;
use model::catalog::xid;
use serde::Serialize;

use super::super::headline::headline;

/// The name of the alert.
const ALERT_NAME: &str = "HeatsinkIncident";

/// Where the runbooks are, as in `monitoring/rules/rules.toml`.
const RUNBOOKS: &str = "file:///usr/share/doc/heatsink/runbooks";

/// The runbook of an incident whose verdict names none.
const RUNBOOK: &str = "GpuIncident";

/// The end of an alert that fires: Go's zero time.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// The label with the time at which an incident began, as it was first told.
const BEGAN: &str = "began";

/// The labels by which receivers group alerts.
const GROUP_BY: [&str; 4] = ["alertname", BEGAN, "incident", "instance"];

/// The labels of an alert. They identify it: the alert that is resolved has those that it fired with.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Labels(BTreeMap<&'static str, String>);

/// Something to tell.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct News {
    /// The incident as it is now.
    pub(super) incident: Incident,
    /// Its labels, the same when it opens and when it is closed: what joins it in between is not in them.
    pub(super) labels: Labels,
    /// When it was over; `None` while it is not.
    pub(super) ended: Option<Time>,
}

/// How news are told.
#[derive(Clone, Debug)]
pub(crate) struct Telling {
    /// The time zone of times of day.
    pub(crate) zone: TimeZone,
    /// Whether the incident is in a folder, from which `heatsink report` can tell it.
    pub(crate) has_folder: bool,
}

/// A message of Alertmanager's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    receiver: &'static str,
    status: &'static str,
    alerts: [Alert; 1],
    group_labels: Labels,
    common_labels: Labels,
    common_annotations: BTreeMap<&'static str, String>,
    /// Where Alertmanager is; nothing here has a page for people at an address that is known.
    #[serde(rename = "externalURL")]
    external_url: &'static str,
    version: &'static str,
    group_key: String,
    truncated_alerts: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    status: &'static str,
    labels: Labels,
    annotations: BTreeMap<&'static str, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'static str,
    fingerprint: String,
}

/// The message, as JSON.
pub(super) fn message(news: &News, telling: &Telling) -> String {
    let News { incident, labels, ended } = news;
    let status = if ended.is_some() { "resolved" } else { "firing" };
    let annotations = annotations(incident, telling);
    let group_labels = labels.only(&GROUP_BY);
    let message = Message {
        receiver: "heatsink",
        status,
        alerts: [Alert {
            status,
            labels: labels.clone(),
            annotations: annotations.clone(),
            // Its beginning may become known better later; the alert is the same.
            starts_at: labels.0.get(BEGAN).cloned().unwrap_or_default(),
            ends_at: match ended {
                Some(time) => rfc3339((*time).max(incident.began)),
                None => NO_TIME.to_owned(),
            },
            generator_url: "",
            fingerprint: labels.fingerprint(),
        }],
        group_key: format!("{{}}:{}", group_labels.to_text()),
        group_labels,
        common_labels: labels.clone(),
        common_annotations: annotations,
        external_url: "",
        version: "4",
        truncated_alerts: 0,
    };
    // Maps of texts cannot fail.
    serde_json::to_string(&message).unwrap_or_default()
}

fn annotations(incident: &Incident, telling: &Telling) -> BTreeMap<&'static str, String> {
    let verdict = &incident.verdict;
    let certainty = match verdict.confidence {
        Confidence::None => None,
        Confidence::Possible => Some("This is possible, and so are other causes.".to_owned()),
        Confidence::Likely => Some("Other causes are unlikely.".to_owned()),
        Confidence::Certain => Some("The hardware or the kernel said so.".to_owned()),
    };
    let gpus: Vec<String> = incident.gpus.iter().map(|gpu| gpu.name()).collect();
    let gpus = (!gpus.is_empty()).then(|| format!("It is about {}.", gpus.join(", ")));
    let holders = incident.holders.iter().map(|(_, holder)| holder.name());
    let mut holders: Vec<String> = holders.collect();
    holders.dedup();
    let holders = (!holders.is_empty()).then(|| format!("In use by {}.", holders.join(", ")));
    let simulated = incident.host.is_simulated().then(|| "This is simulated.".to_owned());
    let more = telling
        .has_folder
        .then(|| format!("`heatsink report {}` on this machine tells the rest.", incident.number));
    let sentences = simulated
        .into_iter()
        .chain(gpus)
        .chain(holders)
        .chain(verdict.evidence.iter().cloned())
        .chain(certainty)
        .chain(verdict.actions.iter().cloned())
        .chain(more);
    let runbook = verdict.runbook.as_deref().unwrap_or(RUNBOOK);
    BTreeMap::from([
        ("summary", headline(incident, &telling.zone)),
        ("description", sentences.collect::<Vec<_>>().join(" ")),
        ("runbook_url", format!("{RUNBOOKS}/{runbook}.md")),
    ])
}

/// The XID of a memory error that stayed within one application: that one is over, and the memory is faulty.
const CONTAINED: u32 = 94;

/// `critical` for what costs a GPU, as for the alerts in `monitoring/rules`.
fn severity(incident: &Incident) -> &'static str {
    let costs_gpu = |sign: &Sign| match sign.kind {
        SignKind::GpuLost
        | SignKind::GpuHung
        | SignKind::GpuMissing
        | SignKind::EccUncorrected
        | SignKind::PowerBrake => true,
        _ => sign.xid.is_some_and(|code| {
            code == CONTAINED || xid::severity(code) == xid::Severity::Critical
        }),
    };
    let mut triggers = incident.signs.iter().filter(|sign| sign.is_trigger);
    // The GPU that failed before may be in another incident.
    let is_critical = triggers.any(costs_gpu) || incident.verdict.name == "gpu_failed_before";
    if is_critical { "critical" } else { "warning" }
}

/// A time as RFC 3339 in UTC; one that no calendar has as 1970.
pub(super) fn rfc3339(time: Time) -> String {
    jiff::Timestamp::from_millisecond(time.0).unwrap_or_default().to_string()
}

impl Labels {
    /// The labels of an incident as it is now. `gpu` and `UUID` are those of its only GPU: one fault is one
    /// alert, whatever the number of GPUs. `began` is there because numbers begin at 1 again with each run that has
    /// no folder.
    pub(super) fn of(incident: &Incident) -> Self {
        let hostname = incident.host.hostname.clone().filter(|name| !name.is_empty());
        let only = match &*incident.gpus {
            [gpu] => Some(gpu),
            _ => None,
        };
        let labels = [
            ("alertname", Some(ALERT_NAME.to_owned())),
            (BEGAN, Some(rfc3339(incident.began))),
            ("incident", Some(incident.number.to_string())),
            ("kind", Some(incident.kind.as_str().to_owned())),
            ("severity", Some(severity(incident).to_owned())),
            ("instance", hostname.clone()),
            ("hostname", hostname),
            ("gpu", only.and_then(|gpu| gpu.index).map(|index| index.to_string())),
            ("UUID", only.and_then(|gpu| gpu.uuid.clone())),
        ];
        Self(labels.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }

    fn only(&self, names: &[&str]) -> Self {
        let labels = self.0.iter().filter(|(name, _)| names.contains(name));
        Self(labels.map(|(name, value)| (*name, value.clone())).collect())
    }

    /// `{a="b", c="d"}`.
    fn to_text(&self) -> String {
        let labels = self.0.iter().map(|(name, value)| format!("{name}={value:?}"));
        format!("{{{}}}", labels.collect::<Vec<_>>().join(", "))
    }

    /// Prometheus' hash of labels: 64 bits of FNV-1a over names and values, each followed by 0xff.
    fn fingerprint(&self) -> String {
        const OFFSET: u64 = 14_695_981_039_346_656_037;
        const PRIME: u64 = 1_099_511_628_211;
        let texts = self.0.iter().flat_map(|(name, value)| [*name, value.as_str()]);
        let bytes = texts.flat_map(|text| text.bytes().chain([0xff]));
        let hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
        format!("{hash:016x}")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use expect_test::expect;
    use history::event::HolderInfo;
    use history::layout::GpuInfo;
    use serde_json::Value;

    use super::super::super::headline::tests::fallen;
    use super::super::webhook::tests::serve;
    use super::*;

    /// An open incident of GPU 3.
    pub(in super::super) fn incident(number: u64) -> Incident {
        let mut incident = fallen(number, vec![HolderInfo::Job { id: "4711".to_owned() }]);
        incident.verdict.evidence = vec!["The driver said \"fallen off the bus\".".to_owned()];
        incident.verdict.actions = vec!["Restart the machine.".to_owned()];
        incident
    }

    pub(in super::super) fn news(number: u64, is_closed: bool) -> News {
        let incident = Incident { is_closed, ..incident(number) };
        let ended = is_closed.then_some(incident.window.to);
        News { labels: Labels::of(&incident), incident, ended }
    }

    pub(in super::super) fn telling() -> Telling {
        Telling { zone: TimeZone::UTC, has_folder: true }
    }

    fn parsed(news: &News) -> Value {
        serde_json::from_str(&message(news, &telling())).expect("JSON")
    }

    #[test]
    fn an_incident_is_an_alert_that_fires() {
        let text = serde_json::to_string_pretty(&parsed(&news(17, false))).unwrap();
        expect![[r#"
            {
              "alerts": [
                {
                  "annotations": {
                    "description": "It is about GPU 3. In use by job 4711. The driver said \"fallen off the bus\". The hardware or the kernel said so. Restart the machine. `heatsink report 17` on this machine tells the rest.",
                    "runbook_url": "file:///usr/share/doc/heatsink/runbooks/GpuDown.md",
                    "summary": "GPU 3 fell off the bus (XID 79), at 03:12:44 UTC"
                  },
                  "endsAt": "0001-01-01T00:00:00Z",
                  "fingerprint": "61e23d1712463e59",
                  "generatorURL": "",
                  "labels": {
                    "UUID": "GPU-3",
                    "alertname": "HeatsinkIncident",
                    "began": "2026-11-30T03:12:44.5Z",
                    "gpu": "3",
                    "hostname": "gpu-node-1",
                    "incident": "17",
                    "instance": "gpu-node-1",
                    "kind": "xid",
                    "severity": "critical"
                  },
                  "startsAt": "2026-11-30T03:12:44.5Z",
                  "status": "firing"
                }
              ],
              "commonAnnotations": {
                "description": "It is about GPU 3. In use by job 4711. The driver said \"fallen off the bus\". The hardware or the kernel said so. Restart the machine. `heatsink report 17` on this machine tells the rest.",
                "runbook_url": "file:///usr/share/doc/heatsink/runbooks/GpuDown.md",
                "summary": "GPU 3 fell off the bus (XID 79), at 03:12:44 UTC"
              },
              "commonLabels": {
                "UUID": "GPU-3",
                "alertname": "HeatsinkIncident",
                "began": "2026-11-30T03:12:44.5Z",
                "gpu": "3",
                "hostname": "gpu-node-1",
                "incident": "17",
                "instance": "gpu-node-1",
                "kind": "xid",
                "severity": "critical"
              },
              "externalURL": "",
              "groupKey": "{}:{alertname=\"HeatsinkIncident\", began=\"2026-11-30T03:12:44.5Z\", incident=\"17\", instance=\"gpu-node-1\"}",
              "groupLabels": {
                "alertname": "HeatsinkIncident",
                "began": "2026-11-30T03:12:44.5Z",
                "incident": "17",
                "instance": "gpu-node-1"
              },
              "receiver": "heatsink",
              "status": "firing",
              "truncatedAlerts": 0,
              "version": "4"
            }"#]]
        .assert_eq(&text);
    }

    #[test]
    fn a_closed_incident_is_the_same_alert_resolved() {
        let mut over = news(17, true);
        over.incident.began = over.incident.began.before(Duration::from_secs(60));
        let (fires, ends) = (parsed(&news(17, false)), parsed(&over));
        assert_eq!(ends["status"], "resolved");
        let (before, after) = (&fires["alerts"][0], &ends["alerts"][0]);
        assert_eq!(after["status"], "resolved");
        assert_eq!(after["endsAt"], "2026-11-30T03:14:44.5Z");
        for same in ["fingerprint", "labels", "startsAt"] {
            assert_eq!(before[same], after[same]);
        }
        assert_eq!(fires["groupKey"], ends["groupKey"]);
        assert_ne!(fires["groupKey"], parsed(&news(18, false))["groupKey"]);
    }

    #[test]
    fn the_same_number_of_a_later_run_is_another_alert() {
        let mut later = incident(17);
        later.began.0 += 86_400_000;
        let later = News { labels: Labels::of(&later), incident: later, ended: None };
        let (one, other) = (parsed(&news(17, false)), parsed(&later));
        assert_ne!(one["groupKey"], other["groupKey"]);
        assert_ne!(one["alerts"][0]["fingerprint"], other["alerts"][0]["fingerprint"]);
    }

    #[test]
    fn without_a_folder_no_report_is_promised() {
        let telling = Telling { has_folder: false, ..telling() };
        let text = message(&news(17, false), &telling);
        assert!(!text.contains("heatsink report"), "{text}");
    }

    #[test]
    fn several_gpus_and_none_have_no_label_of_a_gpu() {
        let mut several = incident(1);
        several.gpus.push(GpuInfo { index: Some(4), ..GpuInfo::default() });
        let mut nameless = incident(1);
        nameless.gpus.clear();
        nameless.host.hostname = None;
        for (incident, labels) in [(several, 7), (nameless, 5)] {
            let labels_of = Labels::of(&incident);
            assert!(!labels_of.0.contains_key("gpu") && !labels_of.0.contains_key("UUID"));
            assert_eq!(labels_of.0.len(), labels);
        }
    }

    #[test]
    fn an_alert_is_critical_if_a_gpu_fails() {
        let of = |kind, code: Option<u32>, is_trigger| {
            let mut incident = incident(1);
            let sign = Sign { kind, xid: code, is_trigger, ..incident.signs[0].clone() };
            incident.signs = vec![sign];
            Labels::of(&incident).0["severity"].clone()
        };
        for code in [48, 62, 74, 79, 94, 95, 119, 171] {
            assert_eq!(of(SignKind::Xid, Some(code), true), "critical", "{code}");
            assert_eq!(of(SignKind::Xid, Some(code), false), "warning", "{code}");
        }
        for code in [13, 31, 43, 45, 61, 9999] {
            assert_eq!(of(SignKind::Xid, Some(code), true), "warning", "{code}");
        }
        for kind in SignKind::TRIGGERS.into_iter().filter(|kind| *kind != SignKind::Xid) {
            let is_critical = [
                SignKind::GpuLost,
                SignKind::GpuHung,
                SignKind::GpuMissing,
                SignKind::EccUncorrected,
                SignKind::PowerBrake,
            ];
            let expected = if is_critical.contains(&kind) { "critical" } else { "warning" };
            assert_eq!(of(kind, None, true), expected, "{kind:?}");
        }
        let mut silent = incident(1);
        silent.signs.clear();
        silent.verdict.name = "gpu_failed_before".to_owned();
        assert_eq!(severity(&silent), "critical");
    }

    #[test]
    fn a_time_beyond_the_calendar_does_not_panic() {
        assert_eq!(rfc3339(Time(i64::MAX)), "1970-01-01T00:00:00Z");
    }

    /// All keys with the types of their values: `alerts[].labels string`.
    fn keys(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            // Labels and annotations are anybody's.
            Value::Object(_) if path.ends_with("abels") || path.ends_with("nnotations") => {
                found.push(format!("{path} map"));
            }
            Value::Object(object) => {
                for (key, value) in object {
                    keys(value, &format!("{path}.{key}"), found);
                }
            }
            Value::Array(items) => {
                for item in items {
                    keys(item, &format!("{path}[]"), found);
                }
            }
            Value::String(_) => found.push(format!("{path} string")),
            Value::Number(_) => found.push(format!("{path} number")),
            Value::Bool(_) => found.push(format!("{path} boolean")),
            Value::Null => found.push(format!("{path} null")),
        }
    }

    /// Alertmanager gets an alert with the same labels, and sends it to a webhook: first as one that fires,
    /// then as one that is resolved.
    #[test]
    fn the_message_is_what_alertmanager_sends() {
        let (took, taken) = channel();
        let url = serve(None, move |request| {
            let _ = took.send(request.body);
            "200 OK".to_owned()
        });
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("alertmanager.yml");
        let text = format!(
            "route: {{ receiver: heatsink, group_by: [alertname, began, incident, instance], \
             group_wait: 10ms, group_interval: 10ms }}\n\
             receivers: [{{ name: heatsink, webhook_configs: [{{ url: '{url}' }}] }}]\n"
        );
        std::fs::write(&config, text).unwrap();
        let address = testkit::server::free_address();
        let server = testkit::server::alertmanager(&address, Path::new(&config), folder.path());
        for is_closed in [false, true] {
            let mut news = news(17, is_closed);
            // Alertmanager takes no alert that ended long ago.
            let now = Time::of(std::time::SystemTime::now());
            news.incident.began = Time(now.0 - 60_000);
            news.ended = is_closed.then_some(now);
            let ours = parsed(&news);
            let mut alert = ours["alerts"][0].clone();
            let alert = alert.as_object_mut().unwrap();
            alert.retain(|key, _| {
                ["labels", "annotations", "startsAt", "generatorURL"].contains(&key.as_str())
                    || key == "endsAt" && is_closed
            });
            let posted = ureq::post(format!("{}/api/v2/alerts", server.url()))
                .header("Content-Type", "application/json")
                .send(serde_json::to_string(&[alert]).unwrap());
            posted.expect("Alertmanager takes the alert");
            let theirs = loop {
                let theirs: Value = serde_json::from_str(&taken.recv().unwrap()).unwrap();
                if theirs["status"] == ours["status"] {
                    break theirs;
                }
            };
            let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
            keys(&ours, "", &mut of_ours);
            keys(&theirs, "", &mut of_theirs);
            assert_eq!(of_ours, of_theirs);
            for same in ["version", "receiver", "groupKey", "groupLabels", "commonLabels"] {
                assert_eq!(ours[same], theirs[same], "{same}");
            }
            for same in ["fingerprint", "labels", "annotations", "status"] {
                assert_eq!(ours["alerts"][0][same], theirs["alerts"][0][same], "{same}");
            }
            if !is_closed {
                assert_eq!(ours["alerts"][0]["endsAt"], theirs["alerts"][0]["endsAt"]);
            }
        }
    }
}
