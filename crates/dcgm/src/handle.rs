//! A connection to an engine. It is made on its own thread, because it can take any time.

use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::abi::{self, version_word};
use crate::address::Address;
use crate::code::Code;
use crate::engine::{Engine, Log};
use crate::error::{DcgmError, Hint};
use crate::library::Api;

/// How long DCGM itself tries to reach a host engine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long one call of [`Attempts::connect`] waits.
const DEADLINE: Duration = Duration::from_millis(2500);

/// How long an attempt may hang before the next one starts beside it. Each attempt holds a thread,
/// so there are few. Most attempts that hang return when the engine does, but not if its machine
/// went down.
const NEXT_ATTEMPT_AFTER: [Duration; 4] = [
    Duration::from_secs(5),
    Duration::from_secs(20),
    Duration::from_secs(60),
    Duration::from_secs(300),
];

/// A connection to an engine that has answered. Dropping it disconnects.
pub(crate) struct Handle {
    pub(crate) api: &'static Api,
    pub(crate) raw: usize,
    is_embedded: bool,
    /// The engine's version, such as `4.6.0`; `None` if it does not report one.
    pub(crate) version: Option<String>,
    /// Whether the engine is gone or no longer answers.
    is_dead: AtomicBool,
}

impl Handle {
    /// Connects. May block for any time.
    fn open(api: &'static Api, engine: &Engine) -> Result<Self, DcgmError> {
        let raw = match engine {
            Engine::Embedded(log) => start(api, log),
            Engine::Remote(address) => connect(api, address),
        };
        let raw = raw.map_err(|code| DcgmError::CannotReach {
            engine: engine.clone(),
            code,
            hint: Hint::for_engine(engine),
        })?;
        let is_embedded = matches!(engine, Engine::Embedded(_));
        let mut handle =
            Self { api, raw, is_embedded, version: None, is_dead: AtomicBool::new(false) };
        // DCGM can report success for a connection that does not work.
        handle.version = api.version_of_engine(raw).map_err(|code| {
            handle.mark_dead();
            DcgmError::NoVersion { engine: engine.clone(), code, hint: Hint::for_engine(engine) }
        })?;
        if let Some(version) = &handle.version
            && !version.starts_with("4.")
        {
            let own = api.own_version().unwrap_or_else(|| "4".to_owned());
            let version = version.clone();
            return Err(DcgmError::EngineTooOld { engine: engine.clone(), version, own });
        }
        Ok(handle)
    }

    /// Whether the engine is gone.
    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    /// Notes that the engine is gone. Nothing is undone in it after that.
    pub(crate) fn mark_dead(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
    }

    /// Checks the return code of a call, and notes if it says that the engine is gone.
    pub(crate) fn check(&self, code: i32) -> Result<(), Code> {
        let checked = Code::check(code);
        if checked.is_err_and(Code::is_about_the_engine) {
            self.mark_dead();
        }
        checked
    }

    /// Whether the engine still answers. May block.
    pub(crate) fn answers(&self) -> bool {
        !self.is_dead() && self.api.version_of_engine(self.raw).is_ok()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let (raw, is_dead, is_embedded) = (self.raw, self.is_dead(), self.is_embedded);
        let end = if self.is_embedded { self.api.stop_embedded } else { self.api.disconnect };
        // SAFETY: the handle is one that DCGM gave out, and this is its last user.
        let end = move || unsafe { end(raw) };
        if is_embedded && !is_dead {
            // It has to end before another one can start.
            end();
            return;
        }
        // An engine that has stopped does not answer this call either. If no thread can be started,
        // the connection is leaked.
        let _ = thread::Builder::new().name("dcgm end".to_owned()).spawn(end);
    }
}

/// Starts an engine inside this process.
fn start(api: &Api, log: &Log) -> Result<usize, Code> {
    let file = log.file.as_ref().and_then(|file| CString::new(file.as_encoded_bytes()).ok());
    let mut params = abi::StartEmbedded {
        version: version_word::<abi::StartEmbedded>(1),
        mode: abi::OPERATION_MODE_AUTO,
        handle: 0,
        log_file: file.as_ref().map_or(std::ptr::null(), |file| file.as_ptr()),
        severity: log.severity,
        deny_count: 0,
        deny: [0; 10],
    };
    // SAFETY: the structure bears its version; it and the file's name outlive the call.
    Code::check(unsafe { (api.start_embedded)(&mut params) })?;
    Ok(params.handle)
}

