//! The completions that are shipped, tried by the shell that they are for.

use std::process::{Command, Stdio};

use testkit::exporter::repository_file;

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
    assert_eq!(said, "--extra-collectors\ncheck\n");
}
