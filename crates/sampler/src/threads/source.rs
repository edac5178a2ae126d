//! The thread that opens and closes the source, so that a driver that does not return from that
//! blocks nothing else.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use model::{Session, Source};

use super::command::{Command, OpenRequest, Opened};
use crate::state::plan::Plan;

/// The thread that owns the source.
pub(crate) struct SourceThread {
    jobs: Sender<Job>,
    thread: io::Result<JoinHandle<()>>,
}

enum Job {
    Open { request: OpenRequest, plan: Arc<Plan> },
    Close(Box<dyn Session>),
}

impl SourceThread {
    /// Starts it. `results` gets [`Command::Opened`].
    pub(crate) fn start(source: Box<dyn Source>, results: Sender<Command>) -> Self {
        let (jobs, received) = mpsc::channel();
        let run = move || run(source, &received, &results);
        Self { jobs, thread: thread::Builder::new().name("source".to_owned()).spawn(run) }
    }

    /// Why there is no thread, if so: then nothing is ever opened.
    pub(crate) fn error(&self) -> Option<&io::Error> {
        self.thread.as_ref().err()
    }

    /// Opens the source. Returns whether there will be a result.
    pub(crate) fn open(&self, request: OpenRequest, plan: Arc<Plan>) -> bool {
        self.jobs.send(Job::Open { request, plan }).is_ok()
    }

    /// Closes a session, which may take as long as the driver does.
    pub(crate) fn close(&self, session: Option<Box<dyn Session>>) {
        if let Some(session) = session {
            // Without the thread, the session is dropped here.
            let _ = self.jobs.send(Job::Close(session));
        }
    }

    /// Waits until the thread has done all of its jobs.
    pub(crate) fn join(self) {
        drop(self.jobs);
        if let Ok(thread) = self.thread {
            let _ = thread.join();
        }
    }
}

fn run(mut source: Box<dyn Source>, jobs: &Receiver<Job>, results: &Sender<Command>) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Open { request, plan } => {
                let result = source.connect(&plan.watches, request.renew);
                let opened = Opened { request, plan, result };
                if results.send(Command::Opened(Box::new(opened))).is_err() {
                    return;
                }
            }
            Job::Close(session) => drop(session),
        }
    }
}
