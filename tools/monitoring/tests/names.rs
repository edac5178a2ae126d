//! Names in rules and dashboards exist: families, label values, classes of XIDs. A misspelt name
//! matches nothing, and an alert that matches nothing never fires.

use std::collections::BTreeSet;

use model::catalog::xid::XIDS;
use monitoring::expand::Names;
use monitoring::rules::RuleFile;
use monitoring::source::Source;
use monitoring::{dashboards, files};
use serde_json::Value;
use testkit::exporter::repository_file;

fn source() -> Source {
    files::source(&repository_file("")).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Every expression of the shipped rules and dashboards.
fn expressions(source: &Source) -> Vec<String> {
    let groups = source.groups.iter();
    let rules = groups.flat_map(|group| {
        let records = group.records.iter().map(|record| record.expr.clone());
        records.chain(group.alerts.iter().map(|alert| alert.expr.clone())).collect::<Vec<_>>()
    });
    let mut all: Vec<String> = rules.collect();
    for dashboard in dashboards::all(source).unwrap_or_else(|error| panic!("{error:#}")) {
        strings(&dashboard.json, "expr", &mut all);
    }
    all
}

/// Every string value of `key`, at any depth.
fn strings(value: &Value, key: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value.as_str().filter(|_| name == key) {
                    Some(text) => found.push(text.to_owned()),
                    None => strings(value, key, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, key, found)),
        _ => {}
    }
}

/// The words of an expression, colons included.
fn words(expr: &str) -> impl Iterator<Item = &str> {
    expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
}

/// The alternatives of every matcher for `label`.
fn matched<'a>(expr: &'a str, label: &'a str) -> impl Iterator<Item = &'a str> {
    let values = expr.match_indices(label).filter_map(move |(at, _)| {
        let operator = &expr[at + label.len()..];
        let quoted = operator.trim_start_matches(['=', '~', '!']).strip_prefix('"')?;
        quoted.split('"').next()
    });
    values.flat_map(|values| values.split('|'))
}

