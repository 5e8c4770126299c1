//! The header: packets for readers, each sealed to one public key.

use std::fmt;
use std::io::Read;

use rand_core::CryptoRng;

use super::edit_list::EditList;
use super::error::Crypt4ghError;
use super::keys::{PublicKey, SecretKey};
use super::segment::{self, DataKey, NONCE, OVERHEAD};
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"crypt4gh";
const VERSION: u32 = 1;
/// X25519_chacha20_ietf_poly1305, the only way in which packets are sealed.
const SEALED_X25519: u32 = 0;
const PACKET_DATA_KEY: u32 = 0;
const PACKET_EDIT_LIST: u32 = 1;
/// Length and method, which every packet has.
const LEAST_PACKET: u32 = 8;
/// Length, method, writer's key, nonce, the kind of the packet, tag.
const LEAST_SEALED_PACKET: u32 = 8 + 32 + OVERHEAD as u32 + 4;

/// How much of a header is read before it is refused. What the header says of itself is held against these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Packets.
    pub packets: u32,
    /// Bytes of all packets together.
    pub packet_bytes: u32,
}

impl Default for Limits {
    /// 1,000 packets and 1 MiB: a few hundred readers, or the longest edit list.
    fn default() -> Self {
        Self { packets: 1_000, packet_bytes: 1 << 20 }
    }
}

/// How the segments of a body are encrypted. See [`crypt4gh`](super) for what the two promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataMethod {
    /// `chacha20_ietf_poly1305`: every segment on its own.
    Unordered,
    /// `chacha20_ietf_poly1305_with_AEAD`: segments are numbered and the last one is short.
    Sequenced,
}

/// What becomes of packets that do not open when a file changes hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherPackets {
    /// They are copied: other readers keep reading.
    Keep,
    /// They are left out: only the new recipients read.
    Drop,
}

/// The header of a file, as it stands there.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// Packets behind their length.
    packets: Vec<Vec<u8>>,
}

/// What a header holds for one reader: data keys and perhaps an edit list. The keys are wiped when dropped.
#[derive(Clone)]
pub struct Contents {
    pub(super) method: DataMethod,
    /// At least one.
    pub(super) keys: Vec<DataKey>,
    edit_list: Option<EditList>,
}

impl Header {
    /// Reads a header and leaves `reader` on the first byte of the body.
    ///
    /// # Errors
    /// [`Crypt4ghError::Magic`], [`Version`](Crypt4ghError::Version), [`Packets`](Crypt4ghError::Packets),
    /// [`PacketLength`](Crypt4ghError::PacketLength), [`HeaderTruncated`](Crypt4ghError::HeaderTruncated),
    /// [`Read`](Crypt4ghError::Read). Nothing is decrypted yet.
    pub fn read(mut reader: impl Read, limits: &Limits) -> Result<Self, Crypt4ghError> {
        let mut at = 0;
        if read_exactly(&mut reader, &mut at, 8, "first bytes")? != MAGIC {
            return Err(Crypt4ghError::Magic);
        }
        let version = read_number(&mut reader, &mut at, "version")?;
        if version != VERSION {
            return Err(Crypt4ghError::Version { found: version });
        }
        let count = read_number(&mut reader, &mut at, "number of packets")?;
        if count > limits.packets {
            return Err(Crypt4ghError::Packets { found: count, limit: limits.packets });
        }
        let mut packets = vec![];
        let mut left = limits.packet_bytes;
        for packet in 1..=count {
            let start = at;
            let length = read_number(&mut reader, &mut at, "length of a packet")?;
            let wrong =
                |least| Crypt4ghError::PacketLength { packet, at: start, found: length, least, most: left };
            if length < LEAST_PACKET || length > left {
                return Err(wrong(LEAST_PACKET));
            }
            let bytes = read_exactly(&mut reader, &mut at, length - 4, "packets")?;
            if method_of(&bytes) == Some(SEALED_X25519) && length < LEAST_SEALED_PACKET {
                return Err(wrong(LEAST_SEALED_PACKET));
            }
            left -= length;
            packets.push(bytes);
        }
        Ok(Self { packets })
    }

    /// Number of packets.
    #[must_use]
    pub fn packets(&self) -> usize {
        self.packets.len()
    }

