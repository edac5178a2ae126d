//! Steps that run one after the other, stop at the first failure, and say how long each took.

use std::ffi::OsString;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// One thing to do.
pub(crate) struct Step {
    /// What it is called in the output.
    pub(crate) name: &'static str,
    action: Action,
}

enum Action {
    Call(fn(&Path) -> Result<()>),
    /// Gives back why it cannot be done here, if so.
    Optional(fn(&Path) -> Result<Option<String>>),
    Cargo {
        args: Vec<String>,
        env: Option<(&'static str, &'static str)>,
    },
}

impl Step {
    /// A step done by this program; it is given the root of the repository.
    pub(crate) const fn call(name: &'static str, action: fn(&Path) -> Result<()>) -> Self {
        Self { name, action: Action::Call(action) }
    }

    /// The same for what cannot be done everywhere: it says what is missing, and is listed as not run.
    pub(crate) const fn optional(
        name: &'static str,
        action: fn(&Path) -> Result<Option<String>>,
    ) -> Self {
        Self { name, action: Action::Optional(action) }
    }

    /// A step done by cargo.
    pub(crate) fn cargo(name: &'static str, args: &[&str]) -> Self {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        Self { name, action: Action::Cargo { args, env: None } }
    }

    /// The same with more arguments for cargo.
    pub(crate) fn with(mut self, extra: Vec<String>) -> Self {
        if let Action::Cargo { args, .. } = &mut self.action {
            args.extend(extra);
        }
        self
    }

    /// The same with a variable in cargo's environment.
    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> Self {
        if let Action::Cargo { env, .. } = &mut self.action {
            *env = Some((name, value));
        }
        self
    }

    fn run(&self, root: &Path) -> Result<Option<String>> {
        match &self.action {
            Action::Call(action) => action(root).map(|()| None),
            Action::Optional(action) => action(root),
            Action::Cargo { args, env } => run_cargo(root, args, *env).map(|()| None),
        }
    }
}

fn run_cargo(root: &Path, args: &[String], env: Option<(&str, &str)>) -> Result<()> {
    // The cargo that runs this program says which it is, so that a toolchain chosen on the command
    // line holds for every step.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let status = Command::new(cargo)
        .args(args)
        .envs(env)
        .current_dir(root)
        .status()
        .context("cargo could not be started")?;
    if !status.success() {
        bail!("`cargo {}`: {status}", args.join(" "));
    }
    Ok(())
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    AllPassed,
    Failed,
}

/// Runs `steps` until one fails; prints each as it begins, and at the end how long each took.
pub(crate) fn run(root: &Path, steps: Vec<Step>) -> Outcome {
    let mut done = Vec::new();
    let mut failure = None;
    for (index, step) in steps.iter().enumerate() {
        println!("==> {} ({} of {})", step.name, index + 1, steps.len());
        let began = Instant::now();
        // What the test kit finds, it says by panicking.
        let result = catch_unwind(|| step.run(root))
            .unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked; what it said is above")));
        let verdict = match &result {
            Ok(None) => "ok".to_owned(),
            Ok(Some(missing)) => format!("not run: {missing}"),
            Err(_) => "FAILED".to_owned(),
        };
        done.push((step.name, began.elapsed(), verdict));
        if let Err(error) = result {
            failure = Some(format!("{}: {error:#}", step.name));
            break;
        }
    }
    let not_run = steps.iter().skip(done.len()).map(|step| step.name).collect::<Vec<_>>();
    if steps.len() > 1 {
        print!("\n{}", table(&done, &not_run));
    }
    match failure {
        None => Outcome::AllPassed,
        Some(failure) => {
            eprintln!("failed: {failure}");
            Outcome::Failed
        }
    }
}

fn table(done: &[(&str, Duration, String)], not_run: &[&str]) -> String {
    let mut text = String::new();
    for (name, took, verdict) in done {
        text += &format!("  {name:<13} {:>8.1} s  {verdict}\n", took.as_secs_f64());
    }
    for name in not_run {
        text += &format!("  {name:<13} {:>8}    not run\n", "-");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(_: &Path) -> Result<()> {
        Ok(())
    }

    fn fails(_: &Path) -> Result<()> {
        bail!("on purpose")
    }

    fn cannot(_: &Path) -> Result<Option<String>> {
        Ok(Some("nothing to run it with".to_owned()))
    }

    fn panics(_: &Path) -> Result<()> {
        panic!("on purpose")
    }

    fn must_not_run(_: &Path) -> Result<()> {
        panic!("a step ran after one had failed")
    }

    #[test]
    fn the_first_failure_ends_it() {
        let steps = vec![
            Step::call("one", passes),
            Step::call("two", fails),
            Step::call("three", must_not_run),
        ];
        assert_eq!(run(Path::new("."), steps), Outcome::Failed);
        let steps = vec![Step::call("one", panics), Step::call("two", must_not_run)];
        assert_eq!(run(Path::new("."), steps), Outcome::Failed);
        assert_eq!(run(Path::new("."), vec![Step::call("one", passes)]), Outcome::AllPassed);
        let not_run = vec![Step::optional("one", cannot), Step::call("two", passes)];
        assert_eq!(run(Path::new("."), not_run), Outcome::AllPassed);
    }

    #[test]
    fn the_table_names_every_step() {
        let done = [
            ("format", Duration::from_millis(1250), "ok".to_owned()),
            ("arm", Duration::ZERO, "not run: no such target".to_owned()),
            ("clippy", Duration::ZERO, "FAILED".to_owned()),
        ];
        assert_eq!(
            table(&done, &["test set-up"]),
            concat!(
                "  format             1.2 s  ok\n",
                "  arm                0.0 s  not run: no such target\n",
                "  clippy             0.0 s  FAILED\n",
                "  test set-up          -    not run\n",
            )
        );
    }

    #[test]
    fn a_cargo_that_fails_is_a_failure() {
        let step = Step::cargo("wrong", &["no-such-subcommand-of-cargo"]);
        let error = step.run(Path::new(".")).unwrap_err().to_string();
        assert!(error.contains("`cargo no-such-subcommand-of-cargo`"), "{error}");
    }
}
