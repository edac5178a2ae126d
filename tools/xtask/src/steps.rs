//! Steps that run one after the other or side by side, stop at the first failure, and print how long
//! each took.

use std::ffi::OsString;
use std::fs::{self, File};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// One thing to do.
pub(crate) struct Step {
    /// What it is called in the output.
    pub(crate) name: &'static str,
    action: Action,
    /// Neighbours with different lanes run side by side, those of one lane in their order.
    lane: Option<Lane>,
}

/// Steps that run beside those of other lanes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    /// Tests that the others must not slow down.
    Tests,
    /// Servers, which wait most of the time.
    Servers,
    /// Builds: they get the processor time that the others leave.
    Builds,
}

enum Action {
    Call(fn(&Path) -> Result<()>),
    /// Gives back why it cannot be done here, if so.
    Optional(fn(&Path) -> Result<Option<String>>),
    Cargo {
        args: Vec<String>,
        env: Option<(&'static str, String)>,
    },
}

impl Step {
    /// A step done by this program; it is given the root of the repository.
    pub(crate) const fn call(name: &'static str, action: fn(&Path) -> Result<()>) -> Self {
        Self { name, action: Action::Call(action), lane: None }
    }

    /// The same for what cannot be done everywhere: it says what is missing, and is listed as not run.
    pub(crate) const fn optional(
        name: &'static str,
        action: fn(&Path) -> Result<Option<String>>,
    ) -> Self {
        Self { name, action: Action::Optional(action), lane: None }
    }

    /// A step done by cargo.
    pub(crate) fn cargo(name: &'static str, args: &[&str]) -> Self {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        Self { name, action: Action::Cargo { args, env: None }, lane: None }
    }

    /// The same with more arguments for cargo.
    pub(crate) fn with(mut self, extra: Vec<String>) -> Self {
        if let Action::Cargo { args, .. } = &mut self.action {
            args.extend(extra);
        }
        self
    }

    /// The same with a variable in cargo's environment.
    pub(crate) fn env(mut self, name: &'static str, value: impl ToString) -> Self {
        if let Action::Cargo { env, .. } = &mut self.action {
            *env = Some((name, value.to_string()));
        }
        self
    }

    /// The same beside the steps of other lanes, as far as no step without a lane is between them.
    pub(crate) fn beside(mut self, lane: Lane) -> Self {
        self.lane = Some(lane);
        self
    }

    /// Runs it in this process; returns why it was not run, if so.
    fn run(&self, root: &Path) -> Result<Option<String>> {
        match &self.action {
            Action::Call(action) => action(root).map(|()| None),
            Action::Optional(action) => action(root),
            Action::Cargo { args, env } => {
                let status = cargo(root, args, env.as_ref()).status();
                let status = status.context("cargo could not be started")?;
                if !status.success() {
                    bail!("`cargo {}`: {status}", args.join(" "));
                }
                Ok(None)
            }
        }
    }

