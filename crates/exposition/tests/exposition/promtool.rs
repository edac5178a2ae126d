//! Prometheus' own tool reads the worst page that we can think of.

use std::io::Write;
use std::process::{Command, Stdio};

use exposition::{Settings, render};
use model::{Down, Identity, Kind, Xid};

use crate::machine::{down, float, identity, settings, snapshot, text, up, watch, xids};

const NASTY: &str = "q\" b\\ n\n r\r t\t \u{1} {a=\"b\",c} # HELP é🔥 \u{2028} \\n \\";

#[test]
fn promtool_reads_the_worst_page() {
    let watches = vec![
        watch(1, "driver_version", Kind::Label, NASTY),
        watch(150, "dcgm_temperature_celsius", Kind::Gauge, NASTY),
        watch(230, "dcgm_last_xid", Kind::Gauge, "Last XID."),
        watch(156, "dcgm_energy_joules_total", Kind::Counter, "Energy."),
    ];
    let worst = Identity { model_name: NASTY.into(), ..identity(0, NASTY) };
    let readings = vec![text(NASTY), float(5e-324), text("never"), float(f64::MAX)];
    let mut lost = down(identity(0, "GPU-gone"), Down::Missing, vec![]);
    lost.xids = xids(false, &[Xid { code: 79, message: NASTY, class: NASTY, action: NASTY }]);
    let settings = Settings { hostname: Some(NASTY.into()), ..settings() };
    let page = render(&snapshot(watches, vec![up(worst, readings), lost]), &settings);

    let mut tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    // dcgm-exporter's `modelName` is not how Prometheus would have it, and is what people query.
    let rest: Vec<&str> = said.lines().filter(|line| !line.ends_with("not 'camelCase'")).collect();
    assert!(rest.iter().all(|line| line.is_empty()), "{said}\n{page}");
}