#[test]
fn every_family_is_one_that_heatsink_serves_or_a_rule_records() {
    let source = source();
    let served: BTreeSet<&str> = model::catalog::FIELDS.iter().map(|field| field.name).collect();
    let groups = source.groups.iter();
    let recorded: BTreeSet<&str> =
        groups.flat_map(|group| &group.records).map(|record| record.name.as_str()).collect();
    let mut seen = 0;
    for expr in expressions(&source) {
        for word in words(&expr).filter(|word| word.contains("heatsink_")) {
            let known = served.contains(word) || recorded.contains(word);
            assert!(known, "`{word}` is neither served nor recorded: {expr}");
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn every_reason_is_one_that_is_served() {
    let known = [
        "gpu_idle",
        "clocks_setting",
        "power_cap",
        "hw_slowdown",
        "sync_boost",
        "sw_thermal",
        "hw_thermal",
        "hw_power_brake",
        "display_clocks",
    ];
    let page = std::fs::read_to_string(repository_file("docs/signals.md")).expect("the page");
    for expr in expressions(&source()) {
        for reason in matched(&expr, "reason") {
            assert!(known.contains(&reason) && page.contains(reason), "`{reason}`: {expr}");
        }
    }
}

/// Each code is in exactly one of the three alerts, or asks for nothing. 92, many corrected memory
/// errors, has an alert by their count.
#[test]
fn every_xid_has_one_alert_or_needs_none() {
    let source = source();
    let alert = |name: &str| {
        let found = source.alerts().find(|alert| alert.name == name);
        found.expect("the alert is there").expr.clone()
    };
    // Whether one of the alert's matchers takes it: `class=~"..."`, with `xid!~"..."`, or `xid=...`.
    let takes = |expr: &str, code: u32, class: &str| {
        let code = code.to_string();
        let infos =
            expr.split("heatsink_xid_info{").skip(1).filter_map(|tail| tail.split('}').next());
        infos.into_iter().any(|matchers| {
            let by_class = matchers.contains("class");
            let in_class = matched(matchers, "class").any(|known| known == class);
            let named = matched(matchers, "xid").any(|known| known == code);
            let excluded = matchers.contains("xid!") && named;
            if by_class { in_class && !excluded } else { named }
        })
    };
    let critical = alert("GpuXidCritical");
    // Its part about NVLink faults that are not fatal is about codes of the first.
    let warning = alert("GpuXidWarning");
    let warning = warning.split("class=\"check_nvlink\"").next().expect("a first part").to_owned();
    let application = alert("GpuXidApplication");
    for entry in XIDS {
        let class = entry.class.as_str();
        let expected = usize::from(class != "ignore" && entry.code != 92);
        let alerts = [&critical, &warning, &application];
        let taken = alerts.iter().filter(|expr| takes(expr, entry.code, class)).count();
        assert_eq!(taken, expected, "XID {} of class {class}", entry.code);
    }
    for expr in [&critical, &warning, &application] {
        for class in matched(expr, "class") {
            let known = XIDS.iter().any(|entry| entry.class.as_str() == class);
            assert!(known, "there is no class `{class}`");
        }
    }
}

/// A reader of a panel needs to know its data, the unit, and the bad values.
#[test]
fn every_panel_has_a_unit_thresholds_and_a_description() {
    for dashboard in dashboards::all(&source()).expect("dashboards") {
        let panels = dashboard.json["panels"].as_array().expect("panels").clone();
        let shows_data = |panel: &&Value| panel["type"] != "row" && panel["type"] != "text";
        for panel in panels.iter().filter(shows_data) {
            let title = &panel["title"];
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(
                panel["description"].as_str().is_some_and(|text| text.ends_with('.')),
                "{title}"
            );
            assert!(defaults["unit"].is_string(), "{title}");
            assert!(defaults["thresholds"]["steps"].is_array(), "{title}");
        }
    }
}

#[test]
fn rules_have_names_of_their_generation_only() {
    let source = source();
    let text = |names| RuleFile::new(&source, names, 1.0).and_then(|rules| rules.to_yaml(""));
    let (old, new) = (text(Names::V4_8).expect("rules"), text(Names::V4_9).expect("rules"));
    let old: BTreeSet<&str> = words(&old).collect();
    let new: BTreeSet<&str> = words(&new).collect();
    let mut seen = 0;
    for pair in model::catalog::generation::pairs() {
        assert!(!new.contains(pair.v4_8.name), "{}", pair.v4_8.name);
        assert!(!old.contains(pair.v4_9.name), "{}", pair.v4_9.name);
        seen += usize::from(old.contains(pair.v4_8.name) && new.contains(pair.v4_9.name));
    }
    assert!(seen > 8, "{seen}");
}

/// The counter of critical XIDs and the page of heatsink take the severity from the catalogue, and the
/// rules from their expressions.
#[test]
fn the_rules_and_the_catalogue_agree_on_which_xids_are_critical() {
    let source = source();
    let alerts = source.groups.iter().flat_map(|group| &group.alerts);
    let critical =
        alerts.clone().find(|alert| alert.name == "GpuXidCritical").expect("it is there");
    let infos = critical.expr.split("heatsink_xid_info{").skip(1);
    let selectors: Vec<&str> = infos.filter_map(|rest| rest.split('}').next()).collect();
    let classes: Vec<&str> = selectors.iter().flat_map(|it| matched(it, "class")).collect();
    let codes: Vec<&str> = selectors.iter().flat_map(|it| matched(it, "xid")).collect();
    assert!(!classes.is_empty() && !codes.is_empty(), "{}", critical.expr);
    for entry in XIDS {
        let by_rule = classes.contains(&entry.class.as_str())
            || codes.contains(&entry.code.to_string().as_str());
        let by_catalogue =
            model::catalog::xid::severity(entry.code) == model::catalog::xid::Severity::Critical;
        assert_eq!(by_rule, by_catalogue, "XID {}", entry.code);
    }
}
