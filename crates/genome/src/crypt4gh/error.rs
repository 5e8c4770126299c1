//! What can be wrong with an encrypted file or a key file.

use std::io;

/// Why an encrypted file cannot be read or written. Offsets count bytes of the encrypted file from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Crypt4ghError {
    /// The reader below failed.
    #[error("byte {at}: cannot be read")]
    Read {
        /// Offset.
        at: u64,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// The writer below failed.
    #[error("cannot be written")]
    Write {
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// The first eight bytes are not `crypt4gh`.
    #[error("byte 0: does not begin with `crypt4gh`; this is no Crypt4GH file")]
    Magic,
    /// Another version of the format.
    #[error("byte 8: is of version {found}; only version 1 is known")]
    Version {
        /// The version.
        found: u32,
    },
    /// The file ends inside the header.
    #[error("byte {at}: the file ends inside the {what} of the header; fetch it again")]
    HeaderTruncated {
        /// Where the file ends.
        at: u64,
        /// The part that is cut off.
        what: &'static str,
    },
    /// The header says that it has more packets than are allowed.
    #[error(
        "byte 12: the header announces {found} packets, at most {limit} are read; raise the limit if this is meant"
    )]
    Packets {
        /// The number in the header.
        found: u32,
        /// The limit.
        limit: u32,
    },
    /// The length of a packet is impossible or beyond the limit.
    #[error(
        "byte {at}: packet {packet} of the header announces {found} bytes; between {least} and {most} are possible"
    )]
    PacketLength {
        /// Packet, from 1.
        packet: u32,
        /// Offset of the length.
        at: u64,
        /// The length.
        found: u32,
        /// Least length of a packet of its kind.
        least: u32,
        /// The limit, less what the packets before took.
        most: u32,
    },
    /// No packet with a data key opens under the keys given.
    #[error(
        "none of the {packets} packets of the header holds a data key for the keys given; the file is meant for another reader, or its header was altered"
    )]
    NoKey {
        /// Packets in the header.
        packets: usize,
    },
    /// A packet opens and its content is not understood.
    #[error("packet {packet} of the header opens and cannot be used: {reason}")]
    PacketContent {
        /// Packet, from 1.
        packet: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A recipient's public key is one of the few with which every exchange gives zero.
    #[error("recipient {recipient} has a public key of small order, which hides nothing; ask for another")]
    WeakKey {
        /// Recipient, from 1.
        recipient: usize,
    },
    /// A file for nobody.
    #[error("no recipient is given; name at least one public key")]
    NoRecipient,
    /// A segment does not open.
    #[error(
        "byte {at}: segment {segment} does not open under any data key of the header; it was altered, cut, or stands in another place than it was written"
    )]
    Segment {
        /// Segment, from 0.
        segment: u64,
        /// Offset of its first byte.
        at: u64,
    },
    /// The bytes left at the end are too few for a segment.
    #[error(
        "byte {at}: the file ends after {found} bytes of segment {segment}, which has at least 28; fetch it again"
    )]
    SegmentTruncated {
        /// Segment, from 0.
        segment: u64,
        /// Offset of its first byte.
        at: u64,
        /// Bytes there are.
        found: usize,
    },
    /// A sequenced file without its end mark.
    #[error(
        "byte {at}: the file ends without the short segment that marks its end; segments are missing, fetch it again"
    )]
    NoEnd {
        /// Where the file ends.
        at: u64,
    },
    /// Reading or writing went on after an error.
    #[error("an error ended this file before; begin anew")]
    AfterError,
    /// More segments than a file can number.
    #[error("the file is longer than can be addressed")]
    TooLong,
    /// An edit list that no reader would take.
    #[error("the edit list has {found} lengths, at most {limit} are allowed")]
    EditList {
        /// Lengths in the list.
        found: usize,
        /// The limit.
        limit: usize,
    },
}

impl From<Crypt4ghError> for io::Error {
    fn from(error: Crypt4ghError) -> Self {
        let kind = match &error {
            Crypt4ghError::Read { source, .. } | Crypt4ghError::Write { source } => source.kind(),
            Crypt4ghError::NoEnd { .. } | Crypt4ghError::SegmentTruncated { .. } => {
                io::ErrorKind::UnexpectedEof
            }
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// Why a key file cannot be used. It never carries a byte of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// More than a key file ever holds.
    #[error("the key file has more than {limit} bytes; this is no key file")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// No lines `-----BEGIN ...-----` and `-----END ...-----` around the key.
    #[error("line {line}: {reason}")]
    Armor {
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// Between the lines stands something else than base64.
    #[error("the text between the first and last line is not base64; copy the file again")]
    Base64,
    /// A public key that has not 32 bytes.
    #[error("the public key has {found} bytes instead of 32; copy the file again")]
    PublicLength {
        /// Bytes there are.
        found: usize,
    },
    /// A key of OpenSSH.
    #[error("this is a key of OpenSSH; make a Crypt4GH key with a key generator for Crypt4GH")]
    OpenSsh,
    /// The content does not begin with `c4gh-v1`.
    #[error("the content does not begin with `c4gh-v1`; this is no Crypt4GH key")]
    Magic,
    /// The content ends too soon or has the wrong lengths.
    #[error("byte {at} of the content: {reason}")]
    Content {
        /// Offset in the decoded content.
        at: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A derivation of the key that is not known here.
    #[error(
        "the key is protected by another derivation than `scrypt`, `bcrypt` or `none`; protect it anew with `scrypt`"
    )]
    Derivation,
    /// A cipher that is not known here.
    #[error("the key is encrypted with another cipher than `chacha20_poly1305`; encrypt it anew")]
    Cipher,
    /// More rounds than a reader should spend.
    #[error("the key file asks for {found} rounds of derivation, between 1 and {limit} are run")]
    Rounds {
        /// Rounds in the file.
        found: u32,
        /// The limit.
        limit: u32,
    },
    /// The key is encrypted and no passphrase is given.
    #[error("the key is protected by a passphrase; give it")]
    PassphraseNeeded,
    /// The passphrase does not open the key.
    #[error("the key does not open: the passphrase is wrong or the file was altered")]
    Passphrase,
}
