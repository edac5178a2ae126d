//! `heatsink serve`: parse, start, serve, drain.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Weak, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use exposition::Show;
use model::{FieldId, Kind, Source, Watch, field};
use sampler::{GpuProbe, KernelLog, Sampler};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cli::{self, ADDRESS, DEVICES, INTERVAL, ServeArgs, or_default};
use crate::connections::ConnectionLimiter;
use crate::fleet::Fleet;
use crate::http::{self, App};
use crate::overview::Overview;
use crate::pages::Pages;
use crate::settings::Named;
use crate::systemd::{self, Messenger};
use crate::wanted::{Asked, Extra, Wanted};
use crate::{DONE, Outcome, devices, listen, logging, origin, settings};

/// How long the sampler's threads may take to end. A stop is over within two seconds.
const PATIENCE: Duration = Duration::from_millis(1200);

/// Everything that a server needs, checked.
pub(crate) struct Setup {
    pub(crate) listener: std::net::TcpListener,
    pub(crate) source: Box<dyn Source>,
    pub(crate) wanted: Wanted,
    pub(crate) asked: Asked,
    pub(crate) kernel_log: Option<KernelLog>,
    pub(crate) gpu_probe: Option<GpuProbe>,
    /// How many GPUs there should be.
    pub(crate) expected_gpus: Option<u32>,
    /// How long a GPU that is missing is remembered; none for ever.
    pub(crate) forget_missing: Option<Duration>,
    /// Whether `/health` fails once only a restart of this process would help.
    pub(crate) fail_health: bool,
    pub(crate) show: Show,
    pub(crate) hostname: Option<Arc<str>>,
    pub(crate) old_namespace: bool,
    pub(crate) replace_blanks_in_model_name: bool,
    /// Further nodes to pretend to be.
    pub(crate) twins: Option<Twins>,
}

/// Nodes that are all alike.
pub(crate) struct Twins {
    /// What is read of them.
    pub(crate) source: Box<dyn Source>,
    /// How many nodes there are, the first, which is none of them, included.
    pub(crate) nodes: u16,
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
    let chosen = |long, text| {
        let chosen = devices::parse(or_default(text, DEVICES)).map_err(anyhow::Error::msg);
        chosen.named::<ServeArgs>(long)
    };
    let is_set = |long, text| settings::boolean(text).named::<ServeArgs>(long);
    let devices = chosen("devices", &args.devices)?;
    let switches = chosen("switch-devices", &args.switch_devices)?;
    let cpus = chosen("cpu-devices", &args.cpu_devices)?;
    let interval = settings::interval(or_default(&args.collect_interval, INTERVAL))
        .named::<ServeArgs>("collect-interval")?;
    let wanted = Wanted {
        counters: cli::path(&args.collectors).map(Path::to_owned),
        extra: cli::path(&args.extra_collectors).map(|path| Extra::Path(path.to_owned())),
        generation: settings::generation(&args.metric_names).named::<ServeArgs>("metric-names")?,
        interval,
        windows: settings::windows(args)?,
    };
    let compute_instances = is_set("compute-instances", &args.compute_instances)?;
    let no_hostname = is_set("no-hostname", &args.no_hostname)?;
    let setup = Setup {
        asked: wanted.read()?,
        wanted,
        source: origin::source(&args.source, interval, compute_instances)?,
        kernel_log: origin::kernel_log(&args.source, &args.kernel_log)?,
        gpu_probe: origin::gpu_probe(&args.source)?,
        expected_gpus: settings::expected_gpus(&args.expected_gpus)
            .named::<ServeArgs>("expected-gpus")?,
        forget_missing: settings::forget_missing(&args.forget_missing)
            .named::<ServeArgs>("forget-missing")?,
        fail_health: is_set(
            "fail-health-after-driver-upgrade",
            or_default(&args.fail_health_after_driver_upgrade, cli::FAIL_HEALTH),
        )?,
        show: Show { devices, compute_instances, switches, cpus },
        hostname: if no_hostname { None } else { origin::hostname(Some(&args.source)) },
        old_namespace: is_set("use-old-namespace", &args.use_old_namespace)?,
        replace_blanks_in_model_name: is_set(
            "replace-blanks-in-model-name",
            &args.replace_blanks_in_model_name,
        )?,
        twins: None,
        // Last, so that nothing delivers_xids unless everything else is in order.
        listener: listen::listener(
            is_set("web-systemd-socket", &args.web_systemd_socket)?,
            or_default(&args.address, ADDRESS),
        )?,
    };
    serve(setup, |address| tracing::info!("serving on {}/metrics", listen::url(address)))
}

