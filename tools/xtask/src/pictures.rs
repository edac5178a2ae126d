//! `cargo xtask pictures`: the dashboards as pictures, from what a real Prometheus has stored.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use monitoring::ask::{Choice, Prometheus, Variables};
use monitoring::{dashboards, files, picture};

/// What `pictures` was told.
#[derive(PartialEq, Debug)]
pub(crate) struct PicturesArgs {
    url: String,
    /// The node of the dashboard that is about one.
    node: String,
    /// How long before now they begin and end, in seconds.
    from: f64,
    to: f64,
}

/// What stands behind `pictures` on the command line.
pub(crate) fn parse(args: &[String]) -> Result<PicturesArgs, String> {
    let mut args = args.iter();
    let url = args.next().ok_or("`pictures` wants the address of a Prometheus")?.clone();
    let mut parsed = PicturesArgs { url, node: "localhost".to_owned(), from: 1800.0, to: 0.0 };
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("`{flag}` wants a value"))?;
        let seconds = || {
            let seconds = value.parse().ok().filter(|seconds: &f64| seconds.is_finite());
            seconds.ok_or_else(|| format!("`{value}` is no number of seconds"))
        };
        match flag.as_str() {
            "--node" => parsed.node.clone_from(value),
            "--from" => parsed.from = seconds()?,
            "--to" => parsed.to = seconds()?,
            other => return Err(format!("`pictures` does not know `{other}`")),
        }
    }
    if parsed.from <= parsed.to {
        return Err("`--from` has to be longer ago than `--to`".to_owned());
    }
    Ok(parsed)
}

/// Draws Fleet and Node; says which files it wrote.
pub(crate) fn draw(root: &Path, args: &PicturesArgs) -> Result<String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64();
    let prometheus = Prometheus::new(&args.url);
    let all = ["cluster", "gpu", "namespace"].into_iter();
    let chosen = all.fold(Variables::new(5.0), |chosen, name| chosen.with(name, Choice::All));
    let folder = root.join("docs/pictures");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut said = String::new();
    let all = dashboards::all(&files::source(root)?)?;
    // Jobs would show `no owner`: no exporter that can be started here knows who uses a GPU.
    for dashboard in all.iter().filter(|dashboard| dashboard.name != "jobs") {
        let node = match dashboard.name {
            "node" => Choice::One(args.node.clone()),
            _ => Choice::All,
        };
        let chosen = chosen.clone().with("node", node);
        let (from, to) = (now - args.from, now - args.to);
        let drawn = picture::draw(&dashboard.json, &prometheus, &chosen, from, to)
            .with_context(|| dashboard.name)?;
        let path = folder.join(format!("{}.svg", dashboard.name));
        fs::write(&path, drawn).with_context(|| path.display().to_string())?;
        // Writing to a string cannot fail.
        let _ = writeln!(said, "wrote {}", path.display());
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_needs_a_prometheus_and_a_time() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let parsed =
            parse(&words("http://localhost:9090 --node gpu-1 --from 600 --to 60")).unwrap();
        assert_eq!((parsed.node.as_str(), parsed.from, parsed.to), ("gpu-1", 600.0, 60.0));
        for bad in [
            "",
            "http://x --from soon",
            "http://x --from nan",
            "http://x --from 9 --to 60",
            "http://x --until 3",
            "http://x --node",
        ] {
            assert!(parse(&words(bad)).is_err(), "{bad}");
        }
    }
}
