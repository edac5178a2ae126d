//! `heatsink serve`: parse, start, serve, drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use catalog::counters::Counters;
use model::Source;
use sampler::{Sampler, Selection};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cli::{self, ADDRESS, DEVICES, INTERVAL, ServeArgs, or_default};
use crate::http::{self, App};
use crate::pages::Pages;
use crate::settings::{NO_HOSTNAME, REPLACE_BLANKS};
use crate::{DONE, Outcome, devices, listen, logging, settings};

/// How long the sampler's threads may take to end. A stop is over within two seconds.
const PATIENCE: Duration = Duration::from_millis(1200);

/// Everything that a server needs, checked.
pub(crate) struct Setup {
    pub(crate) listener: std::net::TcpListener,
    pub(crate) source: Box<dyn Source>,
    pub(crate) counters: Counters,
    pub(crate) interval: Duration,
    pub(crate) gpus: Selection,
    pub(crate) hostname: Option<Arc<str>>,
    pub(crate) replace_blanks_in_model_name: bool,
}

/// Serves this machine's GPUs until told to stop.
pub(crate) fn run(args: &ServeArgs) -> Result<Outcome> {
    let _log = logging::start(&settings::log(&args.log)?);
    if let Some(refused) = args.upstream.refused.first() {
        bail!("{refused}");
    }
    for line in &args.upstream.missing {
        tracing::warn!("{line}");
    }
    let devices = devices::parse(or_default(&args.devices, DEVICES))
        .map_err(anyhow::Error::msg)
        .context("-d, --devices")?;
    if devices.instances {
        tracing::warn!("-d {}: MIG instances are not served yet; `g` are whole GPUs", args.devices);
    }
    let no_hostname = settings::boolean(&NO_HOSTNAME, &args.no_hostname)?;
    let setup = Setup {
        counters: settings::watches(cli::path(&args.collectors))?,
        interval: settings::interval(or_default(&args.collect_interval, INTERVAL))?,
        source: settings::source(&args.source)?,
        gpus: devices.gpus,
        hostname: if no_hostname { None } else { settings::hostname() },
        replace_blanks_in_model_name: settings::boolean(
            &REPLACE_BLANKS,
            &args.replace_blanks_in_model_name,
        )?,
        // Last, so that nothing listens unless everything else is in order.
        listener: listen::bind(or_default(&args.address, ADDRESS))?,
    };
    serve(setup, |address| tracing::info!("serving on http://{address}/metrics"))
}

/// Serves until told to stop; `ready` is told where.
pub(crate) fn serve(setup: Setup, ready: impl FnOnce(SocketAddr)) -> Result<Outcome> {
    let rows_skipped = setup.counters.skipped.len() as u64;
    let watches: Arc<[model::Watch]> = setup.counters.watches.into();
    say_unserved(setup.source.as_ref(), &watches);
    let sampler = Sampler::start(
        setup.source,
        watches,
        sampler::Settings {
            interval: setup.interval,
            gpus: setup.gpus,
            started: SystemTime::now(),
        },
    )
    .context("cannot start the reader threads")?;
    let pages = Pages::new(exposition::Settings {
        hostname: setup.hostname,
        version: env!("CARGO_PKG_VERSION"),
        rows_skipped,
        replace_blanks_in_model_name: setup.replace_blanks_in_model_name,
    });
    let app = Arc::new(App { sampler, pages });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the server")?;
    let listener = setup.listener;
    let served = Arc::clone(&app);
    runtime.block_on(async move {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = TcpListener::from_std(listener)?;
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(until_told(stop));
        ready(address);
        http::serve(listener, served, stopped).await;
        std::io::Result::Ok(())
    })?;
    // Drops what connections are left, and with them their hold on the sampler.
    drop(runtime);
    tracing::info!("stopped");
    let ended = Arc::into_inner(app).is_some_and(|app| app.sampler.stop(PATIENCE));
    Ok(Outcome { status: DONE, stuck: !ended })
}

/// Tells `stop` when the process is told to end.
async fn until_told(stop: watch::Sender<bool>) {
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    ) else {
        tracing::error!("cannot listen for signals: only SIGKILL will end this process");
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                tracing::warn!("SIGHUP: settings are read at start only; restart to change them");
            }
        }
    }
    // Nobody listens any more only if the server is gone already.
    let _ = stop.send(true);
}

/// Says once which watches nothing will ever serve here.
fn say_unserved(source: &dyn Source, watches: &[model::Watch]) {
    let unserved: Vec<&str> = watches
        .iter()
        .filter(|watch| !source.serves(watch.field))
        .map(|watch| watch.name.as_ref())
        .collect();
    if !unserved.is_empty() {
        tracing::warn!(
            "absent, for the source {} does not serve them: {}",
            source.name(),
            unserved.join(", ")
        );
    }
}
