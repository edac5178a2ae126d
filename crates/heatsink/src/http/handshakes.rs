//! TLS handshakes run on a thread of their own: each takes up to milliseconds of a processor, which
//! must not delay a scrape.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use super::transport::Wire;

/// The thread, from the first handshake on.
#[derive(Default)]
pub(super) struct Handshakes(Mutex<Option<Worker>>);

struct Worker {
    handle: Handle,
    /// Dropped at the end, which ends the thread.
    _stop: oneshot::Sender<()>,
}

impl Handshakes {
    /// Does a handshake, and gives the stream back. Ends it if this is dropped.
    ///
    /// # Errors
    ///
    /// What is wrong with the client, or why there is no thread.
    pub(super) async fn run(
        &self,
        config: Arc<ServerConfig>,
        stream: Wire,
    ) -> io::Result<TlsStream<Wire>> {
        let handle = self.handle()?;
        let mut handshake = JoinSet::new();
        // The stream stays registered with the runtime that accepted it.
        handshake.spawn_on(TlsAcceptor::from(config).accept(stream), &handle);
        match handshake.join_next().await {
            Some(Ok(result)) => result,
            _ => Err(io::Error::other("the thread for handshakes has ended")),
        }
    }

    fn handle(&self) -> io::Result<Handle> {
        let mut worker = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = worker.as_ref() {
            return Ok(worker.handle.clone());
        }
        let new = Worker::start()
            .inspect_err(|error| tracing::warn!("no thread for TLS handshakes: {error}"))?;
        Ok(worker.insert(new).handle.clone())
    }
}

impl Worker {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new().name("tls".to_owned()).spawn(move || {
            // It ends once the sender is gone.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, _stop: stop })
    }
}
