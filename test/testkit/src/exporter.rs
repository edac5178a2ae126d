//! Runs the built binary as a user would, and sends it HTTP requests.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::page::Page;
use crate::pauses::{Stopwatch, in_time};

/// How long the binary may take to log its address. Generous: the machine may be busy.
const START: Duration = Duration::from_secs(60);

/// How long an answer may take, and the end after SIGTERM. As generous.
const ANSWER: Duration = Duration::from_secs(60);

/// How long the last lines of a log may take after the process has ended.
const REST: Duration = Duration::from_secs(5);

/// A running exporter. Killed when dropped.
pub struct Exporter {
    child: Child,
    url: String,
    log: Arc<Mutex<String>>,
    /// The threads that read what it prints.
    readers: Vec<JoinHandle<()>>,
    agent: ureq::Agent,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// From the request to the last byte, without pauses of the machine.
    pub took: Duration,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Adds all that is written to the log.
fn keep(written: impl Read + Send + 'static, log: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let log = Arc::clone(log);
    let reader = thread::Builder::new().name("log".to_owned());
    reader
        .spawn(move || {
            for line in BufReader::new(written).lines().map_while(Result::ok) {
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
            }
        })
        .expect("a thread for the log")
}

/// A command whose environment is that of a service: nothing but a path, and what the test adds.
pub fn command(binary: &str, args: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary);
    command.args(args).env_clear().stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.envs(environment.iter().copied());
    command
}

/// Runs the binary to its end.
///
/// # Panics
///
/// When it cannot be run.
pub fn run(binary: &str, args: &[&str], environment: &[(&str, &str)]) -> Output {
    command(binary, args, environment).output().expect("the binary runs")
}

impl Exporter {
    /// Starts `binary` on a free port of the loopback interface, and waits until it listens.
    ///
    /// # Panics
    ///
    /// When it does not start to listen; the message has its log.
    pub fn start(binary: &str, args: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_in(Path::new("."), binary, args, environment)
    }

    /// The same, in a folder.
    ///
    /// # Panics
    ///
    /// When it does not start to listen; the message has its log.
    pub fn start_in(
        folder: &Path,
        binary: &str,
        args: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut args = args.to_vec();
        args.extend(["--address", "127.0.0.1:0"]);
        let mut child = command(binary, &args, environment)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let log = Arc::new(Mutex::new(String::new()));
        // The demo prints on stdout, all others log on stderr.
        let readers = vec![
            keep(child.stdout.take().expect("stdout is piped"), &log),
            keep(child.stderr.take().expect("stderr is piped"), &log),
        ];
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER))
            .build();
        let mut exporter = Self { child, url: String::new(), log, readers, agent: config.into() };
        let until = Instant::now() + START;
        while exporter.url.is_empty() {
            exporter.url = exporter.address().unwrap_or_default();
            let ended = exporter.child.try_wait().expect("the child can be asked");
            assert!(
                ended.is_none() && Instant::now() < until,
                "the exporter does not listen:\n{}",
                exporter.log()
            );
            thread::sleep(Duration::from_millis(2));
        }
        exporter
    }

    fn address(&self) -> Option<String> {
        let log = self.log();
        let (before, rest) = log.split_once("://127.0.0.1:")?;
        let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let scheme = if before.ends_with("https") { "https" } else { "http" };
        Some(format!("{scheme}://127.0.0.1:{port}"))
    }

    /// Where it listens: `http://127.0.0.1:PORT`, or `https://` with TLS.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens, without the scheme: `127.0.0.1:PORT`.
    pub fn address_and_port(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gets a path.
    ///
    /// # Panics
    ///
    /// When there is no answer within a minute.
    pub fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    /// Gets a path, with request headers.
    ///
    /// # Panics
    ///
    /// When there is no answer within a minute.
    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let began = Stopwatch::start();
        let mut request = self.agent.get(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.call().unwrap_or_else(|error| {
            panic!("no answer to GET {path}: {error}\n{}", self.log());
        });
        let body = response.body_mut().read_to_string().expect("the answer is text");
        let headers = response.headers().iter().map(|(name, value)| {
            (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned())
        });
        Answer {
            status: response.status().as_u16(),
            headers: headers.collect(),
            body,
            took: began.elapsed(),
        }
    }

    /// The metrics page, which must be there and well-formed. No reading is late because the machine stood
    /// still.
    ///
    /// # Panics
    ///
    /// When it is not.
    pub fn page(&self) -> Page {
        in_time(|| self.page_now()).0
    }

    fn page_now(&self) -> Page {
        let answer = self.get("/metrics");
        assert_eq!(answer.status, 200, "{}", answer.body);
        Page::parse(&answer.body).unwrap_or_else(|error| panic!("{error}\n{}", answer.body))
    }

    /// Gets pages until one fulfils a condition, and returns it with the time that took. Pauses of the machine
    /// do not count.
    ///
    /// # Panics
    ///
    /// When none is within `patience`; the message has the last page and the log.
    pub fn wait_for(
        &self,
        what: &str,
        patience: Duration,
        condition: impl Fn(&Page) -> bool,
    ) -> (Page, Duration) {
        let mut took = Duration::ZERO;
        loop {
            let (page, since) = in_time(|| self.page_now());
            took += since;
            if condition(&page) {
                return (page, took);
            }
            assert!(
                took < patience,
                "not within {patience:?}: {what}\n{}\n{}",
                self.get("/metrics").body,
                self.log()
            );
            let pause = Stopwatch::start();
            thread::sleep(Duration::from_millis(20));
            took += pause.elapsed();
        }
    }

    /// Waits until the log has this text, and returns the log. A line arrives later than what it is about is on
    /// the page.
    ///
    /// # Panics
    ///
    /// When it has not within `patience`.
    pub fn logged(&self, text: &str, patience: Duration) -> String {
        self.wait_for(text, patience, |_| self.log().contains(text));
        self.log()
    }

    /// Sends a signal, by its name as `kill` knows it.
    ///
    /// # Panics
    ///
    /// When it cannot be sent.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(sent.success(), "cannot send {name}");
    }

    /// Sends SIGTERM, and returns its exit status, the time until it ended without pauses of the machine, and
    /// its log.
    ///
    /// # Panics
    ///
    /// When it has not ended after a minute.
    pub fn terminate(mut self) -> (ExitStatus, Duration, String) {
        let began = Stopwatch::start();
        self.signal("TERM");
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be asked") {
                let took = began.elapsed();
                self.read_rest();
                return (status, took, self.log());
            }
            assert!(began.elapsed() < ANSWER, "does not end:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the last lines of the log. A child of its own may still have the pipes open.
    fn read_rest(&self) {
        let until = Instant::now() + REST;
        while self.readers.iter().any(|reader| !reader.is_finished()) && Instant::now() < until {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Whether it is still running.
    ///
    /// # Panics
    ///
    /// When the system does not know.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the child can be asked").is_none()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of this repository.
pub fn repository_file(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
