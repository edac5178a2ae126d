//! `cargo xtask generate` and `cargo xtask rules`: what `monitoring/` is made with.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use monitoring::chain::{self, Chain, Target};
use monitoring::expand::Names;
use monitoring::files;
use monitoring::rules::RuleFile;
use monitoring::source::Source;

use crate::run::run;

/// What `rules` was told.
#[derive(PartialEq, Debug)]
pub(crate) struct RulesArgs {
    names: Names,
    time_scale: f64,
    from: Option<PathBuf>,
    out: Option<PathBuf>,
}

/// What stands behind `rules` on the command line.
pub(crate) fn parse(args: &[String]) -> Result<RulesArgs, String> {
    let mut parsed = RulesArgs { names: Names::V4_8, time_scale: 1.0, from: None, out: None };
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("`{flag}` wants a value"));
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
            other => return Err(format!("`rules` does not know `{other}`")),
        }
    }
    Ok(parsed)
}

/// The rules as Prometheus reads them.
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

/// Writes rules and configurations that fit together into `folder`; says which files.
fn chain(root: &Path, source: &Source, args: &RulesArgs, folder: &Path) -> Result<String> {
    let chain = Chain {
        time_scale: args.time_scale,
        names: args.names,
        targets: vec![Target { address: "localhost:9400".to_owned(), name: None }],
        owners: Vec::new(),
        alertmanager: "localhost:9093".to_owned(),
        webhook: "http://localhost:9095".to_owned(),
    };
    let written = files::write(folder, &chain.files(root, source)?)?;
    Ok(written.iter().map(|path| format!("wrote {}\n", folder.join(path).display())).collect())
}

/// Writes every generated file that is not as it should be.
pub(crate) fn write(root: &Path) -> Result<()> {
    let source = files::source(root)?;
    let generated = files::generated(&source)?;
    for path in files::write(root, &generated)? {
        println!("wrote {path}");
    }
    files::check(root, &source, &generated)
}

/// Fails if a generated file has drifted from what it is made of.
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

/// Lets Prometheus' and Alertmanager's own tools read their configurations.
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
    fn rules_are_for_a_generation_that_is_served_and_a_speed_that_makes_sense() {
        let parsed = parse(&words("--metric-names 4.9 --time-scale 20")).unwrap();
        assert_eq!((parsed.names, parsed.time_scale), (Names::V4_9, 20.0));
        for bad in ["--metric-names 5.0", "--time-scale 0", "--time-scale nan", "--from", "4.9"] {
            assert!(parse(&words(bad)).is_err(), "{bad}");
        }
    }
}