/// Connects to a host engine.
fn connect(api: &Api, address: &Address) -> Result<usize, Code> {
    let mut raw = 0;
    let timeout_ms = CONNECT_TIMEOUT.as_millis() as u32;
    let answer = if let Some(connect) = api.connect_v3 {
        let mut params = abi::ConnectV3 {
            version: version_word::<abi::ConnectV3>(1),
            persist_after_disconnect: 0,
            timeout_ms,
        };
        // SAFETY: the structure bears its version; it, the text and the handle outlive the call.
        unsafe { connect(address.as_c().as_ptr(), &mut params, &mut raw) }
    } else {
        let connect = api.connect_v2.ok_or(Code(-20))?;
        let socket = address.socket();
        let mut params = abi::ConnectV2 {
            version: version_word::<abi::ConnectV2>(2),
            persist_after_disconnect: 0,
            timeout_ms,
            address_is_unix_socket: socket.is_some().into(),
        };
        let text = socket.unwrap_or_else(|| address.as_c());
        // SAFETY: as above.
        unsafe { connect(text.as_ptr(), &mut params, &mut raw) }
    };
    Code::check(answer).map(|()| raw)
}

/// Attempts to connect that have not returned yet.
#[derive(Default)]
pub(crate) struct Attempts(Vec<Attempt>);

struct Attempt {
    answer: Receiver<Result<Handle, DcgmError>>,
    since: Instant,
}

impl Attempts {
    /// Connects within bounded time. An attempt that takes longer continues, and the next call
    /// waits for it again.
    ///
    /// # Errors
    ///
    /// Why there is no connection now.
    pub(crate) fn connect(
        &mut self,
        api: &'static Api,
        engine: &Engine,
    ) -> Result<Handle, DcgmError> {
        let is_time = match (self.0.len().checked_sub(1), self.0.last()) {
            (Some(others), Some(attempt)) => {
                // There can be only one engine inside this process.
                let is_remote = matches!(engine, Engine::Remote(_));
                let timeout = NEXT_ATTEMPT_AFTER.get(others);
                is_remote && timeout.is_some_and(|timeout| attempt.since.elapsed() > *timeout)
            }
            _ => true,
        };
        if is_time {
            self.0.push(Attempt::start(api, engine)?);
        }
        let until = Instant::now() + DEADLINE;
        let mut failed = None;
        // The newest attempt first: its answer is the most recent.
        while let Some(attempt) = self.0.last() {
            match attempt.answer.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Ok(handle)) => {
                    self.0.clear();
                    return Ok(handle);
                }
                Ok(Err(error)) => failed = Some(error),
                Err(RecvTimeoutError::Disconnected) => {
                    failed = Some(DcgmError::ConnectPanicked(engine.clone()));
                }
                Err(RecvTimeoutError::Timeout) => break,
            }
            self.0.pop();
        }
        // An older attempt may have returned meanwhile.
        let mut found = None;
        self.0.retain(|attempt| match attempt.answer.try_recv() {
            Ok(Ok(handle)) => {
                found = Some(handle);
                false
            }
            Ok(Err(_)) | Err(mpsc::TryRecvError::Disconnected) => false,
            Err(mpsc::TryRecvError::Empty) => true,
        });
        found.ok_or_else(|| failed.unwrap_or_else(|| DcgmError::NoAnswer(engine.clone())))
    }
}

impl Attempt {
    fn start(api: &'static Api, engine: &Engine) -> Result<Self, DcgmError> {
        let (sender, answer) = mpsc::channel();
        let engine = engine.clone();
        thread::Builder::new()
            .name("dcgm connect".to_owned())
            .spawn(move || {
                // If the receiver is gone, the handle is dropped, which disconnects.
                let _ = sender.send(Handle::open(api, &engine));
            })
            .map_err(DcgmError::NoThread)?;
        Ok(Self { answer, since: Instant::now() })
    }
}
