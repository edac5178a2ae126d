//! What OpenMetrics asks of families: the names in their HELP and TYPE lines, and their types.
//!
//! Sample lines are those of the text format.

use std::collections::HashMap;

use model::{Kind, Watch};

use crate::text::openmetrics_head;

/// The last line of a page.
pub(crate) const END: &str = "# EOF\n";

/// The HELP and TYPE lines of families, in the same order. No name occurs twice.
///
/// A counter `x_total` is the family `x`. A counter with another name, and one whose family would have
/// a name that another family has, is of the type `unknown` under its full name: OpenMetrics allows
/// no other, and the names of series must not depend on the format.
pub(crate) fn heads(watches: &[&Watch]) -> Vec<Box<str>> {
    let mut claims: HashMap<String, usize> = HashMap::new();
    for name in watches.iter().flat_map(|watch| claimed(watch)) {
        *claims.entry(name).or_default() += 1;
    }
    let is_alone = |watch: &Watch| claimed(watch).iter().all(|name| claims[name] == 1);
    let head = |watch: &&Watch| {
        let (name, kind) = match (watch.kind, counter_family(watch)) {
            (_, Some(family)) if is_alone(watch) => (family, "counter"),
            (Kind::Gauge, _) => (&*watch.name, "gauge"),
            _ => (&*watch.name, "unknown"),
        };
        openmetrics_head(name, kind, &watch.help)
    };
    watches.iter().map(head).collect()
}

/// The name of the family of a counter, if OpenMetrics allows its name.
fn counter_family(watch: &Watch) -> Option<&str> {
    let family = watch.name.strip_suffix("_total")?;
    (watch.kind == Kind::Counter && !family.is_empty()).then_some(family)
}

/// The names that no other family may have.
fn claimed(watch: &Watch) -> Vec<String> {
    match counter_family(watch) {
        Some(family) => ["", "_total", "_created"].map(|end| format!("{family}{end}")).into(),
        None => vec![watch.name.to_string()],
    }
}

#[cfg(test)]
mod tests {
    use model::{FieldId, Pace};

    use super::*;

    fn types(rows: &[(&str, Kind)]) -> Vec<String> {
        let row = |(name, kind): &(&str, Kind)| Watch {
            field: FieldId(1),
            name: (*name).into(),
            kind: *kind,
            help: "A \"help\"\\\n.".into(),
            pace: Pace::Every,
            cumulative: false,
        };
        let rows: Vec<Watch> = rows.iter().map(row).collect();
        let heads = heads(&rows.iter().collect::<Vec<_>>());
        let of_type = |head: &str| {
            let (help, kind) = head.split_once("\n# TYPE ").expect("two lines");
            let name = kind.split(' ').next().expect("a name");
            assert_eq!(help, format!("# HELP {name} A \\\"help\\\"\\\\\\n."));
            kind.trim_end().to_owned()
        };
        heads.iter().map(|head| of_type(head)).collect()
    }

    #[test]
    fn only_counters_whose_name_ends_in_total_are_counters() {
        let rows = [
            ("a_total", Kind::Counter),
            ("DCGM_B_TOTAL", Kind::Counter),
            ("c", Kind::Counter),
            ("_total", Kind::Counter),
            ("d", Kind::Gauge),
            ("e_total", Kind::Gauge),
            ("f", Kind::Untyped),
            ("g_total", Kind::Untyped),
            ("h_info", Kind::Gauge),
        ];
        let expected = [
            "a counter",
            "DCGM_B_TOTAL unknown",
            "c unknown",
            "_total unknown",
            "d gauge",
            "e_total gauge",
            "f unknown",
            "g_total unknown",
            "h_info gauge",
        ];
        assert_eq!(types(&rows), expected);
    }

    #[test]
    fn a_counter_whose_family_has_the_name_of_another_is_unknown() {
        let other = |name| types(&[("a_total", Kind::Counter), (name, Kind::Gauge)]).remove(0);
        assert_eq!(other("a"), "a_total unknown");
        assert_eq!(other("a_created"), "a_total unknown");
        assert_eq!(other("a_sum"), "a counter");
        let counters = [("a_total", Kind::Counter), ("a_created_total", Kind::Counter)];
        assert_eq!(types(&counters), ["a_total unknown", "a_created_total unknown"]);
    }
}
