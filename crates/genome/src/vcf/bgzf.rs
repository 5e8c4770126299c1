//! Compressed text: BGZF, plain gzip, or no compression at all.
//!
//! BGZF is gzip in members of at most 64 KiB of text, each of which says in an extra field how long it is, closed by an
//! empty member (SAM specification, section 4.1, "The BGZF compression format"). A file that lacks the empty member was
//! cut at a block boundary, which no checksum shows.
//!
//! Memory: about 200 KiB, whatever the input claims. Limits: a number of bytes of text, so that a small file cannot keep
//! a process busy for hours.

mod deflate;
mod huffman;
mod inflate;
mod reader;
mod writer;

pub use reader::{EndMarker, Kind, Limits, Place, Reader};
pub use writer::Writer;

/// The empty member that ends a BGZF file.
pub(super) const END_MARKER: [u8; 28] = [
    0x1f, 0x8b, 0x08, 0x04, 0, 0, 0, 0, 0, 0xff, 0x06, 0, 0x42, 0x43, 0x02, 0, 0x1b, 0, 0x03, 0, 0, 0, 0, 0,
    0, 0, 0, 0,
];

/// What is wrong with a compressed file. Offsets count bytes of the compressed file from 0.
///
/// [`Reader`] gives it as the inner error of an [`std::io::Error`] of kind `InvalidData`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BgzfError {
    /// The file ends inside a member.
    #[error(
        "the compressed data end at byte {end}, inside the block that starts at byte {block}; fetch the file again"
    )]
    Truncated {
        /// Where the member starts.
        block: u64,
        /// Where the file ends.
        end: u64,
    },
    /// BGZF without its empty last block.
    #[error(
        "the compressed data end at byte {end} without the empty block that closes a BGZF file; it was cut there, fetch it again"
    )]
    NoEndMarker {
        /// Where the file ends.
        end: u64,
    },
    /// Bytes between members that are not a member.
    #[error(
        "byte {at} does not start a gzip member, though one must follow or the file end there; cut off what was appended"
    )]
    NotAMember {
        /// Where a member was expected.
        at: u64,
    },
    /// A header that RFC 1952 does not allow.
    #[error("the gzip header at byte {at} is malformed (RFC 1952, section 2.3)")]
    Header {
        /// Where the member starts.
        at: u64,
    },
    /// A block whose sizes cannot be.
    #[error("the BGZF block at byte {at} states sizes that no block has")]
    BlockSize {
        /// Where the member starts.
        at: u64,
    },
    /// Compressed data that cannot be decompressed, or a block of BGZF of which other text comes out than stated.
    #[error("the data of the block at byte {at} are not a deflate stream (RFC 1951) of the stated length")]
    Deflate {
        /// Where the member starts.
        at: u64,
    },
    /// The text is not what was compressed.
    #[error("the text of the block at byte {at} does not have the checksum or the length stated after it")]
    Checksum {
        /// Where the member starts.
        at: u64,
    },
    /// A place that an index names, and the file has not.
    #[error(
        "there is no byte {within} in a block at byte {block}; if an index says so, it is of another file: make it again"
    )]
    NoSuchPlace {
        /// Where the block should start.
        block: u64,
        /// Byte of its text.
        within: usize,
    },
    /// More text than allowed.
    #[error(
        "more than {limit} bytes of text come out of the file, the limit of this program; split the file"
    )]
    TooLarge {
        /// The limit.
        limit: u64,
    },
}

impl From<BgzfError> for std::io::Error {
    fn from(error: BgzfError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}
