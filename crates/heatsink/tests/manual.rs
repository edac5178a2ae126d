//! The manual pages and completions that are shipped are those of the flags.
//!
//! `UPDATE_GOLDEN=1 cargo test -p heatsink --test manual` rewrites them.

use std::process::{Command, Stdio};

use testkit::exporter::{repository_file, run};
use testkit::golden::check_golden;

const BINARY: &str = env!("CARGO_BIN_EXE_heatsink");

fn printed(args: &[&str]) -> String {
    // Whatever this machine is set to must not show in what is shipped.
    let output = run(BINARY, args, &[]);
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_manual_is_that_of_the_flags() {
    check_golden("../deploy/man/heatsink.1", &printed(&["man"]));
    for command in ["demo", "check", "fields"] {
        let path = format!("../deploy/man/heatsink-{command}.1");
        check_golden(path, &printed(&["man", command]));
    }
}

#[test]
fn completions_are_those_of_the_flags() {
    for (shell, file) in
        [("bash", "heatsink.bash"), ("zsh", "_heatsink"), ("fish", "heatsink.fish")]
    {
        let path = format!("../deploy/completions/{file}");
        check_golden(path, &printed(&["completions", shell]));
    }
}

/// Bash itself completes with what is shipped.
#[test]
fn bash_completes() {
    let script = repository_file("deploy/completions/heatsink.bash");
    let ask = r#"
        source "$1"
        COMP_WORDS=(heatsink --extra-c) COMP_CWORD=1
        _heatsink heatsink --extra-c heatsink
        echo "${COMPREPLY[*]}"
        COMP_WORDS=(heatsink c) COMP_CWORD=1
        _heatsink heatsink c heatsink
        echo "${COMPREPLY[*]}"
    "#;
    let output = Command::new("bash")
        .args(["-c", ask, "bash"])
        .arg(script)
        .stdin(Stdio::null())
        .output()
        .expect("bash");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(said, "--extra-collectors\ncheck completions\n");
}
