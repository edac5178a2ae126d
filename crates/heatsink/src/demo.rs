//! `heatsink demo`: eight simulated H100s and the story of a training job.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use exposition::Show;
use model::Windows;
use model::catalog::builtin;
use sim::{Chapter, Options, Scenario, SimSource, World};

use crate::cli::DemoArgs;
use crate::serve::{self, Setup, Twins};
use crate::settings::Named;
use crate::wanted::{Extra, Wanted};
use crate::{Outcome, fleet, listen, logging, origin, settings};

/// Serves the story until told to stop.
pub(crate) fn run(args: &DemoArgs) -> Result<Outcome> {
    let _log = logging::start(&settings::log(&args.log)?);
    let speed = origin::speed(args.speed)?;
    let scenario = Scenario::story();
    let chapters = scenario.chapters().to_vec();
    let options = Options { speed, ..Options::default() };
    let world = World::new(scenario, args.seed);
    let window = Duration::from_secs(60);
    let count_window = Duration::from_secs(300);
    let wanted = Wanted {
        counters: None,
        // So that the alert rules and dashboards have all that they look at.
        extra: Some(Extra::Builtin(builtin::MONITORING)),
        generation: settings::generation(&args.metric_names).named::<DemoArgs>("metric-names")?,
        interval: Duration::from_secs(1),
        windows: Windows { extents: window, xids: count_window, clock_events: count_window },
    };
    let nodes = args.nodes;
    let twins = (nodes > 1).then(|| {
        let world = World::new(Scenario::steady(8), args.seed);
        Twins { source: Box::new(SimSource::new(world, options)), nodes }
    });
    let own_name = twins.as_ref().map(|_| fleet::name(1).into());
    let setup = Setup {
        listener: listen::bind(&args.address).named::<DemoArgs>("address")?,
        source: Box::new(SimSource::new(world, options)),
        asked: wanted.read()?,
        wanted,
        kernel_log: None,
        gpu_probe: None,
        expected_gpus: None,
        forget_missing: None,
        fail_health: false,
        show: Show::default(),
        hostname: own_name.or_else(|| origin::hostname(None)),
        old_namespace: false,
        replace_blanks_in_model_name: false,
        twins,
    };
    serve::serve(setup, |address| tell(address, speed, nodes, chapters))
}

/// Says where to look, and then what happens when it happens.
fn tell(address: SocketAddr, speed: f64, nodes: u16, chapters: Vec<Chapter>) {
    let url = listen::url(address);
    // What is looked for begins alike under the names of every generation.
    say(format_args!(
        "Eight simulated H100s: nothing here is measured.\n\n  \
         page      {url}/\n  \
         metrics   {url}/metrics\n"
    ));
    if nodes > 1 {
        say(format_args!(
            "{nodes} simulated nodes with eight H100s each. The first tells the story below; the\n\
             others are copies of one healthy node, under names and UUIDs of their own.\n\n  \
             targets   {url}/targets (for http_sd_configs)\n  \
             a node    {url}/nodes/{}/metrics\n",
            fleet::name(2)
        ));
    }
    say(format_args!(
        "Watch the job slow down, and see why:\n\n  \
         curl -s {url}/metrics | grep -E '^DCGM_FI_DEV_(GPU_TEMP|SM_CLOCK|XID_ERROR)'\n\n\
         The story, in simulated time at {speed} times the real one; Ctrl-C ends it:\n"
    ));
    let began = Instant::now();
    let storyteller = thread::Builder::new().name("storyteller".to_owned()).spawn(move || {
        for chapter in chapters {
            let due = began + chapter.at.div_f64(speed);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let who = chapter.gpu.map_or("all".to_owned(), |gpu| format!("GPU {gpu}"));
            say(format_args!("  {}  {who:5}  {}", clock(chapter.at), chapter.text));
        }
    });
    // Without it the demo is silent, and runs all the same.
    if let Err(error) = storyteller.context("no thread to tell the story") {
        tracing::warn!("{error:#}");
    }
}

/// Prints lines. Who closes the other end has seen enough; the page is served all the same.
fn say(lines: fmt::Arguments) {
    let _ = writeln!(io::stdout().lock(), "{lines}");
}

fn clock(time: Duration) -> String {
    format!("{:02}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}
