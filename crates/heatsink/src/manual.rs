//! The manual pages and completions that are shipped: made from the flags, so that they agree with them,
//! and by a test rather than by the program, which would be larger on every node.
//!
//! `UPDATE_GOLDEN=1 cargo test -p heatsink manual` rewrites them.

use anyhow::{Context, Result};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use testkit::golden::check_golden;

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
                "Reads the counters files again, without a gap on the page, and forgets missing GPUs.",
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
                "Each flag names its own. An empty variable counts as not set, and a flag overrides \
                 its variable. All variables of dcgm-exporter are understood.",
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
            ("heatsink-demo(1), heatsink-check(1), heatsink-fields(1)", "Commands of heatsink."),
            ("nvidia-smi(1), prometheus(1), systemctl(1)", "Programs that it works with."),
        ],
    ),
];

#[test]
fn manual_pages_agree_with_the_flags() {
    let page = |command| String::from_utf8(page(command).unwrap()).unwrap();
    check_golden("../../deploy/man/heatsink.1", &page(None));
    for command in ["demo", "check", "fields"] {
        check_golden(format!("../../deploy/man/heatsink-{command}.1"), &page(Some(command)));
    }
}

#[test]
fn completions_agree_with_the_flags() {
    for (shell, file) in
        [(Shell::Bash, "heatsink.bash"), (Shell::Zsh, "_heatsink"), (Shell::Fish, "heatsink.fish")]
    {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut cli::command(), "heatsink", &mut script);
        let script = String::from_utf8(script).unwrap();
        check_golden(format!("../../deploy/completions/{file}"), &script);
    }
}
