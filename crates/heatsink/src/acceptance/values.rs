//! Values as texts, by UUID and name, and the page of the exporter read into them.

use std::collections::{BTreeMap, HashMap};

/// The values of all GPUs, by UUID and by column, family or `label:NAME`.
pub(super) type Values = BTreeMap<String, HashMap<String, String>>;

/// The value, or an empty text.
pub(super) fn get<'a>(values: &'a Values, uuid: &str, name: &str) -> &'a str {
    values.get(uuid).and_then(|values| values.get(name)).map_or("", String::as_str)
}

/// A number of the page or of `nvidia-smi`.
pub(super) fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The samples of a page: family, labels, value.
pub(super) fn samples(page: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let lines = page
        .lines()
        .filter(|line| ["DCGM_", "heatsink_"].iter().any(|start| line.starts_with(start)));
    lines.filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (family, labels) = series.split_once('{').unwrap_or((series, ""));
        Some((family, labels.trim_end_matches('}'), value))
    })
}

/// The samples that have a UUID. A family of DCGM also gives each label as `label:NAME`, a family of
/// heatsink also its name with the labels that are not the GPU's: `name{reason="power_cap"}`.
pub(super) fn of_page(page: &str) -> Values {
    let mut values = Values::new();
    for (family, labels, value) in samples(page) {
        // No label that is compared has a quote in its text.
        let labels = labels.split("\",").filter_map(|label| label.split_once("=\""));
        let labels: Vec<_> =
            labels.map(|(name, text)| (name, text.trim_end_matches('"'))).collect();
        let Some((_, uuid)) = labels.iter().find(|(name, _)| *name == "UUID") else { continue };
        let gpu = values.entry((*uuid).to_owned()).or_default();
        gpu.insert(family.to_owned(), value.to_owned());
        let mut others = Vec::new();
        for (name, text) in labels {
            if family.starts_with("DCGM_") {
                let label = gpu.entry(format!("label:{name}")).or_insert_with(|| text.to_owned());
                // All series of a GPU have the same labels. If not, both texts are kept.
                if label != text {
                    *label += &format!(" and {text}");
                }
            } else if !matches!(name, "gpu" | "UUID") {
                others.push(format!("{name}=\"{text}\""));
            }
        }
        if !others.is_empty() {
            gpu.insert(format!("{family}{{{}}}", others.join(",")), value.to_owned());
        }
    }
    values
}

#[test]
fn families_and_labels_are_read() {
    let page = "# TYPE DCGM_A gauge\nDCGM_A{gpu=\"0\",UUID=\"U\",name=\"a, b\"} 5\n\
                DCGM_B{gpu=\"1\",UUID=\"U\"} 6\nheatsink_c{gpu=\"0\",UUID=\"U\",reason=\"x\"} 1\n\
                heatsink_up 1\n";
    let values = of_page(page);
    #[rustfmt::skip]
    let expected = [("DCGM_A", "5"), ("DCGM_B", "6"), ("heatsink_c{reason=\"x\"}", "1"),
        ("label:name", "a, b"), ("label:gpu", "0 and 1"), ("label:reason", ""), ("heatsink_up", "")];
    for (name, value) in expected {
        assert_eq!(get(&values, "U", name), value, "{name}");
    }
}
