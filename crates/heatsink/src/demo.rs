//! `heatsink demo`: eight simulated H100s and the story of a training job.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use exposition::{HolderSettings, Show};
use history::recording::Recording;
use model::catalog::builtin::Set;
use model::{Pace, SLOW_INTERVAL, Watch, Windows};
use sim::{Chapter, Options, Scenario, SimSource, World};
use web_config::WebConfig;

use crate::cli::Args;
use crate::exit::Exit;
use crate::flags::{
    DEBUG, DEMO_ADDRESS, DEMO_METRIC_NAMES, DEMO_NODES, DEMO_SEED, DEMO_SPEED, LOG_FORMAT,
};
use crate::health::HealthRules;
use crate::history::HistorySetup;
use crate::listen::Listener;
use crate::loaded::{Loaded, PageSettings};
use crate::serve::{self, Replicas, Setup};
use crate::watches::{Extra, LoadedWatches, WatchConfig};
use crate::{flags, fleet, holders, listen, logging, source, terminal};

/// Serves the story until a signal ends it.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let _log = logging::start(args.get(&LOG_FORMAT)?, args.get(&DEBUG)?);
    let (speed, seed) = (args.get(&DEMO_SPEED)?, args.get(&DEMO_SEED)?);
    let scenario = Scenario::story();
    let chapters = scenario.chapters().to_vec();
    let options = Options { speed, ..Options::default() };
    let world = World::new(scenario, seed);
    let window = Duration::from_secs(60);
    let count_window = Duration::from_secs(300);
    let config = WatchConfig {
        counters: None,
        // For the alert rules and dashboards.
        extra: Some(Extra::Builtin(Set::Monitoring)),
        generation: Some(args.get(&DEMO_METRIC_NAMES)?),
        interval: interval(speed),
        windows: Windows { extents: window, xids: count_window, clock_events: count_window },
        groups: Arc::new([]),
        has_own_groups: true,
        known_files: Vec::new(),
        is_recorded: true,
    };
    let watches = config.read()?;
    let nodes = args.get(&DEMO_NODES)?;
    let replicas = (nodes > 1).then(|| {
        let world = World::new(Scenario::steady(8), seed);
        Replicas { source: Box::new(SimSource::new(world, options)), nodes }
    });
    let node_name = replicas.as_ref().map(|_| fleet::name(1).into());
    let setup = Setup {
        listeners: vec![listener(&args.get(&DEMO_ADDRESS)?).context(&DEMO_ADDRESS)?],
        source: Box::new(SimSource::new(world, options)),
        loaded: Loaded {
            watches: LoadedWatches {
                watches: in_simulated_time(&watches.watches, speed),
                ..watches
            },
            page: PageSettings {
                hostname: node_name.or_else(|| source::hostname(None)),
                host_label: config.generation.unwrap_or_default().host_label(),
                old_namespace: false,
                replace_blanks_in_model_name: false,
                expected_gpus: None,
                holders: HolderSettings::default(),
            },
            web_config: WebConfig::default(),
            config_map: None,
            unread: None,
        },
        configuration: None,
        watch_files: false,
        interval: config.interval,
        windows: config.windows,
        kernel_log: None,
        gpu_probe: None,
        forget_missing: None,
        health_rules: HealthRules::default(),
        show: Show::default(),
        holders: Some(holders::simulated()),
        history: HistorySetup::of_demo(args, speed, config.interval)?,
        replicas,
        max_connections: flags::MAX_CONNECTIONS.parse(None)?,
        web_reload: false,
    };
    let ended = serve::serve(setup, |urls| print_story(&urls[0], speed, nodes, chapters))?;
    if let Some(history) = ended.history {
        print_last_incident(history.as_ref());
    }
    Ok(ended.exit)
}

/// A reading per simulated second, at most ten a second: so that a fast story has as many as a slow one.
fn interval(speed: f64) -> Duration {
    const LEAST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(1);
    Duration::try_from_secs_f64(1.0 / speed).unwrap_or(MOST).clamp(LEAST, MOST)
}