/// Serves until told to stop; `ready` is told where.
pub(crate) fn serve(setup: Setup, ready: impl FnOnce(SocketAddr)) -> Result<Outcome> {
    let Setup { wanted, asked: Asked { watches, rows_skipped, .. }, .. } = setup;
    let unserved = Unserved::by(setup.source.as_ref());
    unserved.say(&watches);
    let settings = sampler::Settings {
        gpus: devices::gpus(&setup.show.devices),
        windows: wanted.windows,
        kernel_log: setup.kernel_log,
        probe: setup.gpu_probe,
        forget_missing: setup.forget_missing,
        ..sampler::Settings::new(wanted.interval)
    };
    let start = |source, watches, settings| {
        Sampler::start(source, watches, settings).context("cannot start the reader threads")
    };
    let twins = match setup.twins {
        None => None,
        Some(Twins { source, nodes }) => {
            Some((start(source, Arc::clone(&watches), settings.clone())?, nodes))
        }
    };
    let sampler = start(setup.source, watches, settings)?;
    let page = exposition::Settings {
        hostname: setup.hostname,
        host_label: wanted.generation.unwrap_or_default().host_label(),
        version: env!("CARGO_PKG_VERSION"),
        rows_skipped,
        is_reloaded: true,
        replace_blanks_in_model_name: setup.replace_blanks_in_model_name,
        old_namespace: setup.old_namespace,
        expected_gpus: setup.expected_gpus,
        connections_closed: 0,
        show: setup.show,
    };
    let fleet = twins.map(|(twin, nodes)| Fleet::new(twin, nodes, page.clone()));
    let fail_health = setup.fail_health;
    let connections = ConnectionLimiter::new(http::MAX_CONNECTIONS);
    let app = Arc::new(App {
        sampler,
        overview: Overview { hostname: page.hostname.clone(), expected_gpus: page.expected_gpus },
        pages: Pages::new(page),
        connections,
        fleet,
        fail_health,
    });
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
        let messenger = Messenger::start();
        tokio::spawn(systemd::report(messenger.clone(), Arc::downgrade(&served)));
        let reloads = Reloads { app: Arc::downgrade(&served), wanted, unserved };
        tokio::spawn(until_told(stop, messenger, reloads));
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
async fn until_told(stop: watch::Sender<bool>, messenger: Messenger, reloads: Reloads) {
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    ) else {
        tracing::error!("cannot listen for signals: only SIGKILL will end this process");
        return std::future::pending().await;
    };
    // A thread of its own: files may be slow to read, as on a network that is gone.
    let (orders, asked) = mpsc::channel();
    let spawned = thread::Builder::new().name("reload".to_owned()).spawn(move || {
        while asked.recv().is_ok() {
            // What was asked for many times is done once.
            while asked.try_recv().is_ok() {}
            reloads.reload();
        }
    });
    if let Err(error) = spawned {
        tracing::error!("SIGHUP will change nothing: no thread to read files with: {error}");
    }
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            // Without the thread, which has been reported, this does nothing.
            _ = hangup.recv() => drop(orders.send(())),
        }
    }
    messenger.stopping();
    // This fails only if the server is gone already.
    let _ = stop.send(true);
}

/// What a reload needs.
struct Reloads {
    app: Weak<App>,
    wanted: Wanted,
    unserved: Unserved,
}

impl Reloads {
    /// Reads the counters files again. What cannot be read changes nothing.
    fn reload(&self) {
        let asked = self.wanted.read();
        let Some(app) = self.app.upgrade() else { return };
        app.sampler.forget_missing();
        match asked {
            Ok(Asked { watches, rows, rows_skipped }) => {
                tracing::info!("SIGHUP: read {rows} rows, {rows_skipped} skipped");
                self.unserved.say(&watches);
                let for_pages = Weak::clone(&self.app);
                // Said once it is true: the driver may be long in coming.
                app.sampler.replan(watches, move || {
                    let Some(app) = for_pages.upgrade() else { return };
                    tracing::info!("serving {rows} rows");
                    app.pages.change(|settings| {
                        (settings.rows_skipped, settings.is_reloaded) = (rows_skipped, true);
                    });
                });
            }
            Err(error) => {
                tracing::error!("SIGHUP: the rows stay as they were: {error:#}");
                app.pages.change(|settings| settings.is_reloaded = false);
            }
        }
    }
}

/// What a source has no way to read.
struct Unserved {
    source: &'static str,
    fields: HashSet<FieldId>,
}

impl Unserved {
    fn by(source: &dyn Source) -> Self {
        let fields = model::catalog::FIELDS.iter().map(|row| row.id);
        let is_unserved = |field: &FieldId| !source.serves(*field) && !field::is_derived(*field);
        Self { source: source.name(), fields: fields.filter(is_unserved).collect() }
    }

    /// Says which watches nothing will ever serve here.
    fn say(&self, watches: &[Watch]) {
        let shown = watches.iter().filter(|watch| watch.kind != Kind::Hidden);
        let unserved = shown.filter(|watch| self.fields.contains(&watch.field));
        let names: Vec<&str> = unserved.map(|watch| watch.name.as_ref()).collect();
        if !names.is_empty() {
            let names = names.join(", ");
            tracing::warn!("absent, for the source {} does not serve them: {names}", self.source);
        }
    }
}
