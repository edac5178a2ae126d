//! A real Prometheus scrapes the page, and gives the samples back.

#[path = "../suite/prometheus.rs"]
mod suite;

use crate::rig::BINARY;
use suite::reads_back;
use testkit::exporter::Exporter;

#[test]
fn the_simulation_s_page() {
    let args = ["--source", "sim", "--sim-at", "600", "-c", "200"];
    let exporter = Exporter::start(BINARY, &args, &[("NODE_NAME", "node-1")]);
    reads_back(&exporter, 7, 250);
}
