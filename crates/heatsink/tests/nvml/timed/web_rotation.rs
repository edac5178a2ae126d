//! Certificates that change as Kubernetes changes them, right and wrong ones, while scrapers ask.
//!
//! `HEATSINK_ROTATION_SECONDS` is the duration (10). `cargo xtask nightly` runs it for ten minutes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::rig::{BINARY, PATIENCE};
use crate::web::{
    AUTHORIZED, Authority, Flaw, RIGHT, Scraper, Side, Trust, alone, put, resident, until,
};
use tempfile::TempDir;
use testkit::exporter::Exporter;

/// Allowed growth of memory after the first quarter.
const MOST_GROWTH: f64 = 2.0 * 1024.0 * 1024.0;

/// What a folder of files has wrong.
const MISTAKES: &[(&str, &str)] = &[
    ("server.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    ("server.key", ""),
    ("web.yml", "tls_server_config: {cert_file: missing.pem, key_file: server.key}\n"),
    ("web.yml", "tls_server_config: {\n"),
    (
        "web.yml",
        "tls_server_config: {cert_file: server.pem, key_file: server.key, min_version: TLS9}\n",
    ),
];

/// A volume of a ConfigMap: names that are links through `..data`, which is replaced as a whole.
struct Volume {
    folder: TempDir,
    generation: u32,
}

impl Volume {
    const FILES: [&str; 3] = ["web.yml", "server.pem", "server.key"];

    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        for name in Self::FILES {
            symlink(Path::new("..data").join(name), folder.path().join(name)).expect("a link");
        }
        Self { folder, generation: 0 }
    }

    /// Replaces all files: by a certificate of a new authority, and by a mistake if there is one. Returns
    /// the authority.
    fn swap(&mut self, mistake: Option<(&str, &str)>) -> String {
        let root = self.folder.path();
        let old = format!("..{}", self.generation);
        self.generation += 1;
        let new = format!("..{}", self.generation);
        let at = root.join(&new);
        fs::create_dir(&at).expect("a folder");
        let authority = Authority::new(&format!("authority {}", self.generation));
        authority.write(&at, "server", Side::Server, Flaw::None);
        let config = format!(
            "tls_server_config: {{cert_file: server.pem, key_file: server.key}}\n\
             basic_auth_users: {{reader: {RIGHT}}}\n"
        );
        put(&at, "web.yml", &config);
        if let Some((name, text)) = mistake {
            put(&at, name, text);
        }
        symlink(&new, root.join("..data_tmp")).expect("a link");
        fs::rename(root.join("..data_tmp"), root.join("..data")).expect("a new name");
        // The first has no predecessor.
        let _ = fs::remove_dir_all(root.join(old));
        authority.pem
    }
}

fn trust(authorities: &str) -> Trust {
    Trust::new(authorities, None).without_resumption()
}

/// Whether a page has this value of `heatsink_config_last_reload_successful`.
fn says(page: &[u8], value: u8) -> bool {
    let line = format!("\nheatsink_config_last_reload_successful {value}\n");
    String::from_utf8_lossy(page).contains(&line)
}

#[test]
fn certificates_change_and_no_scrape_fails() {
    let _alone = alone();
    let text = std::env::var("HEATSINK_ROTATION_SECONDS").unwrap_or_default();
    let length = Duration::from_secs(text.parse().unwrap_or(10));
    let mut volume = Volume::new();
    let mut authority = volume.swap(None);
    let mut current = trust(&authority);
    let config = volume.folder.path().join("web.yml").display().to_string();
    let exporter = Exporter::start(
        BINARY,
        &["--source", "sim", "--history=false", "--web-config-file", &config],
        &[],
    );
    let address = exporter.address_and_port().to_owned();
    let mut kept = Scraper::new(&current, &address);
    let mut new = Scraper::new(&current, &address);
    kept.wait_for_gpus();
    let (began, mut rounds, mut scrapes, mut quarter) = (Instant::now(), 0_usize, 0, None);
    while quarter.is_none() || began.elapsed() < length {
        // A mistake keeps the last good certificate.
        let mistake = MISTAKES[rounds % MISTAKES.len()];
        volume.swap(Some(mistake));
        until("the mistake is seen", PATIENCE, || {
            new.close();
            new.scrape();
            kept.scrape();
            scrapes += 2;
            says(&new.page, 0)
        });
        // A good one is used from now on. Until then the old one is; a connection fits one of them.
        let new_authority = volume.swap(None);
        let next = trust(&new_authority);
        // Its connection is closed after a response, and the next one has one or the other.
        kept.trust(&trust(&(authority + &new_authority)));
        if rounds % 2 == 1 {
            exporter.signal("HUP");
        }
        until("the new certificate is used", PATIENCE, || {
            kept.scrape();
            let connected = next.connect(&address, PATIENCE);
            let answer = connected.and_then(|mut connection| connection.scrape(AUTHORIZED));
            match answer {
                Ok((status, page)) => {
                    assert_eq!(status, 200);
                    scrapes += 2;
                    says(&page, 1)
                }
                Err(_) => {
                    // It may have changed since.
                    let old = current.connect(&address, PATIENCE);
                    if let Ok((status, _)) = old.and_then(|mut c| c.scrape(AUTHORIZED)) {
                        assert_eq!(status, 200);
                        scrapes += 2;
                    }
                    false
                }
            }
        });
        (current, authority) = (next, new_authority);
        new.trust(&current);
        rounds += 1;
        if quarter.is_none() && began.elapsed() > length / 4 {
            quarter = Some(resident(exporter.pid()));
        }
    }
    let (first, last) = (quarter.expect("it has passed"), resident(exporter.pid()));
    println!(
        "{} s, {rounds} good and {rounds} bad changes, {scrapes} scrapes; memory {:.1} MiB after a \
         quarter, {:.1} MiB at the end",
        began.elapsed().as_secs(),
        first / 1048576.0,
        last / 1048576.0
    );
    // A new connection after each change; a signal may read the files once more.
    let fewest = rounds;
    let most = 2 * rounds + 2 + length.as_secs() as usize / 60;
    assert!((fewest..=most).contains(&(kept.opened as usize)), "{} connections", kept.opened);
    assert!(last < first + MOST_GROWTH, "memory grew from {first} to {last} bytes");
}
