//! The manual pages and completions that are shipped: made from the flags, so that they cannot be
//! others, and made here rather than in the program, which would be larger for it on every node.
//!
//! `UPDATE_GOLDEN=1 cargo test -p heatsink manual` rewrites them.

use anyhow::{Context, Result};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use testkit::golden::check_golden;

use crate::cli;

/// The page of a command, or of heatsink itself.
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

/// What the flags do not say. The first is of every command.
const SECTIONS: &[Section] = &[
    (
        "EXIT STATUS",
        &[
            ("0", "All went well; of check, data flows."),
            (
                "1",
                "The answer is no: of check, no data flows; of fields, nothing fits the pattern.",
            ),
            (
                "2",
                "It could not start: settings that cannot work, a port that is taken. Nothing was served.",
            ),
        ],
    ),
    (
        "SIGNALS",
        &[
            (
                "SIGHUP",
                "The counters files are read again, without a gap on the page, and GPUs that are missing \
                 are forgotten.",
            ),
            ("SIGTERM, SIGINT", "The answers under way are finished, within two seconds."),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            ("NODE_NAME", "The label hostname, in place of the system's name."),
            (
                "NOTIFY_SOCKET, WATCHDOG_USEC, LISTEN_FDS",
                "systemd's: it is told when heatsink serves and that it is alive, and may pass the \
                 socket to listen on.",
            ),
            (
                "Variables of flags",
                "Each flag names its own. One that is empty counts as not set, and the flag goes \
                 before the variable. Those of dcgm-exporter are understood, all of them.",
            ),
        ],
    ),
    (
        "FILES",
        &[
            ("/etc/default/heatsink", "Variables for the service, in Debian's package."),
            (
                "/usr/share/heatsink/",
                "Counters files to begin with, rules for Prometheus, dashboards for Grafana.",
            ),
            ("/dev/kmsg", "The kernel's log, from which XIDs are counted."),
        ],
    ),
    (
        "SEE ALSO",
        &[
            ("heatsink-demo(1), heatsink-check(1), heatsink-fields(1)", "The commands."),
            ("nvidia-smi(1), prometheus(1), systemctl(1)", "What it works with."),
        ],
    ),
];

#[test]
fn the_manual_is_that_of_the_flags() {
    let page = |command| String::from_utf8(page(command).unwrap()).unwrap();
    check_golden("../../deploy/man/heatsink.1", &page(None));
    for command in ["demo", "check", "fields"] {
        check_golden(format!("../../deploy/man/heatsink-{command}.1"), &page(Some(command)));
    }
}

#[test]
fn completions_are_those_of_the_flags() {
    for (shell, file) in
        [(Shell::Bash, "heatsink.bash"), (Shell::Zsh, "_heatsink"), (Shell::Fish, "heatsink.fish")]
    {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut cli::command(), "heatsink", &mut script);
        let script = String::from_utf8(script).unwrap();
        check_golden(format!("../../deploy/completions/{file}"), &script);
    }
}
