//! The shipped configurations with other addresses and shorter durations.
//!
//! A test and a demonstration cannot wait six hours for a window, nor five minutes for a message.
//! So every duration in the rules and in the configurations is divided by one number, and nothing
//! else about them changes.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use yaml_serde::Value;

use crate::duration;
use crate::expand::Names;
use crate::files::Generated;
use crate::rules::{RuleFile, yaml};
use crate::source::Source;

/// The differences from the shipped files.
#[derive(Clone, PartialEq, Debug)]
pub struct Chain {
    /// The divisor of every duration.
    pub time_scale: f64,
    /// The names that the exporters serve.
    pub names: Names,
    /// The exporters.
    pub targets: Vec<Target>,
    /// The Alertmanager, as `host:port`.
    pub alertmanager: String,
    /// The address that gets the messages; the receiver's name is added as its path.
    pub webhook: String,
}

/// An exporter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Where it is: `host:port`.
    pub address: String,
    /// The name of its node; if absent, its address.
    pub name: Option<String>,
}

/// The keys of durations in the two configurations.
const DURATIONS: [&str; 7] = [
    "scrape_interval",
    "scrape_timeout",
    "evaluation_interval",
    "group_wait",
    "group_interval",
    "repeat_interval",
    "resolve_timeout",
];

/// The heading of files with scaled durations.
pub fn heading(time_scale: f64) -> String {
    format!(
        "Every duration is {time_scale} times shorter than it should be: for demonstrations only."
    )
}

impl Chain {
    /// `heatsink.rules.yml`, `prometheus.yml` and `alertmanager.yml`, for one folder.
    pub fn files(&self, root: &Path, source: &Source) -> Result<Vec<Generated>> {
        let heading = heading(self.time_scale);
        let rules = RuleFile::new(source, self.names, self.time_scale)?;
        let file = |path: &str, text| Generated { path: path.to_owned(), text };
        let mut prometheus = read(root, "monitoring/prometheus/prometheus.yml")?;
        self.scale(&mut prometheus)?;
        set(&mut prometheus, &["rule_files"], vec![Value::from("heatsink.rules.yml")])?;
        let scrape = at(&mut prometheus, &["scrape_configs", "0"])?;
        scrape["static_configs"] = Value::Sequence(self.targets.iter().map(Target::yaml).collect());
        if self.targets.iter().any(|target| target.name.is_some()) {
            // The shipped rules would name a node by its address.
            scrape["relabel_configs"] = Value::Sequence(Vec::new());
        }
        let managers = &["alerting", "alertmanagers", "0", "static_configs", "0", "targets"];
        set(&mut prometheus, managers, vec![Value::from(self.alertmanager.as_str())])?;

        let mut alertmanager = read(root, "monitoring/alertmanager/alertmanager.yml")?;
        self.scale(&mut alertmanager)?;
        let receivers = alertmanager.get_mut("receivers").and_then(Value::as_sequence_mut);
        for receiver in receivers.context("no receivers")? {
            let name = receiver.get("name").and_then(Value::as_str).unwrap_or_default();
            let url = Value::from(format!("{}/{name}", self.webhook));
            if let Some(hook) =
                receiver.get_mut("webhook_configs").and_then(|hooks| hooks.get_mut(0))
            {
                *hook.get_mut("url").context("a webhook without url")? = url;
            }
        }
        Ok(vec![
            file("heatsink.rules.yml", rules.to_yaml(&heading)?),
            file("prometheus.yml", yaml(&heading, &prometheus)?),
            file("alertmanager.yml", yaml(&heading, &alertmanager)?),
        ])
    }

    fn scale(&self, value: &mut Value) -> Result<()> {
        match value {
            Value::Mapping(entries) => {
                for (key, value) in entries.iter_mut() {
                    let is_duration = key.as_str().is_some_and(|key| DURATIONS.contains(&key));
                    match value.as_str().filter(|_| is_duration) {
                        Some(text) => {
                            let read = duration::parse(text).context("a duration")?;
                            *value = duration::write(read.div_f64(self.time_scale)).into();
                        }
                        None => self.scale(value)?,
                    }
                }
            }
            Value::Sequence(items) => {
                for item in items {
                    self.scale(item)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn read(root: &Path, path: &str) -> Result<Value> {
    let text = fs::read_to_string(root.join(path)).with_context(|| path.to_owned())?;
    yaml_serde::from_str(&text).with_context(|| path.to_owned())
}

fn at<'a>(value: &'a mut Value, path: &[&str]) -> Result<&'a mut Value> {
    let mut place = value;
    for step in path {
        let next = match step.parse::<usize>() {
            Ok(index) => place.get_mut(index),
            Err(_) => place.get_mut(*step),
        };
        place = next.with_context(|| format!("no {}", path.join(".")))?;
    }
    Ok(place)
}

/// Replaces a list that is there.
fn set(value: &mut Value, path: &[&str], list: Vec<Value>) -> Result<()> {
    let place = at(value, path)?;
    ensure!(place.is_sequence(), "{} is no list", path.join("."));
    *place = Value::Sequence(list);
    Ok(())
}

fn mapping<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Mapping(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

impl Target {
    fn yaml(&self) -> Value {
        let targets = Value::Sequence(vec![self.address.as_str().into()]);
        match &self.name {
            Some(name) => {
                let labels = mapping([("instance", name.as_str().into())]);
                mapping([("targets", targets), ("labels", labels)])
            }
            None => mapping([("targets", targets)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[test]
    fn waits_become_shorter_and_nothing_else_changes() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let source = files::source(&root).unwrap();
        let chain = Chain {
            time_scale: 60.0,
            names: Names::V4_9,
            targets: ["127.0.0.1:1", "127.0.0.1:2"]
                .map(|address| Target { address: address.to_owned(), name: None })
                .to_vec(),
            alertmanager: "127.0.0.1:3".to_owned(),
            webhook: "http://127.0.0.1:4".to_owned(),
        };
        let files = chain.files(&root, &source).unwrap();
        let text = |name: &str| files.iter().find(|file| file.path == name).unwrap().text.clone();
        let [rules, prometheus, alertmanager] =
            ["heatsink.rules.yml", "prometheus.yml", "alertmanager.yml"].map(text);
        assert!(rules.contains("for: 2s") && rules.contains("used_bytes:max[30s]"), "{rules}");
        assert!(prometheus.contains("scrape_interval: 250ms"), "{prometheus}");
        for target in 1..4 {
            assert!(prometheus.contains(&format!("127.0.0.1:{target}")), "{prometheus}");
        }
        assert!(alertmanager.contains("group_wait: 500ms"), "{alertmanager}");
        assert!(alertmanager.contains("http://127.0.0.1:4/on-call"), "{alertmanager}");
        assert!(alertmanager.contains("not-sent"), "{alertmanager}");
    }
}
