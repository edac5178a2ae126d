//! `heatsink history export`: its mistakes, and the way from a recording to Prometheus and back.

use std::process::Output;

use testkit::exporter::run;

use crate::rig::BINARY;

fn export(args: &[&str]) -> Output {
    run(BINARY, &[&["history", "export"], args].concat(), &[])
}

#[test]
fn mistakes_end_it_with_one_line() {
    for (args, why) in [
        (&["--label", "gpu=1"][..], "--label: `gpu` is a label of the page; choose another name"),
        (&["--label", "job"], "--label: `job` is not NAME=VALUE; write job=gpu"),
        (&["--label", "a=1,a=2"], "--label: the label a is given twice"),
        (&["--format", "csv", "--label", "a=1"], "--label is for --format openmetrics only"),
        (&["--from", "-nonsense"], "--from: `-nonsense` is not a time"),
    ] {
        let output = export(&[&["--history-dir", "/nowhere"], args].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains(why), "{args:?}: {errors}");
        assert!(output.stdout.is_empty());
    }
}