    /// Runs it in a process of its own, and returns also what it printed.
    fn run_apart(&self, root: &Path, program: &Path) -> (Result<Option<String>>, String) {
        let plain = match &self.action {
            Action::Cargo { args, env } => cargo(root, args, env.as_ref()),
            Action::Call(_) | Action::Optional(_) => {
                let mut command = Command::new(program);
                command.args(["step", self.name]);
                command
            }
        };
        let mut command = self.prioritized(&plain);
        let log = self.log(root);
        let result = printing_to(&mut command, &log);
        let text = fs::read(&log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let last = text.lines().next_back().unwrap_or_default();
        let not_run = last.strip_prefix(NOT_RUN).map(str::to_owned);
        (result.map(|()| not_run), text)
    }

    /// The same command at the priority of its lane: tests, which measure times, go first.
    fn prioritized(&self, plain: &Command) -> Command {
        let priority = match self.lane {
            None | Some(Lane::Tests) => "-n0",
            Some(Lane::Servers) => "-n5",
            Some(Lane::Builds) => "-n10",
        };
        let mut command = Command::new("nice");
        command.arg(priority).arg(plain.get_program()).args(plain.get_args());
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = plain.get_current_dir() {
            command.current_dir(folder);
        }
        command
    }

    /// Where its output is, if it runs beside others.
    fn log(&self, root: &Path) -> PathBuf {
        root.join("target/xtask").join(format!("{}.log", self.name.replace(' ', "-")))
    }
}

/// Before the reason why an optional step was not run.
const NOT_RUN: &str = "not run: ";

/// Runs a command, its output in a file.
fn printing_to(command: &mut Command, log: &Path) -> Result<()> {
    fs::create_dir_all(log.parent().unwrap_or(log)).context("cannot make a folder for the log")?;
    let file = File::create(log).context("cannot make the log")?;
    let errors = file.try_clone().context("cannot make the log")?;
    let status = command.stdin(Stdio::null()).stdout(file).stderr(errors).status();
    let status = status.context("it could not be started")?;
    if !status.success() {
        bail!("{status}");
    }
    Ok(())
}

fn cargo(root: &Path, args: &[String], env: Option<&(&str, String)>) -> Command {
    // The cargo that runs this program passes its own path, so that a toolchain chosen on the
    // command line holds for every step.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(args).envs(env.map(|(name, value)| (name, value))).current_dir(root);
    command
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    AllPassed,
    Failed,
}

/// The step that has been run, how long it took, and how it ended.
type Done = (&'static str, Duration, String);

/// Runs `steps` until one fails; prints each as it begins, and at the end how long each took.
pub(crate) fn run(root: &Path, steps: Vec<Step>) -> Outcome {
    let mut done = Vec::new();
    let mut result = Ok(());
    for group in steps.chunk_by(|one, other| one.lane.is_some() && other.lane.is_some()) {
        if result.is_ok() {
            result = match group {
                [step] => run_one(root, step, steps.len(), &mut done),
                group => run_beside(root, group, &mut done),
            };
        }
    }
    let not_run = steps.iter().filter(|step| done.iter().all(|(name, ..)| *name != step.name));
    let not_run = not_run.map(|step| step.name).collect::<Vec<_>>();
    if steps.len() > 1 {
        print!("\n{}", table(&done, &not_run));
    }
    outcome(result)
}

fn outcome(result: Result<()>) -> Outcome {
    match result {
        Ok(()) => Outcome::AllPassed,
        Err(error) => {
            eprintln!("failed: {error:#}");
            Outcome::Failed
        }
    }
}

fn run_one(root: &Path, step: &Step, of: usize, done: &mut Vec<Done>) -> Result<()> {
    println!("==> {} ({} of {of})", step.name, done.len() + 1);
    let began = Instant::now();
    // The test kit panics where it finds something.
    let result = catch_unwind(|| step.run(root))
        .unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked; what it said is above")));
    done.push((step.name, began.elapsed(), verdict(&result)));
    result.map(drop).with_context(|| step.name)
}

/// Runs the steps of each lane in their order, all lanes at once. Once a step has failed no other
/// begins. Prints the output of each when it ends.
fn run_beside(root: &Path, steps: &[Step], done: &mut Vec<Done>) -> Result<()> {
    // By the running process: a step that builds the workspace may replace the file.
    let program = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    let state = Mutex::new((done, Ok(())));
    let locked = || state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    thread::scope(|scope| {
        for lane in [Lane::Tests, Lane::Servers, Lane::Builds] {
            let (program, locked) = (&program, &locked);
            scope.spawn(move || {
                for step in steps.iter().filter(|step| step.lane == Some(lane)) {
                    if locked().1.is_err() {
                        return;
                    }
                    println!("==> {} begins: {}", step.name, step.log(root).display());
                    let began = Instant::now();
                    let (result, text) = step.run_apart(root, program);
                    let mut state = locked();
                    println!("==> {} ended: {}\n{text}", step.name, verdict(&result));
                    state.0.push((step.name, began.elapsed(), verdict(&result)));
                    if let Err(error) = result {
                        state.1 = Err(error.context(step.name));
                    }
                }
            });
        }
    });
    state.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).1
}

fn verdict(result: &Result<Option<String>>) -> String {
    match result {
        Ok(None) => "ok".to_owned(),
        Ok(Some(missing)) => format!("{NOT_RUN}{missing}"),
        Err(_) => "FAILED".to_owned(),
    }
}

/// Runs one of `steps` alone, as part of [`run_beside`] or for a developer; `None` if there is no
/// such step.
pub(crate) fn run_named(root: &Path, steps: Vec<Step>, name: &str) -> Option<Outcome> {
    let step = steps.into_iter().find(|step| step.name == name)?;
    let mut done = Vec::new();
    let result = run_one(root, &step, 1, &mut done);
    println!("{}", done.pop()?.2);
    Some(outcome(result))
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
    fn lanes_run_side_by_side_and_stop_at_a_failure() {
        // Cargo steps, since a call would start this test program.
        let version = || Step::cargo("version", &["--version"]).beside(Lane::Tests);
        let steps = [version(), Step::cargo("list", &["--list"]).beside(Lane::Builds)];
        let mut done = Vec::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        run_beside(&root, &steps, &mut done).unwrap();
        let mut names = done.iter().map(|(name, _, verdict)| format!("{name} {verdict}"));
        assert_eq!(names.by_ref().count(), 2);
        assert!(done.iter().all(|(_, _, verdict)| verdict == "ok"));
        let wrong = Step::cargo("wrong", &["no-such-subcommand-of-cargo"]).beside(Lane::Tests);
        done.clear();
        let error = run_beside(&root, &[wrong, version()], &mut done).unwrap_err();
        assert!(format!("{error:#}").starts_with("wrong: "), "{error:#}");
        assert_eq!(done.iter().map(|(name, ..)| *name).collect::<Vec<_>>(), ["wrong"]);
    }

    #[test]
    fn a_step_apart_gives_its_output_and_why_it_was_not_run() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        // A name, and so a log, of its own: tests run at once.
        let step = Step::cargo("version apart", &["--version"]).beside(Lane::Servers);
        let (result, text) = step.run_apart(&root, Path::new("unused"));
        assert_eq!((result.unwrap(), &text[..6]), (None, "cargo "));
        // This program is given `step NAME`.
        let (result, text) =
            Step::optional("not run: x", cannot).run_apart(&root, Path::new("echo"));
        assert_eq!(text, "step not run: x\n");
        assert_eq!(result.unwrap(), None);
    }

    #[test]
    fn one_step_by_its_name() {
        let steps = || vec![Step::call("one", fails), Step::call("two", passes)];
        assert_eq!(run_named(Path::new("."), steps(), "two"), Some(Outcome::AllPassed));
        assert_eq!(run_named(Path::new("."), steps(), "one"), Some(Outcome::Failed));
        assert_eq!(run_named(Path::new("."), steps(), "three"), None);
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
