//! Counts the XIDs of a page.

use std::collections::BTreeMap;

use testkit::page::Page;

/// XID counts of the page by GPU and code, without zeros.
pub(crate) fn counted(page: &Page) -> BTreeMap<(u32, u32), u64> {
    let samples = page.samples("heatsink_xid_errors_total");
    let happened = samples.into_iter().filter(|sample| sample.value > 0.0);
    happened
        .map(|sample| {
            let number = |label| sample.label(label).and_then(|text| text.parse().ok());
            let key = (number("gpu").expect("a GPU"), number("xid").expect("a code"));
            (key, sample.value as u64)
        })
        .collect()
}

/// Sum of the counts.
pub(crate) fn total(counts: &BTreeMap<(u32, u32), u64>) -> u64 {
    counts.values().sum()
}
