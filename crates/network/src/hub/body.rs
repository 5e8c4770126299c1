//! Bodies: those that come are read within limits of size, time and memory; large ones that go are read from the disk as they go.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::refusal::Refusal;

/// Bytes of bodies that are in memory at one time, in [`UNIT`]s: 256 MiB.
pub(super) const UNITS: usize = 256 << 10;
/// What memory is counted in.
const UNIT: usize = 1 << 10;
/// How long a request waits for memory.
const PATIENCE: Duration = Duration::from_secs(10);
/// A client that pauses so long within a refused request waits for the answer.
const PAUSE: Duration = Duration::from_secs(1);
/// Most bytes of a refused request that are read.
const FORGOTTEN: u64 = 16 << 20;
/// What is read from the disk at once.
const CHUNK: usize = 256 << 10;

/// Memory for bodies, shared by all requests.
#[derive(Clone)]
pub(super) struct Room(Arc<Semaphore>);

impl Room {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(UNITS)))
    }

    /// Waits for memory; gives it back when what it gives is dropped.
    pub(super) async fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let units = u32::try_from(bytes.div_ceil(UNIT).min(UNITS)).unwrap_or(u32::MAX);
        match timeout(PATIENCE, self.0.clone().acquire_many_owned(units)).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Refusal::later(
                StatusCode::SERVICE_UNAVAILABLE,
                "the hub has no memory free for this now; ask again in 10 s",
                10,
            )),
        }
    }
}

/// Reads a body of at most `most` bytes. One that is announced to be longer is refused before any of it is read.
pub(super) async fn read(
    room: &Room,
    mut body: Body,
    most: usize,
    what: &str,
) -> Result<(Vec<u8>, OwnedSemaphorePermit), Refusal> {
    let too_large = || {
        Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("{what} has at most {most} bytes, and this is more"),
        )
    };
    let hint = body.size_hint();
    if hint.lower() > most as u64 {
        return Err(too_large());
    }
    let expected = hint.exact().map_or(most, |exact| exact as usize);
    let permit = room.take(expected).await?;
    // Eight kilobytes in each second at least.
    let patience = Duration::from_secs(30 + expected as u64 / 8192);
    let reading = async {
        let mut bytes = Vec::with_capacity(expected);
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let ended = |_| Refusal::new(StatusCode::BAD_REQUEST, "the connection ended within the request");
            let Ok(data) = frame.map_err(ended)?.into_data() else { continue };
            if data.len() > most - bytes.len() {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    };
    match timeout(patience, reading).await {
        Ok(bytes) => Ok((bytes?, permit)),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "the request did not come in time; is the line very slow?",
        )),
    }
}

/// Where a body is left that was not read to its end.
pub(super) type Left = Arc<Mutex<Option<Incoming>>>;

/// A body that is left when it is dropped.
pub(super) struct Lent {
    body: Option<Incoming>,
    left: Left,
}

impl Lent {
    pub(super) fn new(body: Incoming, left: &Left) -> Self {
        Self { body: Some(body), left: left.clone() }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
    }
}

/// Reads what is left of a body and forgets it. A client that is still sending when the connection ends does not get to read why;
/// what is announced to be very long is not worth that.
pub(super) async fn forget(left: &Left) {
    let Some(mut body) = left.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    if body.is_end_stream() || body.size_hint().lower() > FORGOTTEN {
        return;
    }
    let reading = async {
        let mut bytes = 0;
        while let Ok(Some(Ok(frame))) =
            timeout(PAUSE, std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx))).await
        {
            bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            if bytes > FORGOTTEN {
                break;
            }
        }
    };
    let _ = timeout(PATIENCE, reading).await;
}

/// Bytes that are counted until they are sent.
pub(super) fn counted(bytes: Vec<u8>, mut permit: OwnedSemaphorePermit) -> Body {
    // What was taken for more is given back at once.
    if let Some(unused) = permit.num_permits().checked_sub(bytes.len().div_ceil(UNIT)) {
        drop(permit.split(unused));
    }
    Body::new(Counted { bytes: Some(bytes.into()), _permit: permit })
}

struct Counted {
    bytes: Option<Bytes>,
    _permit: OwnedSemaphorePermit,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        // hyper is given a part at a time, so that the memory is counted as long as most of it waits.
        let Some(mut rest) = self.bytes.take().filter(|rest| !rest.is_empty()) else {
            return Poll::Ready(None);
        };
        let part = rest.split_to(rest.len().min(CHUNK));
        self.bytes = Some(rest);
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// A part of a file.
pub(super) fn of_file(file: File, from: u64, length: u64) -> Body {
    Body::new(Pieces { state: Reading::Idle(Some((file, from))), left: length })
}

struct Pieces {
    state: Reading,
    left: u64,
}

enum Reading {
    /// The file and where to go on; nothing when it failed.
    Idle(Option<(File, u64)>),
    Busy(JoinHandle<io::Result<(File, Bytes)>>, u64),
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let wanted = self.left.min(CHUNK as u64) as usize;
        if let Reading::Idle(file) = &mut self.state {
            let Some((file, from)) = file.take() else { return Poll::Ready(None) };
            let read = tokio::task::spawn_blocking(move || {
                let mut file = file;
                let mut buffer = vec![0; wanted];
                file.seek(SeekFrom::Start(from))?;
                file.read_exact(&mut buffer)?;
                Ok((file, buffer.into()))
            });
            self.state = Reading::Busy(read, from);
        }
        let Reading::Busy(read, from) = &mut self.state else { return Poll::Ready(None) };
        let from = *from;
        let done = ready!(Pin::new(read).poll(cx)).map_err(io::Error::other).flatten();
        self.state = Reading::Idle(None);
        match done {
            Ok((file, bytes)) => {
                self.left -= bytes.len() as u64;
                self.state = Reading::Idle(Some((file, from + bytes.len() as u64)));
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
