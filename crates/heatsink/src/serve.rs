//! `heatsink serve`: read the settings, start, serve, drain.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use exposition::Show;
use history::history::History;
use model::{Moment, Source, Windows};
use sampler::{GpuProbe, KernelLog, Sampler};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use web_config::Access;

use crate::cli::Args;
use crate::connections::ConnectionLimiter;
use crate::exit::{EXIT_OK, Exit};
use crate::file_watch::Stamps;
use crate::fleet::Fleet;
use crate::health::HealthRules;
use crate::history::HistorySetup;
use crate::history::recording::Recording;
use crate::holders::Holders;
use crate::http::{self, App, HistoryReaders, Listeners, Passwords};
use crate::listen::Listener;
use crate::loaded::{self, Loaded};
use crate::overview::Overview;
use crate::pages::PageCache;
use crate::reload::{Configuration, Reloader, SIGHUP, UnservedFields};
use crate::reload_request::ReloadHandle;
use crate::systemd::{self, Messenger};
use crate::watches::{LoadedWatches, WatchConfig};
use crate::{checks, devices, flags, holders, listen, logging, source};

/// How long a stop may take, as the documentation says.
const STOP: Duration = Duration::from_secs(2);

/// How long the threads of the sampler and of the recording may take to end together, once connections were
/// drained. The rest is for the end of the process.
const STOP_TIMEOUT: Duration = Duration::from_millis(1300);

const _: () =
    assert!(STOP_TIMEOUT.as_millis() + http::DRAIN_TIMEOUT.as_millis() < STOP.as_millis());

/// Everything that a server needs, checked.
pub(crate) struct Setup {
    /// All of them are served alike.
    pub(crate) listeners: Vec<Listener>,
    /// The most open connections.
    pub(crate) max_connections: usize,
    /// Whether `POST /-/reload` reloads.
    pub(crate) web_reload: bool,
    pub(crate) source: Box<dyn Source>,
    /// The time from one reading to the next.
    pub(crate) interval: Duration,
    /// The lengths of the windows.
    pub(crate) windows: Windows,
    /// The settings that a reload changes.
    pub(crate) loaded: Loaded,
    /// Where reloads read them again; `None` if there is nothing to read.
    pub(crate) configuration: Option<Configuration>,
    /// Whether changed files are read again.
    pub(crate) watch_files: bool,
    pub(crate) kernel_log: Option<KernelLog>,
    pub(crate) gpu_probe: Option<GpuProbe>,
    /// How long a missing GPU is served as missing; none for ever.
    pub(crate) forget_missing: Option<Duration>,
    /// Whether `/health` fails once only a restart of this process would help.
    pub(crate) health_rules: HealthRules,
    pub(crate) show: Show,
    /// Who uses the GPUs; `None` if nothing looks for that.
    pub(crate) holders: Option<Holders>,
    /// What is recorded; `None` for nothing.
    pub(crate) history: Option<HistorySetup>,
    /// Further nodes to simulate.
    pub(crate) replicas: Option<Replicas>,
}

/// Simulated nodes that are all alike.
pub(crate) struct Replicas {
    /// The source of their readings.
    pub(crate) source: Box<dyn Source>,
    /// How many nodes there are, including the first, which is no replica.
    pub(crate) nodes: u16,
}

/// What is left once a server has ended.
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    /// What was recorded, all of it written.
    pub(crate) history: Option<Arc<History>>,
}

/// Serves this machine's GPUs until a signal ends it.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    // Before the files are read, so that no later change is missed.
    let mut named = Stamps::default();
    named.add(args.get(&flags::CONFIG_FILE)?.as_slice());
    let args = &args.with_file()?;
    let _log = logging::start(args.get(&flags::LOG_FORMAT)?, args.get(&flags::DEBUG)?);
    for warning in checks::check(args)? {
        tracing::warn!("{warning}");
    }
    let WatchConfig { interval, windows, .. } = loaded::watch_config(args)?;
    let show = Show {
        devices: args.get(&flags::DEVICES)?,
        compute_instances: args.get(&flags::COMPUTE_INSTANCES)?,
        switches: args.get(&flags::SWITCH_DEVICES)?,
        cpus: args.get(&flags::CPU_DEVICES)?,
    };
    loaded::named_files(args, &mut named);
    let loaded = Loaded::read(args, &[], None)?;
    if let Some(error) = &loaded.unread {
        tracing::error!("{error}; serving the rows of {} instead", &flags::COLLECTORS);
    }
    let files = loaded.files(args);
    named.add(&files);
    let configuration =
        Configuration { args: args.clone(), files, named, config_map: loaded.config_map.clone() };
    let setup = Setup {
        interval,
        windows,
        loaded,
        configuration: Some(configuration),
        watch_files: args.get(&flags::WATCH_FILES)?,
        source: source::open(args, interval, show.compute_instances)?,
        kernel_log: source::kernel_log(args)?,
        gpu_probe: source::gpu_probe(args)?,
        forget_missing: args.get(&flags::FORGET_MISSING)?,
        health_rules: HealthRules {
            driver_upgrade: args.get(&flags::FAIL_HEALTH_AFTER_DRIVER_UPGRADE)?,
            no_gpu: args.get(&flags::HEALTH_REQUIRE_GPUS)?,
        },
        show,
        holders: holders::start(args)?,
        history: HistorySetup::read(args)?,
        replicas: None,
        max_connections: args.get(&flags::MAX_CONNECTIONS)?,
        web_reload: args.get(&flags::WEB_RELOAD)?,
        // Last, so that nothing listens unless everything else is in order.
        listeners: listen::listeners(
            args.get(&flags::WEB_SYSTEMD_SOCKET)?,
            &args.get(&flags::ADDRESS)?,
        )?,
    };
    let ended = serve(setup, |urls| {
        let page = |url: &String| match url.starts_with("http") {
            true => format!("{url}/metrics"),
            false => url.clone(),
        };
        tracing::info!("serving on {}", urls.iter().map(page).collect::<Vec<_>>().join(", "));
    })?;
    Ok(ended.exit)
}

