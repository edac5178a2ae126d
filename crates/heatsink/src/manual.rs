//! The manual pages and completions, made from the flags. A test makes them, since a program that
//! could would be a quarter of a megabyte larger on every node.
//!
//! `cargo test --package heatsink --bin heatsink manual` writes them into `target/manual`, from
//! where the package takes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli;

/// The manual page of a command; `None` is heatsink itself.
fn page(command: Option<&str>) -> Result<Vec<u8>> {
    let mut whole = cli::command();
    whole.build();
    let about = match command {
        None => whole,
        Some(name) => whole
            .find_subcommand(name)
            .with_context(|| format!("there is no command `{name}`"))?
            .clone(),
    };
    let is_whole = command.is_none();
    let name = about.get_display_name().unwrap_or_else(|| about.get_name()).to_owned();
    let title = name.replace(' ', "-");
    let source = concat!("heatsink ", env!("CARGO_PKG_VERSION"));
    let about = about.display_name(title.clone());
    let man = Man::new(about).title(title).source(source);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if is_whole {
        man.render_subcommands_section(&mut page)?;
    }
    let mut more = Roff::new();
    for (heading, entries) in if is_whole { SECTIONS } else { &SECTIONS[..1] } {
        more.control("SH", [*heading]);
        for (term, text) in *entries {
            more.control("TP", []).text([bold(*term)]).text([roman(*text)]);
        }
    }
    more.to_writer(&mut page)?;
    Ok(page)
}

type Section = (&'static str, &'static [(&'static str, &'static str)]);

/// Sections that do not follow from the flags. The first one is in every page.
const SECTIONS: &[Section] = &[
    (
        "EXIT STATUS",
        &[
            ("0", "Success; for check, data flows."),
            ("1", "For check, no data flows; for fields, nothing matches the pattern."),
            (
                "2",
                "heatsink could not start: a wrong setting, or a port that is in use. Nothing was served.",
            ),
        ],
    ),
    (
        "SIGNALS",
        &[
            (
                "SIGHUP",
                "Reads the configuration again, without a gap on the page, and forgets missing GPUs.",
            ),
            (
                "SIGTERM, SIGINT",
                "Finishes the responses in progress, within two seconds, and ends.",
            ),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            ("NODE_NAME", "The label hostname, instead of the system's name."),
            (
                "NOTIFY_SOCKET, WATCHDOG_USEC, LISTEN_FDS",
                "Set by systemd, which is notified when heatsink serves and that it is alive, and may \
                 pass the socket to listen on.",
            ),
            (
                "Variables of flags",
                "Each flag names its own. A blank variable counts as not set, a flag overrides its \
                 variable, and a variable the configuration file. All variables of dcgm-exporter are understood.",
            ),
        ],
    ),
    (
        "FILES",
        &[
            ("/etc/default/heatsink", "Variables for the service, in the Debian package."),
            (
                "/usr/share/heatsink/",
                "Counters files to start from, rules for Prometheus, dashboards for Grafana.",
            ),
            ("/dev/kmsg", "The kernel log, from which XIDs are counted."),
        ],
    ),
    (
        "SEE ALSO",
        &[
            (
                "heatsink-demo(1), heatsink-check(1), heatsink-fields(1), heatsink-config(1)",
                "Commands of heatsink.",
            ),
            ("nvidia-smi(1), prometheus(1), systemctl(1)", "Programs that it works with."),
        ],
    ),
];

/// Writes a file into `target/manual`.
fn write(name: &str, content: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/manual");
    fs::create_dir_all(&folder).expect("a folder can be made");
    let path = folder.join(name);
    fs::write(&path, content).expect("a file can be written");
    path
}

#[test]
fn a_manual_page_has_every_flag_and_variable() {
    let mut whole = cli::command();
    whole.build();
    for name in [None, Some("demo"), Some("check"), Some("fields"), Some("config")] {
        let command = name.map_or(&whole, |name| whole.find_subcommand(name).unwrap());
        let page = page(name).unwrap();
        write(&name.map_or("heatsink.1".to_owned(), |name| format!("heatsink-{name}.1")), &page);
        let page = String::from_utf8(page).unwrap().replace("\\-", "-");
        assert!(page.contains(".SH \"EXIT STATUS\""), "{page}");
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            let flag = argument.get_long().map(|flag| format!("\\fB--{flag}\\fR"));
            let variable = argument.get_env().map(|name| format!("\\fB{}\\fR", name.display()));
            for text in flag.iter().chain(&variable) {
                assert!(page.contains(text), "{name:?}: {text} is not in the page");
            }
        }
    }
}

#[test]
fn bash_completes() {
    let made =
        [(Shell::Zsh, "_heatsink"), (Shell::Fish, "heatsink.fish"), (Shell::Bash, "heatsink.bash")];
    let [.., script] = made.map(|(shell, file)| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut cli::command(), "heatsink", &mut script);
        write(file, &script)
    });
    let ask = r#"
        source "$1"
        COMP_WORDS=(heatsink --extra-c) COMP_CWORD=1
        _heatsink heatsink --extra-c heatsink
        echo "${COMPREPLY[*]}"
        COMP_WORDS=(heatsink ch) COMP_CWORD=1
        _heatsink heatsink ch heatsink
        echo "${COMPREPLY[*]}"
    "#;
    let bash =
        Command::new("bash").args(["-c", ask, "bash"]).arg(script).stdin(Stdio::null()).output();
    let completed = String::from_utf8(bash.expect("bash").stdout).expect("UTF-8");
    assert_eq!(completed, "--extra-collectors\ncheck\n");
}
