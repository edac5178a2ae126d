//! The whole chain: exporter, Prometheus, rules, Alertmanager, and a receiver of messages.
//!
//! Simulated time passes ten times as fast as real time, and all durations in the rules are sixty times
//! shorter. So six hours take six minutes.

mod rig;

use std::collections::BTreeMap;
use std::time::Duration;

use monitoring::expand::Names;
use rig::{Exporter, PATIENCE, Watched, wait_for};

const SPEED: &str = "10";
const TIME_SCALE: f64 = 60.0;

/// All messages of the story: the alert with its GPU, its receiver, and its statuses in order.
#[rustfmt::skip]
const STORY: &[(&str, &str, &[&str])] = &[
    // It overheats: a warning, and a critical alert when the hardware halves its clocks.
    ("GpuTemperatureHigh 2",    "team",    &["firing", "resolved"]),
    ("GpuHardwareSlowdown 2",   "on-call", &["firing", "resolved"]),
    // Its process leaks memory, until it ends.
    ("GpuMemoryFillingUp 4",    "team",    &["firing", "resolved"]),
    // Its memory has more and more corrected errors, until one cannot be corrected.
    ("GpuEccCorrectableRate 5", "team",    &["firing", "resolved"]),
    // Its memory has an error that cannot be corrected, and it is never reset.
    ("GpuEccUncorrectable 5",   "on-call", &["firing"]),
    // It falls off the bus and comes back.
    ("GpuDown 7",               "on-call", &["firing", "resolved"]),
];

/// Of the node, with the kind of each incident that no other alert explains: when it is sent depends on the
/// others.
const INCIDENT: &str = "GpuIncident";

/// The messages so far, in the form of [`STORY`], without repeated statuses and without those of
/// [`INCIDENT`].
fn messages_by_alert(watched: &Watched) -> BTreeMap<(String, String), Vec<String>> {
    let mut messages: BTreeMap<_, Vec<String>> = BTreeMap::new();
    let messages_of_gpus = watched.webhook.messages().into_iter();
    for message in messages_of_gpus.filter(|message| !message.alert().starts_with(INCIDENT)) {
        let statuses = messages.entry((message.alert(), message.receiver)).or_default();
        if statuses.last() != Some(&message.status) {
            statuses.push(message.status);
        }
    }
    messages
}

/// Waits until all messages of the demo's story have arrived, and then checks that there are no others.
fn watch_the_story(host: &str, args: &[&str], names: Names) -> Watched {
    let expected: BTreeMap<(String, String), Vec<String>> = STORY
        .iter()
        .map(|&(alert, receiver, statuses)| {
            (
                (alert.to_owned(), receiver.to_owned()),
                statuses.iter().map(|&s| s.to_owned()).collect(),
            )
        })
        .collect();
    let watch = || {
        let exporter = Exporter::start(host, &[&["demo", "--speed", SPEED], args].concat());
        let watched = Watched::start(&[&exporter], names, TIME_SCALE);
        let is_complete = || {
            let messages = messages_by_alert(&watched);
            expected.iter().all(|(alert, statuses)| messages.get(alert) == Some(statuses))
        };
        while !is_complete() && watched.webhook.elapsed() < Duration::from_secs(150) {
            std::thread::sleep(Duration::from_millis(100));
        }
        // Three group intervals of Alertmanager.
        std::thread::sleep(Duration::from_secs(15));
        watched
    };
    let mut watched = watch();
    // On a busy machine a scrape of a quarter of a second fails, and alerts end and begin again.
    for _ in 0..2 {
        let failed = watched.client().query("min_over_time(up[10m]) == 0", None);
        if messages_by_alert(&watched) == expected || failed.expect("an answer").is_empty() {
            break;
        }
        println!("a scrape has failed, so once more:\n{}", watched.webhook.story());
        watched = watch();
    }
    assert_eq!(messages_by_alert(&watched), expected, "{}", watched.webhook.story());
    watched
}

#[test]
fn alerts_of_the_demo_reach_their_receivers() {
    let watched = watch_the_story("127.0.0.11", &[], Names::V4_8);
    let messages = watched.webhook.messages();
    let story = watched.webhook.story();
    println!("{story}");
    for message in &messages {
        let text = message.annotations.to_string();
        assert!(!text.contains("error expanding") && !text.contains("<no value>"), "{text}");
        assert!(text.contains("/runbooks/"), "{text}");
        // Grouped by node, without its port: one message for all alerts of a node.
        assert_eq!(message.group["instance"], "127.0.0.11", "{story}");
        assert_ne!(message.labels["severity"], "info", "{story}");
    }
    assert!(messages.iter().any(|message| message.alert().starts_with(INCIDENT)), "{story}");
    // The message in the README.
    assert_eq!(messages[0].alert(), "GpuTemperatureHigh 2", "{story}");
    let summary = |alert: &str| {
        let found = messages.iter().find(|message| message.alert() == alert);
        found.map(|message| message.annotations["summary"].clone()).expect("it was sent")
    };
    assert_eq!(summary("GpuDown 7"), "GPU 7 of 127.0.0.11 does not answer: lost");
    assert_eq!(
        summary("GpuEccUncorrectable 5"),
        "Uncorrectable memory errors on GPU 5 of 127.0.0.11: 1; \
         the driver requests a drain and a reset"
    );
}

/// Healthy machines, idle and busy, for hours of scaled time: no message is sent.
#[test]
fn no_alert_is_sent_for_healthy_machines() {
    let sim = |host, scenario| {
        let scenario = ["--source", "sim", "--speed", SPEED, "--sim-scenario", scenario];
        let rows = ["--extra-collectors", "monitoring"];
        Exporter::start(host, &[&scenario[..], &rows].concat())
    };
    let (busy, idle) = (sim("127.0.0.21", "steady"), sim("127.0.0.22", "idle"));
    let watched = Watched::start(&[&busy, &idle], Names::V4_8, TIME_SCALE);
    wait_for("rules are evaluated", PATIENCE, || {
        watched.firing().contains(&"HeatsinkSimulated ".to_owned())
    });
    // An hour and a half in the rules' time.
    while watched.webhook.elapsed() < Duration::from_secs(90) {
        let mut firing = watched.firing();
        firing.retain(|alert| !alert.starts_with("HeatsinkSimulated"));
        // A busy GPU at its power limit is healthy; this alert is information only.
        firing.retain(|alert| !alert.starts_with("GpuPowerCapped"));
        assert_eq!(firing, Vec::<String>::new());
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(watched.webhook.story(), "");
}

/// The same with the names of 4.9.
#[test]
fn alerts_of_the_demo_are_the_same_with_the_names_of_4_9() {
    watch_the_story("127.0.0.12", &["--metric-names", "4.9"], Names::V4_9);
}

/// Rules for other names than those that are served: one alert reports it, and no other fires.
#[test]
fn rules_of_another_generation_fire_heatsink_metric_names() {
    let exporter = Exporter::start("127.0.0.31", &["demo", "--speed", SPEED]);
    let watched = Watched::start(&[&exporter], Names::V4_9, TIME_SCALE);
    wait_for("the names are missed", 2 * PATIENCE, || {
        watched.firing().contains(&"HeatsinkMetricNames ".to_owned())
    });
    let firing = watched.firing();
    let about_temperature = firing.iter().filter(|alert| alert.contains("Temperature"));
    assert_eq!(about_temperature.count(), 0, "{firing:?}");
}