/// Watches whose slow fields are read every ten simulated seconds, as every ten seconds on a real machine.
fn in_simulated_time(watches: &[Watch], speed: f64) -> Arc<[Watch]> {
    let slow = Duration::try_from_secs_f64(SLOW_INTERVAL.as_secs_f64() / speed);
    let slow = Pace::At(slow.unwrap_or(SLOW_INTERVAL).max(interval(speed)));
    let paced = |watch: &Watch| match watch.pace {
        Pace::Slow => Watch { pace: slow, ..watch.clone() },
        Pace::Every | Pace::At(_) => watch.clone(),
    };
    watches.iter().map(paced).collect()
}

/// Prints what `heatsink report --last` says of the demo.
fn print_last_incident(history: &dyn Recording) {
    let incidents = history.incidents();
    let report = incidents.and_then(|incidents| {
        let last = incidents.iter().max_by_key(|incident| incident.number);
        let style = terminal::style();
        last.map(|last| history::report::of_incident(last, history, &style)).transpose()
    });
    match report {
        Ok(Some(report)) => {
            print(format_args!("\nWhat `heatsink report --last` says:\n\n{report}"));
        }
        Ok(None) => print(format_args!("\nNo incident was recorded.")),
        Err(error) => tracing::warn!("cannot tell the last incident: {error}"),
    }
}

/// A listening socket with an address that a browser can open.
fn listener(address: &str) -> Result<Listener> {
    ensure!(!address.starts_with("unix:"), "the demo has no Unix socket; write 127.0.0.1:9400");
    listen::bind(address)
}

/// Prints the addresses, and then each chapter of the story when it happens.
fn print_story(url: &str, speed: f64, nodes: u16, chapters: Vec<Chapter>) {
    print(format_args!(
        "Eight simulated H100s and the pods that use them: nothing here is measured.\n\n  \
         page      {url}/\n  \
         metrics   {url}/metrics\n"
    ));
    if nodes > 1 {
        print(format_args!(
            "{nodes} simulated nodes with eight H100s each. The first tells the story below; the\n\
             others are copies of one healthy node, each with its own name and UUIDs.\n\n  \
             targets   {url}/targets (for http_sd_configs)\n  \
             a node    {url}/nodes/{}/metrics\n",
            fleet::name(2)
        ));
    }
    print(format_args!(
        "Watch the job slow down, and see why:\n\n  \
         curl -s {url}/metrics | grep -E '^DCGM_FI_DEV_(GPU_TEMP|SM_CLOCK|XID_ERROR)'\n\n\
         The story, in simulated time at {speed} times the real one; Ctrl-C ends it,\nand it tells the last incident:\n"
    ));
    let began = Instant::now();
    let thread = thread::Builder::new().name("story".to_owned()).spawn(move || {
        for chapter in chapters {
            let due = began + chapter.at.div_f64(speed);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let gpu = chapter.gpu.map_or("all".to_owned(), |gpu| format!("GPU {gpu}"));
            print(format_args!("  {}  {gpu:5}  {}", clock(chapter.at), chapter.text));
        }
        print(format_args!(
            "\nThe story is over. Ctrl-C ends the demo, and it tells its last incident."
        ));
    });
    // Without it, the demo prints nothing more and still serves.
    if let Err(error) = thread.context("no thread to print the story") {
        tracing::warn!("{error:#}");
    }
}

/// Prints lines. If standard output is closed, the page is still served.
fn print(lines: fmt::Arguments) {
    let _ = writeln!(io::stdout().lock(), "{lines}");
}

fn clock(time: Duration) -> String {
    format!("{:02}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_reading_per_simulated_second_and_at_most_ten_a_second() {
        for (speed, millis) in [(0.1, 1000), (1.0, 1000), (4.0, 250), (10.0, 100), (1000.0, 100)] {
            assert_eq!(interval(speed), Duration::from_millis(millis), "{speed}");
        }
    }
}
