//! A socket that gives up on a peer which has stopped reading, or nearly so.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// What a peer that reads slowly must have read when the time is up, to be given as much again: 17 kB/s.
const PROGRESS: usize = 512 * 1024;

/// Wraps a socket. From when a write waits, what is to be written must be gone within the given time, or [`PROGRESS`] bytes
/// of it: an answer takes memory until it was read. Reads wait as long as the layer above lets them.
pub(super) struct Idle {
    stream: TcpStream,
    patience: Duration,
    /// Runs from when a write waits, and what was written since.
    stuck: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Idle {
    pub(super) fn new(stream: TcpStream, patience: Duration) -> Idle {
        Idle { stream, patience, stuck: None }
    }

    /// Writes `offered` bytes or fewer.
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        offered: usize,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match write(Pin::new(&mut self.stream), cx) {
            Poll::Ready(Ok(written)) => {
                let progress = self.stuck.as_ref().map_or(0, |(_, before)| before.saturating_add(written));
                if written == offered || progress >= PROGRESS {
                    self.stuck = None;
                } else if let Some((_, before)) = &mut self.stuck {
                    *before = progress;
                }
                Poll::Ready(Ok(written))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let patience = self.patience;
                let (stuck, _) = self.stuck.get_or_insert_with(|| (Box::pin(sleep(patience)), 0));
                ready!(stuck.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncRead for Idle {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Idle {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().write(cx, buf.len(), |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = bufs.iter().map(|buf| buf.len()).sum();
        self.get_mut().write(cx, offered, |stream, cx| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // The socket keeps nothing back: these two wait for nobody.

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn a_peer_that_does_not_read_is_given_up() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let mut idle = Idle::new(stream, Duration::from_millis(50));
            // More than the buffers of the operating system hold.
            let error = idle.write_all(&vec![0; 64 * 1024 * 1024]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            drop(peer);
        });
    }

    #[test]
    fn a_peer_that_reads_a_little_now_and_then_is_given_up() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let mut idle = Idle::new(stream, Duration::from_millis(300));
            let reading = tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while peer.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                    sleep(Duration::from_millis(20)).await;
                }
            });
            let error = idle.write_all(&vec![0; 64 * 1024 * 1024]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            reading.abort();
        });
    }
}