    /// Bytes of the header in the file; the body begins there.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.packets.iter().fold(16, |sum, packet| sum + 4 + packet.len() as u64)
    }

    /// The header as it stands in a file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Packets were read or written within 32 bits each, and so was their number.
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = [MAGIC.as_slice(), &VERSION.to_le_bytes(), &number(self.packets.len())].concat();
        for packet in &self.packets {
            bytes.extend(number(packet.len() + 4));
            bytes.extend(packet);
        }
        bytes
    }

    /// Decrypts the packets that are meant for one of `keys`; those that do not open are somebody else's.
    ///
    /// # Errors
    /// [`Crypt4ghError::NoKey`] when no data key opens, [`PacketContent`](Crypt4ghError::PacketContent) when a packet opens
    /// and makes no sense, or contradicts another.
    pub fn open(&self, keys: &[&SecretKey]) -> Result<Contents, Crypt4ghError> {
        self.open_and_name_others(keys).map(|(contents, _)| contents)
    }

    /// Hands the file over: a header with the same data keys and edit list, sealed to `recipients`. The body stays as it is.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`Contents::seal`].
    pub fn rekey(
        &self,
        keys: &[&SecretKey],
        recipients: &[PublicKey],
        others: OtherPackets,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Crypt4ghError> {
        let (contents, unopened) = self.open_and_name_others(keys)?;
        let mut header = contents.seal(recipients, rng)?;
        if others == OtherPackets::Keep {
            header.packets.extend(unopened.into_iter().cloned());
        }
        Ok(header)
    }

    fn open_and_name_others(&self, keys: &[&SecretKey]) -> Result<(Contents, Vec<&Vec<u8>>), Crypt4ghError> {
        let mut methods = vec![];
        let mut data_keys: Vec<DataKey> = vec![];
        let mut edit_list = None;
        let mut unopened = vec![];
        for (packet, number) in self.packets.iter().zip(1..) {
            let problem = |reason| Crypt4ghError::PacketContent { packet: number, reason };
            let Some(text) = keys.iter().find_map(|key| open_packet(packet, key)) else {
                unopened.push(packet);
                continue;
            };
            match parse_packet(&text).map_err(problem)? {
                Packet::DataKey(method, key) => {
                    methods.push(method);
                    if methods.first() != Some(&method) {
                        return Err(problem("its method of encryption differs from that of another packet"));
                    }
                    // One key may come twice: for two readers of whom both keys are given.
                    if !data_keys.contains(&key) {
                        data_keys.push(key);
                    }
                }
                Packet::EditList(list) => match &edit_list {
                    Some(other) if *other != list => {
                        return Err(problem("it is a second edit list; a file has one"));
                    }
                    _ => edit_list = Some(list),
                },
            }
        }
        let method = *methods.first().ok_or(Crypt4ghError::NoKey { packets: self.packets.len() })?;
        Ok((Contents { method, keys: data_keys, edit_list }, unopened))
    }
}

impl Contents {
    /// A new data key and no edit list.
    pub(super) fn generate(method: DataMethod, rng: &mut impl CryptoRng) -> Self {
        Self { method, keys: vec![DataKey::generate(rng)], edit_list: None }
    }

    /// How the body is encrypted.
    #[must_use]
    pub fn method(&self) -> DataMethod {
        self.method
    }

    /// The edit list, if there is one.
    #[must_use]
    pub fn edit_list(&self) -> Option<&EditList> {
        self.edit_list.as_ref()
    }

    /// The same keys with another edit list. It is applied to the whole text, not to what an edit list before it left. It
    /// hides nothing: a recipient of the data keys can read all of the body that he is given.
    #[must_use]
    pub fn with_edit_list(self, edit_list: Option<EditList>) -> Self {
        Self { edit_list, ..self }
    }

    /// Seals the contents to each recipient, every packet under a writer's key of its own that is forgotten at once.
    ///
    /// # Errors
    /// [`Crypt4ghError::NoRecipient`], [`WeakKey`](Crypt4ghError::WeakKey),
    /// [`EditList`](Crypt4ghError::EditList) for a list that is too long.
    pub fn seal(&self, recipients: &[PublicKey], rng: &mut impl CryptoRng) -> Result<Header, Crypt4ghError> {
        if recipients.is_empty() {
            return Err(Crypt4ghError::NoRecipient);
        }
        let mut texts: Vec<Zeroizing<Vec<u8>>> =
            self.keys.iter().map(|key| data_key_packet(self.method, key)).collect();
        if let Some(list) = &self.edit_list {
            texts.push(edit_list_packet(list)?);
        }
        let mut packets = vec![];
        for (reader, recipient) in recipients.iter().zip(1..) {
            for text in &texts {
                packets.push(seal_packet(text, reader, rng).ok_or(Crypt4ghError::WeakKey { recipient })?);
            }
        }
        Ok(Header { packets })
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header({} packets)", self.packets.len())
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents")
            .field("method", &self.method)
            .field("keys", &format_args!("{} (secret not shown)", self.keys.len()))
            .field("edit_list", &self.edit_list)
            .finish()
    }
}

enum Packet {
    DataKey(DataMethod, DataKey),
    EditList(EditList),
}

