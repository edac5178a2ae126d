//! Five machines, from Turing to Blackwell, each number on their pages worked out from the driver's
//! raw integers: an engine between driver and page changes nothing.

use crate::rig::Rig;
use crate::settled::{EVERYTHING, in_the_full_set, settled};

#[test]
fn h100() {
    check("h100x2");
}

#[test]
fn a100_of_which_one_is_partitioned() {
    check("a100x2-mig");
}

#[test]
fn geforce() {
    check("geforce");
}

#[test]
fn gb200() {
    check("gb200x2");
}

#[test]
fn t4() {
    check("t4x2");
}

/// PCIe traffic, which DCGM never reads.
const NEVER_READ: [u16; 2] = [200, 201];

fn check(name: &str) {
    let mut rows = in_the_full_set();
    rows.retain(|row| !NEVER_READ.contains(&row.id));
    settled(&Rig::machine(name).start(EVERYTHING), name, &rows, |_| Vec::new());
}