/// Serves until a signal ends it; `ready` is called with the addresses.
pub(crate) fn serve(setup: Setup, ready: impl FnOnce(&[String])) -> Result<Ended> {
    let Loaded { watches: loaded_watches, page: page_settings, .. } = setup.loaded;
    let LoadedWatches { watches, rows_skipped, .. } = loaded_watches;
    let unserved = UnservedFields::of(setup.source.as_ref());
    unserved.warn_of(&watches);
    let settings = sampler::Settings {
        gpus: devices::gpus(&setup.show.devices),
        windows: setup.windows,
        kernel_log: setup.kernel_log,
        probe: setup.gpu_probe,
        forget_missing: setup.forget_missing,
        ..sampler::Settings::new(setup.interval)
    };
    let start = |source, watches, settings| {
        Sampler::start(source, watches, settings).context("cannot start the reader threads")
    };
    let replicas = match setup.replicas {
        None => None,
        Some(Replicas { source, nodes }) => {
            Some((start(source, Arc::clone(&watches), settings.clone())?, nodes))
        }
    };
    let sampler = start(setup.source, Arc::clone(&watches), settings)?;
    let unread = setup.loaded.unread;
    let page = exposition::Settings {
        hostname: page_settings.hostname,
        host_label: page_settings.host_label,
        version: env!("CARGO_PKG_VERSION"),
        rows_skipped,
        is_reloaded: unread.is_none(),
        reloaded_at: unread.is_none().then(SystemTime::now),
        replace_blanks_in_model_name: page_settings.replace_blanks_in_model_name,
        old_namespace: page_settings.old_namespace,
        expected_gpus: page_settings.expected_gpus,
        labels_since: None,
        connections_closed: 0,
        history: None,
        show: setup.show,
        holders: page_settings.holders,
    };
    let (reload, reload_requests) = ReloadHandle::new();
    let holders = setup.holders.map(Arc::new);
    let recording =
        setup.history.map(|setup| Recording::start(setup, &sampler, holders.clone(), &page));
    let recording = recording.transpose().context("cannot start to record")?;
    let app = Arc::new(App {
        sampler,
        holders,
        history: recording.as_ref().map(Recording::history),
        history_readers: HistoryReaders::default(),
        overview: Overview::new(page.hostname.clone(), page.expected_gpus),
        fleet: replicas.map(|(replica, nodes)| Fleet::new(replica, nodes, page.clone())),
        pages: PageCache::new(page),
        connections: ConnectionLimiter::new(setup.max_connections),
        access: Access::new(setup.loaded.web_config),
        passwords: Passwords::default(),
        last_reload: Mutex::default(),
        reload: setup.web_reload.then(|| reload.clone()),
        health_rules: setup.health_rules,
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the server")?;
    let listeners = setup.listeners;
    let served = Arc::clone(&app);
    let (messenger, messenger_thread) = Messenger::start();
    runtime.block_on(async move {
        // First, since a signal without a stream ends the process.
        let signals = Signals::listen();
        let is_encrypted = served.access.tls().is_some();
        let urls: Vec<String> =
            listeners.iter().map(|listener| listener.url(is_encrypted)).collect();
        let listeners = Listeners::new(listeners)?;
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(systemd::report(messenger.clone(), Arc::downgrade(&served)));
        let served_now = Arc::downgrade(&served);
        Reloader::new(served_now, setup.configuration, unserved, watches, unread)
            .start(reload_requests, setup.watch_files.then(|| reload.clone()));
        tokio::spawn(handle_signals(signals, stop, messenger, reload));
        ready(&urls);
        http::serve(listeners, served, stopped).await;
        std::io::Result::Ok(())
    })?;
    // Drops the connections that are left, which hold the sampler. A thread that reads the history may be stuck
    // in a call to a disk, and is not waited for.
    runtime.shutdown_background();
    tracing::info!("stopped");
    let until = Moment::now() + STOP_TIMEOUT;
    // The recording ends meanwhile.
    let mut has_ended = Arc::into_inner(app).is_some_and(|app| app.sampler.stop(STOP_TIMEOUT));
    let history = recording.map(|recording| {
        let history = recording.history();
        has_ended &= recording.finish(until.saturating_duration_since(Moment::now()));
        history
    });
    // The last message, that it stops, may not be sent yet.
    if let Some(messenger) = messenger_thread {
        while !messenger.is_finished() && Moment::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(Ended { exit: Exit { status: EXIT_OK, is_stuck: !has_ended }, history })
}

/// The signals that this process handles.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Requests a reload at each SIGHUP; at SIGTERM or SIGINT, sets `stop` and returns.
async fn handle_signals(
    signals: std::io::Result<Signals>,
    stop: watch::Sender<bool>,
    messenger: Messenger,
    reload: ReloadHandle,
) {
    let Ok(mut signals) = signals else {
        tracing::error!("cannot listen for signals: only SIGKILL will end this process");
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = signals.hangup.recv() => reload.request(SIGHUP),
        }
    }
    messenger.stopping();
    // This fails only if the server has ended already.
    let _ = stop.send(true);
}
