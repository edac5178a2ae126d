//! What the tests need beside Rust and a C compiler: `promtool` and `prometheus`, to judge our
//! pages by Prometheus' own parser; Alertmanager, to get its messages; Node.js, to check the
//! dashboards against Grafana's types; systemd, to pass a socket. And what it takes to build and try
//! packages and images.

mod debian13;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

/// A program that the tests start, and the Debian package that brings it.
struct Tool {
    program: &'static str,
    package: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool { program: "promtool", package: "prometheus" },
    Tool { program: "prometheus", package: "prometheus" },
    Tool { program: "prometheus-alertmanager", package: "prometheus-alertmanager" },
    Tool { program: "amtool", package: "prometheus-alertmanager" },
    Tool { program: "node", package: "nodejs" },
    Tool { program: "npm", package: "npm" },
    Tool { program: "systemd-socket-activate", package: "systemd" },
    Tool { program: "journalctl", package: "systemd" },
    Tool { program: "systemd-journal-remote", package: "systemd-journal-remote" },
    Tool { program: "setpriv", package: "util-linux" },
    Tool { program: "curl", package: "curl" },
    Tool { program: "openssl", package: "openssl" },
];

/// For everything that is deployed.
const DEPLOY_TOOLS: &[Tool] = &[
    Tool { program: "npm", package: "npm" },
    Tool { program: "amtool", package: "prometheus-alertmanager" },
    Tool { program: "promtool", package: "prometheus" },
    Tool { program: "objdump", package: "binutils" },
    Tool { program: "systemd-analyze", package: "systemd" },
    Tool { program: "dpkg-deb", package: "dpkg" },
    Tool { program: "debootstrap", package: "debootstrap" },
    Tool { program: "setpriv", package: "util-linux" },
    Tool { program: "buildah", package: "buildah" },
];

/// What this process may do about a missing package.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rights {
    Root,
    Sudo,
    None,
}

/// For tests.
pub(crate) fn run(root: &Path) -> Result<()> {
    provide(TOOLS)?;
    debian13::provide(root)
}

/// For what is deployed. Only root may make a Debian to install into.
pub(crate) fn deploy(_: &Path) -> Result<()> {
    provide(DEPLOY_TOOLS)?;
    python()?;
    ensure!(
        rights() == Rights::Root,
        "packages and images are tried in folders of root's: run this as root, in a checkout of root's"
    );
    Ok(())
}

/// For Python environments. Debian has the half of Python that makes them in its own package.
pub(crate) fn python() -> Result<()> {
    let makes_environments =
        Command::new("python3").args(["-c", "import ensurepip, venv"]).output();
    if !makes_environments.is_ok_and(|output| output.status.success()) {
        install(&["python3-venv"])?;
    }
    Ok(())
}

/// Installs what is missing, and checks that it is there.
fn provide(tools: &[Tool]) -> Result<()> {
    let packages = missing(tools, &search_path());
    if packages.is_empty() {
        return Ok(());
    }
    install(&packages)?;
    let still = missing(tools, &search_path());
    if !still.is_empty() {
        bail!("{} installed, but its programs are not found", still.join(" "));
    }
    Ok(())
}

/// Installs packages where this process may, and otherwise says what to install.
fn install(packages: &[&str]) -> Result<()> {
    for command in plan(packages, has_program("apt-get"), rights())? {
        println!("$ {}", command.join(" "));
        execute(&command)?;
    }
    if Path::new("/run/systemd/system").exists() {
        println!(
            "note: Debian starts a server with each of its packages; the tests do not need them: \
             sudo systemctl disable --now prometheus prometheus-alertmanager"
        );
    }
    Ok(())
}

/// The commands that install `packages`, or one line that says what a person has to do.
fn plan(packages: &[&str], debian: bool, rights: Rights) -> Result<Vec<Vec<String>>> {
    let names = packages.join(" ");
    if !debian {
        bail!(
            "missing: {names} (Debian's names). Install what has these programs from your distribution, \
             or Prometheus from https://prometheus.io/download/, so that they are on PATH"
        );
    }
    let prefix: &[&str] = match rights {
        Rights::Root => &["env"],
        Rights::Sudo => &["sudo", "-n", "env"],
        Rights::None => bail!(
            "missing: {names}. Get it with: sudo apt-get update && sudo apt-get install \
             --no-install-recommends {names}"
        ),
    };
    let apt = |arguments: &[&str]| {
        let quiet = ["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"];
        let words = prefix.iter().chain(&quiet).chain(arguments);
        words.map(|&word| word.to_owned()).collect::<Vec<_>>()
    };
    let mut install = apt(&["install", "--no-install-recommends"]);
    install.extend(packages.iter().map(|&package| package.to_owned()));
    Ok(vec![apt(&["update"]), install])
}

fn missing<'a>(tools: &'a [Tool], path: &[PathBuf]) -> Vec<&'a str> {
    let absent = tools.iter().filter(|tool| find(tool.program, path).is_none());
    let mut packages = absent.map(|tool| tool.package).collect::<Vec<_>>();
    packages.dedup();
    packages
}

fn find(program: &str, path: &[PathBuf]) -> Option<PathBuf> {
    path.iter().map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where Debian has programs of systemd that people do not start.
    std::env::split_paths(&path).chain(["/lib/systemd".into()]).collect()
}

fn has_program(program: &str) -> bool {
    find(program, &search_path()).is_some()
}

fn rights() -> Rights {
    let id = Command::new("id").arg("-u").output();
    if id.is_ok_and(|output| output.stdout.trim_ascii() == b"0") {
        return Rights::Root;
    }
    // `-n` makes sudo fail rather than ask: a build must never wait for a password.
    let sudo = Command::new("sudo")
        .args(["-n", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if sudo.is_ok_and(|status| status.success()) { Rights::Sudo } else { Rights::None }
}

fn execute(command: &[String]) -> Result<()> {
    let (program, arguments) = command.split_first().context("an empty command")?;
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("{program} could not be started"))?;
    if !status.success() {
        bail!("`{}`: {status}", command.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOWHERE: &[Tool] = &[
        Tool { program: "no-such-tool", package: "some-package" },
        Tool { program: "no-such-tool-either", package: "some-package" },
    ];

    #[test]
    fn a_missing_tool_names_its_package_once() {
        assert_eq!(missing(NOWHERE, &search_path()), ["some-package"]);
    }

    #[test]
    fn a_tool_that_is_there_is_not_missing() {
        let tools = [Tool { program: "sh", package: "dash" }];
        assert_eq!(missing(&tools, &search_path()), Vec::<&str>::new());
    }

    #[test]
    fn updates_once_then_installs_without_asking() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let env = "env DEBIAN_FRONTEND=noninteractive apt-get -q -y";
        let install = "install --no-install-recommends prometheus";
        assert_eq!(
            plan(&["prometheus"], true, Rights::Root).unwrap(),
            [words(&format!("{env} update")), words(&format!("{env} {install}"))]
        );
        assert_eq!(
            plan(&["prometheus"], true, Rights::Sudo).unwrap(),
            [words(&format!("sudo -n {env} update")), words(&format!("sudo -n {env} {install}"))]
        );
    }

    #[test]
    fn without_rights_one_line_says_what_to_do() {
        for (debian, rights) in [(true, Rights::None), (false, Rights::Root)] {
            let line = plan(&["prometheus"], debian, rights).unwrap_err().to_string();
            assert!(line.starts_with("missing: prometheus"), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
    }
}
