//! Crypt4GH, the container in which genomes are stored and sent (GA4GH Crypt4GH 1.0).
//!
//! A file is a header and a body. The body is the text, cut into segments of 64 KiB, each encrypted under a data key;
//! the header is a list of packets, each sealed to one reader's public key, that hold the data keys and perhaps an
//! edit list. So a file of any size is handed to another reader by [`Header::rekey`]: a few hundred bytes are written
//! anew and the body is not touched.
//!
//! 1. [`SecretKey`] and [`PublicKey`] come from key files ([`KeyFile`], [`PublicKey::from_key_file`]) or are drawn.
//! 2. [`Writer`] encrypts what is written to it for one or more readers.
//! 3. [`Reader`] decrypts a stream; [`RandomReader`] decrypts only the segments that it is asked for.
//! 4. [`Header`] is read alone where only the keys change hands.
//!
//! What the format promises, and what it does not: an altered segment does not open. With
//! [`DataMethod::Unordered`], the older method and the one that most tools read, whole segments can be
//! removed, repeated or put in another order without a reader noticing, except for the last one when it is short.
//! [`DataMethod::Sequenced`] numbers the segments and marks the end, so that each of these is an error; write it where
//! the reader is ours. In both, nobody can tell who wrote a file: the header of a file can be made by anyone who knows
//! the reader's public key.
//!
//! ```
//! use std::io::{Read, Write};
//! use histone_genome::crypt4gh::{DataMethod, Header, Limits, OtherPackets, Reader, SecretKey, Writer};
//! # use chacha20::{ChaCha20Rng, rand_core::SeedableRng};
//! # let mut rng = ChaCha20Rng::from_seed([7; 32]);
//!
//! let (owner, enclave) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
//! let mut writer = Writer::new(Vec::new(), &[owner.public()], DataMethod::Sequenced, &mut rng)?;
//! writer.write_all(b"##fileformat=VCFv4.5\n")?;
//! let file = writer.finish()?;
//!
//! // The owner hands the file over: a new header, the same body.
//! let limits = Limits::default();
//! let mut body = file.as_slice();
//! let header = Header::read(&mut body, &limits)?;
//! let header = header.rekey(&[&owner], &[enclave.public()], OtherPackets::Drop, &mut rng)?;
//! let handed_over = [header.to_bytes().as_slice(), body].concat();
//!
//! let mut text = String::new();
//! Reader::new(handed_over.as_slice(), &[&enclave], &limits)?.read_to_string(&mut text)?;
//! assert_eq!(text, "##fileformat=VCFv4.5\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Source: samtools/hts-specs `crypt4gh.tex` (with the method `chacha20_ietf_poly1305_with_AEAD`); the key files are not
//! specified there, they are those of the Python package `crypt4gh`.

mod edit_list;
mod error;
mod header;
mod key_file;
mod keys;
mod random;
mod read;
mod segment;
mod write;

pub use edit_list::EditList;
pub use error::{Crypt4ghError, KeyFileError};
pub use header::{Contents, DataMethod, Header, Limits, OtherPackets};
pub use key_file::KeyFile;
pub use keys::{PublicKey, SecretKey};
pub use random::RandomReader;
pub use read::Reader;
pub use segment::SEGMENT;
pub use write::Writer;
