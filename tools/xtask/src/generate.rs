//! `cargo xtask generate` and `cargo xtask rules`: files made from the rules and dashboards.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use monitoring::chain::{self, Chain, Target};
use monitoring::expand::Names;
use monitoring::rules::RuleFile;
use monitoring::source::Source;
use monitoring::{files, manifests};

use crate::run::run;

/// The options of `rules`.
#[derive(PartialEq, Debug)]
pub(crate) struct RulesArgs {
    names: Names,
    time_scale: f64,
    from: Option<PathBuf>,
    out: Option<PathBuf>,
}

/// Reads the arguments of `rules`.
pub(crate) fn parse(args: &[String]) -> Result<RulesArgs, String> {
    let mut parsed = RulesArgs { names: Names::V4_8, time_scale: 1.0, from: None, out: None };
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("`{flag}` needs a value"));
        match flag.as_str() {
            "--metric-names" => {
                parsed.names = Names::parse(value()?).map_err(|error| error.to_string())?;
            }
            "--time-scale" => {
                let text = value()?;
                let scale = text.parse().ok().filter(|scale| (1.0..=1000.0).contains(scale));
                parsed.time_scale =
                    scale.ok_or_else(|| format!("`{text}`: a time scale is from 1 to 1000"))?;
            }
            "--from" => parsed.from = Some(value()?.into()),
            "--out" => parsed.out = Some(value()?.into()),
            other => return Err(format!("`rules` has no option `{other}`")),
        }
    }
    Ok(parsed)
}

/// The rules as Prometheus reads them, or the paths of the files written with `--out`.
pub(crate) fn rules(root: &Path, args: &RulesArgs) -> Result<String> {
    let source = match &args.from {
        Some(path) => files::source_at(path)?,
        None => files::source(root)?,
    };
    if let Some(folder) = &args.out {
        return chain(root, &source, args, folder);
    }
    let heading = match args.time_scale {
        1.0 => "Printed by `cargo xtask rules`.".to_owned(),
        scale => chain::heading(scale),
    };
    RuleFile::new(&source, args.names, args.time_scale)?.to_yaml(&heading)
}

/// Writes rules and configurations that fit together into `folder`; returns a line for each.
fn chain(root: &Path, source: &Source, args: &RulesArgs, folder: &Path) -> Result<String> {
    let chain = Chain {
        time_scale: args.time_scale,
        names: args.names,
        targets: vec![Target { address: "localhost:9400".to_owned(), name: None }],
        alertmanager: "localhost:9093".to_owned(),
        webhook: "http://localhost:9095".to_owned(),
    };
    let written = files::write(folder, &chain.files(root, source)?)?;
    Ok(written.iter().map(|path| format!("wrote {}\n", folder.join(path).display())).collect())
}

/// Writes every generated file that is not as it should be, and the manifests.
pub(crate) fn write(root: &Path) -> Result<()> {
    let source = files::source(root)?;
    let generated = files::generated(&source)?;
    for path in files::write(root, &generated)? {
        println!("wrote {path}");
    }
    files::check(root, &source, &generated)?;
    manifests(root).map(drop)
}

/// Writes the rules and dashboards as Kubernetes objects; returns the paths of those that are the
/// Prometheus operator's.
pub(crate) fn manifests(root: &Path) -> Result<Vec<PathBuf>> {
    let manifests = manifests::of(&files::generated(&files::source(root)?)?);
    for path in files::write(root, &manifests)? {
        println!("wrote {path}");
    }
    let rules = manifests.iter().filter(|file| file.text.contains("kind: PrometheusRule"));
    Ok(rules.map(|file| root.join(&file.path)).collect())
}

/// Fails if a generated file has drifted from its source.
pub(crate) fn check(root: &Path) -> Result<()> {
    let source = files::source(root)?;
    let generated = files::generated(&source)?;
    ensure!(!generated.is_empty(), "nothing is generated");
    files::check(root, &source, &generated)
}

/// Checks the dashboards against Grafana's own types, of every major version that they are for.
pub(crate) fn schema(root: &Path) -> Result<()> {
    let folder = root.join("monitoring/dashboards/schema");
    let install = ["ci", "--no-audit", "--no-fund", "--silent"];
    run(Command::new("npm").args(install).current_dir(&folder))?;
    run(Command::new("node").arg("check.mjs").current_dir(&folder))
}

/// Checks the configurations with Prometheus' and Alertmanager's own tools.
pub(crate) fn configs(root: &Path) -> Result<()> {
    run(Command::new("amtool")
        .args(["check-config", "alertmanager.yml"])
        .current_dir(root.join("monitoring/alertmanager")))?;
    run(Command::new("promtool")
        .args(["check", "config", "prometheus.yml", "demo.yml"])
        .current_dir(root.join("monitoring/prometheus")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn bad_generations_and_time_scales_are_refused() {
        let parsed = parse(&words("--metric-names 4.9 --time-scale 20")).unwrap();
        assert_eq!((parsed.names, parsed.time_scale), (Names::V4_9, 20.0));
        for bad in ["--metric-names 5.0", "--time-scale 0", "--time-scale nan", "--from", "4.9"] {
            assert!(parse(&words(bad)).is_err(), "{bad}");
        }
    }
}
