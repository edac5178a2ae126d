//! Boards from a file of raw integers; `fixtures/example.toml` documents the format.

use std::{fs, path::Path};

use serde::Deserialize;

use crate::{board::Board, control::HostGpu, settings::Misconfigured};

/// A fixture file.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fixture {
    #[serde(default)]
    pub driver: Driver,
    #[serde(default, rename = "gpu")]
    pub boards: Vec<Board>,
}

/// The driver.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Driver {
    pub version: Option<String>,
}

/// Reads a fixture. If `gpus` are more than it has, its boards are repeated, each time with other
/// UUIDs, in another PCI domain.
pub(crate) fn read(path: &Path, gpus: Option<usize>) -> Result<Fixture, Misconfigured> {
    let named = |error: &dyn std::fmt::Display| {
        Misconfigured(format!("fixture {}: {error}", path.display()))
    };
    let text = fs::read_to_string(path).map_err(|error| named(&error))?;
    let parse = || toml::from_str::<Fixture>(&text).map_err(|error| named(&error));
    let mut fixture = parse()?;
    let listed = fixture.boards.len();
    let count = gpus.unwrap_or(listed);
    for round in 1..count.div_ceil(listed.max(1)) as u32 {
        fixture.boards.extend(parse()?.boards.into_iter().map(|board| repeated(board, round)));
    }
    fixture.boards.truncate(count);
    Ok(fixture)
}

fn repeated(mut board: Board, round: u32) -> Board {
    board.uuid = format!("{}-{round:x}", board.uuid);
    board.pci.domain += round;
    board.minor = board.minor.map(|minor| minor + 8 * round);
    board
}

/// The GPUs of a fixture as the kernel's module knows them: as many as `gpus`, else as many as
/// the fixture has.
///
/// # Panics
///
/// When the fixture cannot be read.
#[must_use]
pub fn host_gpus(path: &Path, gpus: Option<usize>) -> Vec<HostGpu> {
    let fixture = read(path, gpus).unwrap_or_else(|error| panic!("{error}"));
    let gpu = |Board { pci, uuid, .. }| HostGpu {
        pci_address: format!("{:04x}:{:02x}:{:02x}.0", pci.domain, pci.bus, pci.device),
        uuid,
    };
    fixture.boards.into_iter().map(gpu).collect()
}
