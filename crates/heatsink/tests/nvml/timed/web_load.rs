//! Many clients that do everything wrong at once, and scrapers that are answered all the same, over TLS
//! and with a password.
//!
//! `HEATSINK_WEB_LOAD_SECONDS` is the duration (10). `cargo xtask nightly` runs it for five minutes.

use std::time::{Duration, Instant};

use crate::rig::{BINARY, SCRAPE};
use crate::web::load::Load;
use crate::web::{RIGHT, RIGHT_SLOWLY, Scraper, alone, processor, resident, timed, with_password};
use tempfile::TempDir;
use testkit::exporter::Exporter;

/// The memory limit of the chart's container.
const LIMIT: f64 = 64.0 * 1024.0 * 1024.0;

/// Less than any time-out of the server. How fast scrapes are is measured by the bench `web`: here, the clients and other
/// tests take what the server needs.
const PROMPT: Duration = Duration::from_secs(5);

#[test]
fn honest_scrapers_do_not_wait_for_others() {
    let _alone = alone();
    let text = std::env::var("HEATSINK_WEB_LOAD_SECONDS").unwrap_or_default();
    let length = Duration::from_secs(text.parse().unwrap_or(10));
    let folder = TempDir::new().expect("a temporary folder");
    let trust = with_password(folder.path(), RIGHT);
    let config = folder.path().join("web.yml").display().to_string();
    let mut exporter = Exporter::start(
        BINARY,
        &["--source", "sim", "--history=false", "--web-config-file", &config],
        &[],
    );
    let address = exporter.address_and_port().to_owned();
    let mut kept = Scraper::new(&trust, &address);
    let mut new = Scraper::new(&trust, &address);
    kept.wait_for_gpus();
    for _ in 0..20 {
        kept.scrape();
        new.scrape();
        new.close();
    }
    let before = resident(exporter.pid());
    let load = Load::start(&address, &trust, exporter.pid());
    let (began, mut most, mut times) = (Instant::now(), before, Vec::new());
    let thread = format!("/proc/{0}/task/{0}/schedstat", exporter.pid());
    let before_load = processor(&thread);
    while began.elapsed() < length {
        for scraper in [&mut kept, &mut new] {
            times.push(timed(exporter.pid(), || scraper.scrape()).1);
        }
        new.close();
        most = most.max(resident(exporter.pid()));
        std::thread::sleep(Duration::from_millis(50));
    }
    let after_load = processor(&thread);
    println!("{} s: {}", length.as_secs(), load.stop());
    assert!(exporter.is_running());
    kept.scrape();
    let after = resident(exporter.pid());
    times.sort();
    let slowest = times[times.len() - 1];
    println!(
        "{} scrapes, half within {:?}, the slowest {slowest:?}; {} connections of the one that keeps \
         them; the serving thread had {:.2} of a core and waited {:.2} for one; memory {:.1} MiB \
         before, at most {:.1}, {:.1} after",
        times.len(),
        times[times.len() / 2],
        kept.opened,
        (after_load.0 - before_load.0).as_secs_f64() / length.as_secs_f64(),
        (after_load.1 - before_load.1).as_secs_f64() / length.as_secs_f64(),
        before / 1048576.0,
        most / 1048576.0,
        after / 1048576.0
    );
    let most_within = times[times.len() * 9 / 10];
    assert!(most_within < SCRAPE, "of ten scrapes, one took {most_within:?}");
    assert!(slowest < PROMPT, "a scrape took {slowest:?}");
    assert!(most < LIMIT, "{most} bytes");
}

#[test]
fn scrapers_that_log_in_at_once_are_all_answered() {
    let _alone = alone();
    let folder = TempDir::new().expect("a temporary folder");
    let trust = with_password(folder.path(), RIGHT_SLOWLY);
    let config = folder.path().join("web.yml").display().to_string();
    let exporter = Exporter::start(
        BINARY,
        &["--source", "sim", "--history=false", "--web-config-file", &config],
        &[],
    );
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| Scraper::new(&trust, exporter.address_and_port()).wait_for_gpus());
        }
    });
}
