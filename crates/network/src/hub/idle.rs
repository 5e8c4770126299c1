//! A socket that gives up on a peer which does not read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// How long a peer may take to read [`PROGRESS`] bytes that wait for it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Two kilobytes a second.
const PROGRESS: usize = 128 << 10;

/// From when a write waits, all that is to be written must be gone within the time, or [`PROGRESS`] bytes of it: an answer takes
/// memory until it was read. Reads wait as long as the layer above lets them.
pub(super) struct Idle {
    stream: TcpStream,
    stuck: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Idle {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, stuck: None }
    }
}

impl AsyncRead for Idle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Idle {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        match Pin::new(&mut this.stream).poll_write(cx, bytes) {
            Poll::Ready(Ok(written)) => {
                if let Some((_, since)) = &mut this.stuck {
                    *since = since.saturating_add(written);
                    if written == bytes.len() || *since >= PROGRESS {
                        this.stuck = None;
                    }
                }
                Poll::Ready(Ok(written))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let (time, _) = this.stuck.get_or_insert_with(|| (Box::pin(sleep(PATIENCE)), 0));
                ready!(time.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    // The socket keeps nothing back: these two wait for nobody.

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
