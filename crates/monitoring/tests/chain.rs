//! The whole chain, running: exporter, Prometheus, rules, Alertmanager, and somebody who is told.
//!
//! The simulated job runs ten times as fast as a real one, and rules and waits are sixty times
//! shorter, so that six hours pass in six minutes.

mod rig;

use std::time::Duration;

use monitoring::expand::Names;
use rig::{Exporter, Watched, wait_for};

const SPEED: &str = "10";
const TIME_SCALE: f64 = 60.0;

/// Of the story: who has to be told of what, and when it is over.
const TOLD: &[(&str, &str)] = &[
    ("GpuTemperatureHigh 2 firing", "team"),
    ("GpuTemperatureHigh 2 resolved", "team"),
    ("GpuHardwareSlowdown 2 firing", "on-call"),
    ("GpuHardwareSlowdown 2 resolved", "on-call"),
    ("GpuMemoryFillingUp 4 firing", "team"),
    ("GpuMemoryFillingUp 4 resolved", "team"),
    ("GpuMemoryFull 4 firing", "team"),
    ("GpuMemoryFull 4 resolved", "team"),
    ("GpuEccCorrectableRate 5 firing", "team"),
    ("GpuEccUncorrectable 5 firing", "on-call"),
    ("GpuRowRemapPending 5 firing", "team"),
    ("GpuRecoveryActionRequired 5 firing", "on-call"),
    ("GpuXidCritical 5 XID 48 firing", "on-call"),
    ("GpuXidCritical 5 XID 48 resolved", "on-call"),
    ("GpuDown 7 firing", "on-call"),
    ("GpuDown 7 resolved", "on-call"),
];

/// Waits until each of these messages has reached its receiver.
fn are_told(watched: &Watched, lines: &[(&str, &str)], patience: Duration) {
    let told = |line: &str, receiver: &str| {
        let messages = watched.webhook.messages();
        messages.iter().any(|message| message.line() == line && message.receiver == receiver)
    };
    for (line, receiver) in lines {
        while !told(line, receiver) {
            let in_time = watched.webhook.elapsed() < patience;
            assert!(in_time, "{receiver} is not told `{line}`:\n{}", watched.webhook.story());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn the_story_reaches_the_right_people() {
    let exporter = Exporter::start("127.0.0.11", &["demo", "--speed", SPEED]);
    let watched = Watched::start(&[&exporter], Names::V4_8, TIME_SCALE, Vec::new());
    are_told(&watched, TOLD, Duration::from_secs(300));
    let messages = watched.webhook.messages();
    let story = watched.webhook.story();
    println!("{story}");
    for message in &messages {
        let text = message.annotations.to_string();
        assert!(!text.contains("error expanding") && !text.contains("<no value>"), "{text}");
        assert!(text.contains("/runbooks/"), "{text}");
        // By node, without its port, and one message for all that is wrong with it.
        assert_eq!(message.group["instance"], "127.0.0.11", "{story}");
        assert_ne!(message.labels["severity"], "info", "{story}");
    }
    // While a GPU is lost, that is all that is said of it.
    let of_the_lost = messages.iter().filter(|message| message.labels["gpu"] == "7");
    let others: Vec<_> = of_the_lost
        .filter(|message| message.labels["alertname"] != "GpuDown" && message.status == "firing")
        .map(|message| message.line())
        .collect();
    assert_eq!(others, Vec::<String>::new(), "{story}");
    // When it is back, Alertmanager says of what it had held back that it is over; never that it
    // began.
    assert!(!story.contains("GpuMissing 127.0.0.11 firing"), "{story}");
    let down = messages.iter().find(|message| message.line() == "GpuDown 7 firing");
    let summary = down.map(|message| message.annotations["summary"].clone());
    assert_eq!(summary.unwrap(), "GPU 7 of 127.0.0.11 does not answer: lost");
    // Four of the eight are well, and nobody is told anything of them.
    for well in ["0", "1", "3", "6"] {
        let about = messages.iter().filter(|message| message.labels["gpu"] == well);
        let lines: Vec<_> = about.map(|message| message.line()).collect();
        assert_eq!(lines, Vec::<String>::new(), "{story}");
    }
}

/// Healthy machines, idle and at work, for what would be hours: nobody is woken.
#[test]
fn nothing_fires_on_healthy_machines() {
    let sim = |host, scenario| {
        let scenario = ["--source", "sim", "--speed", SPEED, "--sim-scenario", scenario];
        let rows = ["--extra-collectors", "monitoring"];
        Exporter::start(host, &[&scenario[..], &rows].concat())
    };
    let (busy, idle) = (sim("127.0.0.21", "steady"), sim("127.0.0.22", "idle"));
    let watched = Watched::start(&[&busy, &idle], Names::V4_8, TIME_SCALE, Vec::new());
    wait_for("rules are evaluated", Duration::from_secs(20), || {
        watched.firing().contains(&"HeatsinkSimulated ".to_owned())
    });
    // An hour and a half, for the rules.
    while watched.webhook.elapsed() < Duration::from_secs(90) {
        let mut firing = watched.firing();
        firing.retain(|alert| !alert.starts_with("HeatsinkSimulated"));
        // At its power limit, a GPU that works hard is well; it is said to nobody.
        firing.retain(|alert| !alert.starts_with("GpuPowerCapped"));
        assert_eq!(firing, Vec::<String>::new());
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(watched.webhook.story(), "");
}

/// The same under the names of 4.9, as far as names and units matter.
#[test]
fn the_story_is_told_under_the_names_of_4_9() {
    let demo = ["demo", "--speed", SPEED, "--metric-names", "4.9"];
    let exporter = Exporter::start("127.0.0.12", &demo);
    let watched = Watched::start(&[&exporter], Names::V4_9, TIME_SCALE, Vec::new());
    let firing = TOLD.iter().filter(|(line, _)| line.ends_with("firing"));
    are_told(&watched, &firing.copied().collect::<Vec<_>>(), Duration::from_secs(120));
}

/// Rules for other names than those that are served: one alert says so, and no other fires.
#[test]
fn rules_of_another_generation_say_that_they_are() {
    let exporter = Exporter::start("127.0.0.31", &["demo", "--speed", SPEED]);
    let watched = Watched::start(&[&exporter], Names::V4_9, TIME_SCALE, Vec::new());
    wait_for("the names are missed", Duration::from_secs(60), || {
        watched.firing().contains(&"HeatsinkMetricNames ".to_owned())
    });
    let firing = watched.firing();
    let about_temperature = firing.iter().filter(|alert| alert.contains("Temperature"));
    assert_eq!(about_temperature.count(), 0, "{firing:?}");
}