fn data_key_packet(method: DataMethod, key: &DataKey) -> Zeroizing<Vec<u8>> {
    let code: u32 = match method {
        DataMethod::Unordered => 0,
        DataMethod::Sequenced => 1,
    };
    let mut text = Zeroizing::new(Vec::with_capacity(48));
    text.extend(PACKET_DATA_KEY.to_le_bytes());
    text.extend(code.to_le_bytes());
    text.extend(key.key.as_slice());
    if method == DataMethod::Sequenced {
        text.extend(key.sequence.to_le_bytes());
    }
    text
}

fn edit_list_packet(list: &EditList) -> Result<Zeroizing<Vec<u8>>, Crypt4ghError> {
    let found = list.lengths().len();
    let too_long = || Crypt4ghError::EditList { found, limit: EditList::MAX_LENGTHS };
    let count = u32::try_from(found).map_err(|_| too_long())?;
    if found > EditList::MAX_LENGTHS {
        return Err(too_long());
    }
    let mut text = Zeroizing::new(Vec::with_capacity(8 + found * 8));
    text.extend(PACKET_EDIT_LIST.to_le_bytes());
    text.extend(count.to_le_bytes());
    list.lengths().iter().for_each(|length| text.extend(length.to_le_bytes()));
    Ok(text)
}

/// What follows the content of a packet is padding, which the specification allows.
fn parse_packet(text: &[u8]) -> Result<Packet, &'static str> {
    const SHORT: &str = "it ends too soon";
    let (kind, rest) = text.split_first_chunk::<4>().ok_or(SHORT)?;
    let (code, rest) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
    let code = u32::from_le_bytes(*code);
    match u32::from_le_bytes(*kind) {
        PACKET_DATA_KEY => {
            let method = match code {
                0 => DataMethod::Unordered,
                1 => DataMethod::Sequenced,
                _ => return Err("its data are encrypted by a method that is not known here"),
            };
            let (key, rest) = rest.split_first_chunk::<32>().ok_or(SHORT)?;
            let sequence = match method {
                DataMethod::Unordered => 0,
                DataMethod::Sequenced => u64::from_le_bytes(*rest.first_chunk::<8>().ok_or(SHORT)?),
            };
            Ok(Packet::DataKey(method, DataKey { key: Zeroizing::new(*key), sequence }))
        }
        PACKET_EDIT_LIST => {
            let count = usize::try_from(code).unwrap_or(usize::MAX);
            if count > EditList::MAX_LENGTHS {
                return Err("its edit list has more lengths than are read");
            }
            let (lengths, _) = rest.as_chunks::<8>();
            let lengths =
                lengths.get(..count).ok_or("its edit list ends before the number of lengths it announces")?;
            Ok(Packet::EditList(EditList::new(
                lengths.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect(),
            )))
        }
        _ => Err("it is of a kind that is not known here"),
    }
}

fn seal_packet(text: &[u8], reader: &PublicKey, rng: &mut impl CryptoRng) -> Option<Vec<u8>> {
    let writer = SecretKey::generate(rng);
    let key = writer.shared_as_writer(reader)?;
    let mut nonce = [0; NONCE];
    rng.fill_bytes(&mut nonce);
    let mut sealed = Zeroizing::new(text.to_vec());
    let tag = segment::seal(&key, &nonce, &[], &mut sealed);
    Some(
        [&SEALED_X25519.to_le_bytes(), writer.public().as_bytes().as_slice(), &nonce, &sealed, &tag].concat(),
    )
}

fn open_packet(packet: &[u8], key: &SecretKey) -> Option<Zeroizing<Vec<u8>>> {
    if method_of(packet)? != SEALED_X25519 {
        return None;
    }
    let (writer, sealed) = packet.get(4..)?.split_first_chunk::<32>()?;
    let key = key.shared_as_reader(&PublicKey::from_bytes(*writer))?;
    let mut sealed = Zeroizing::new(sealed.to_vec());
    segment::open(&key, &[], &mut sealed).map(|text| Zeroizing::new(text.to_vec()))
}

fn method_of(packet: &[u8]) -> Option<u32> {
    packet.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))
}

fn read_number(reader: &mut impl Read, at: &mut u64, what: &'static str) -> Result<u32, Crypt4ghError> {
    let bytes = read_exactly(reader, at, 4, what)?;
    Ok(bytes.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes)))
}

/// Memory grows with what is there, not with what is announced.
fn read_exactly(
    reader: &mut impl Read,
    at: &mut u64,
    length: u32,
    what: &'static str,
) -> Result<Vec<u8>, Crypt4ghError> {
    let mut bytes = vec![];
    reader
        .take(u64::from(length))
        .read_to_end(&mut bytes)
        .map_err(|source| Crypt4ghError::Read { at: *at, source })?;
    *at += bytes.len() as u64;
    if bytes.len() as u64 == u64::from(length) {
        Ok(bytes)
    } else {
        Err(Crypt4ghError::HeaderTruncated { at: *at, what })
    }
}
