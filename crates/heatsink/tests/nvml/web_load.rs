//! Many clients that do everything wrong at once, and scrapers that are answered all the same, over TLS
//! and with a password.
//!
//! `HEATSINK_WEB_LOAD_SECONDS` is the duration (10). `cargo xtask nightly` runs it for five minutes.

use std::time::{Duration, Instant};

use crate::rig::{BINARY, SCRAPE};
use crate::web::load::Load;
use crate::web::{RIGHT, Scraper, resident, with_password};
use tempfile::TempDir;
use testkit::exporter::Exporter;

/// The memory limit of the chart's container.
const LIMIT: f64 = 64.0 * 1024.0 * 1024.0;

#[test]
fn honest_scrapers_are_answered_within_a_second() {
    let text = std::env::var("HEATSINK_WEB_LOAD_SECONDS").unwrap_or_default();
    let length = Duration::from_secs(text.parse().unwrap_or(10));
    let folder = TempDir::new().expect("a temporary folder");
    let trust = with_password(folder.path(), RIGHT);
    let config = folder.path().join("web.yml").display().to_string();
    let mut exporter =
        Exporter::start(BINARY, &["--source", "sim", "--web-config-file", &config], &[]);
    let address = exporter.address_and_port().to_owned();
    let mut kept = Scraper::new(&trust, &address);
    let mut new = Scraper::new(&trust, &address);
    for _ in 0..20 {
        kept.scrape();
        new.scrape();
        new.close();
    }
    let before = resident(exporter.pid());
    let load = Load::start(&address, &trust, exporter.pid());
    let (began, mut slowest, mut most, mut scrapes) = (Instant::now(), Duration::ZERO, before, 0);
    while began.elapsed() < length {
        for took in [kept.scrape(), new.scrape()] {
            assert!(took < SCRAPE, "a scrape took {took:?}");
            slowest = slowest.max(took);
            scrapes += 1;
        }
        new.close();
        most = most.max(resident(exporter.pid()));
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("{} s: {}", length.as_secs(), load.stop());
    assert!(exporter.is_running());
    kept.scrape();
    let after = resident(exporter.pid());
    println!(
        "{scrapes} scrapes, the slowest {slowest:?}; {} connections of the one that keeps them; \
         memory {:.1} MiB before, at most {:.1}, {:.1} after",
        kept.opened,
        before / 1048576.0,
        most / 1048576.0,
        after / 1048576.0
    );
    // Connections are closed when they are old, and not because of other clients.
    assert!(u64::from(kept.opened) <= 2 + length.as_secs() / 60, "{} connections", kept.opened);
    assert!(most < LIMIT, "{most} bytes");
}
