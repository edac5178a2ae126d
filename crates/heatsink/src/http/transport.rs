//! The bytes of a connection, with a limit on how long a client does not read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::connections::Activity;

/// TCP or a Unix socket, encrypted or not.
pub(super) type Wire = Box<dyn Bidirectional>;

/// Can be read and written.
pub(super) trait Bidirectional: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bidirectional for T {}

/// A connection whose [`Activity`] follows what is written.
pub(super) struct Transport {
    wire: Wire,
    activity: Arc<Activity>,
    /// How long a client may read nothing of a response.
    timeout: Duration,
    /// When the client has to have read something; `None` while it reads.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Transport {
    pub(super) fn new(wire: Wire, activity: Arc<Activity>, timeout: Duration) -> Self {
        Self { wire, activity, timeout, deadline: None }
    }

    /// Notes whether the client reads. An error once it has not for too long.
    fn note<T>(
        &mut self,
        context: &mut Context,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.deadline = None;
            self.activity.sent(false, Instant::now());
            return written;
        }
        if self.deadline.is_none() {
            self.activity.sent(true, Instant::now());
        }
        let timeout = self.timeout;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context,
        buffer: &mut ReadBuf,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_read(context, buffer)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.wire).poll_write(context, bytes);
        self.note(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context,
        slices: &[io::IoSlice],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.wire).poll_write_vectored(context, slices);
        self.note(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.wire).poll_flush(context);
        match (&flushed, &self.deadline) {
            // Nothing was written since the last time.
            (Poll::Ready(_), None) => flushed,
            _ => self.note(context, flushed),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.wire).poll_shutdown(context))?;
        // If bytes that have come are not read, as of a body, the kernel tells the client so, and the
        // client may not see the response.
        let mut bytes = [0; 4096];
        for _ in 0..16 {
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = Pin::new(&mut self.wire).poll_read(context, &mut buffer);
            if !matches!(read, Poll::Ready(Ok(()))) || buffer.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::net::UnixStream;

    use super::*;
    use crate::connections::ConnectionLimiter;

    /// The time limit without progress.
    const TIMEOUT: Duration = Duration::from_millis(300);

    /// Writes 8 MiB to a client that does this.
    fn written<F: Future<Output = ()> + Send + 'static>(
        client: impl FnOnce(UnixStream) -> F,
    ) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (ours, theirs) = UnixStream::pair()?;
            let permit = ConnectionLimiter::new(1).acquire(None).await.expect("there is room");
            let activity = Arc::clone(permit.activity());
            let mut transport = Transport::new(Box::new(ours), activity, TIMEOUT);
            tokio::spawn(client(theirs));
            let mut left = 8 << 20;
            while left > 0 {
                let chunk = &[0; 65536];
                let write =
                    |context: &mut Context| Pin::new(&mut transport).poll_write(context, chunk);
                left -= poll_fn(write).await?.min(left);
            }
            Ok(())
        })
    }

    #[test]
    fn a_client_that_does_not_read_is_given_up() {
        let result = written(|stream| async {
            std::future::pending::<()>().await;
            drop(stream);
        });
        assert_eq!(result.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
    }

    #[test]
    fn a_client_that_reads_slowly_gets_everything() {
        let attempt = || {
            let client = |stream: UnixStream| async move {
                let mut buffer = vec![0; 1 << 20];
                loop {
                    sleep(Duration::from_millis(50)).await;
                    while stream.try_read(&mut buffer).is_ok_and(|read| read > 0) {}
                }
            };
            let began = Instant::now();
            written(client).map(|()| began.elapsed())
        };
        // On a machine that stands still for a moment, the client has read nothing for too long.
        let took = (0..10).find_map(|_| attempt().ok()).expect("it reads all the time");
        assert!(took > 2 * TIMEOUT, "{took:?} is no slow client");
    }
}
