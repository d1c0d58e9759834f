//! One record as bytes: length, CRC32C, number, chained hash, payload.
//!
//! Invariant: decoding never panics and never asks for more memory than the bytes that are there.

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::fmt;

/// The number of a record: counts up from 1 over a journal's life; 0 stands for "none yet".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The one after it.
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What was appended, as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number. Of a snapshot: the last record that it takes in.
    pub sequence: Sequence,
    /// JSON.
    pub payload: Vec<u8>,
}

impl Record {
    /// The value that was appended.
    ///
    /// # Errors
    /// The payload is whole, but not such a value: it was written by another version. Give up, or skip it knowingly.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.payload)
    }
}

/// The hash over everything up to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Chain(pub(crate) [u8; 32]);

impl Chain {
    /// The hash when this record is added.
    pub(crate) fn link(self, sequence: Sequence, payload: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(sequence.0.to_le_bytes());
        hash.update(payload);
        Self(hash.finalize().into())
    }
}

/// Where a log stands: its last record and the hash up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    pub(crate) sequence: Sequence,
    pub(crate) chain: Chain,
}

impl Position {
    pub(crate) fn after(self, payload: &[u8]) -> Self {
        let sequence = self.sequence.next();
        Self { sequence, chain: self.chain.link(sequence, payload) }
    }
}

/// Bytes before the payload: length 4, CRC32C 4, number 8, hash 32.
pub(crate) const FRAME: usize = 48;
/// A payload is at most so large; more is a bug, and keeps a damaged length from being believed.
pub(crate) const PAYLOAD_MAX: usize = 64 << 20;

/// Appends a record's bytes to `out`. `payload` is at most [`PAYLOAD_MAX`].
pub(crate) fn encode(out: &mut Vec<u8>, position: Position, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    let number = position.sequence.0.to_le_bytes();
    let crc = crc(&[&length, &number, &position.chain.0, payload]);
    out.extend_from_slice(&length);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&number);
    out.extend_from_slice(&position.chain.0);
    out.extend_from_slice(payload);
}

/// The record at the beginning of `bytes`: where it says it stands, and its payload. `None`: there is no whole one.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Position, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc_said, rest) = rest.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (chain, rest) = rest.split_first_chunk::<32>()?;
    let payload = rest.get(..u32::from_le_bytes(*length) as usize)?;
    if payload.len() > PAYLOAD_MAX || crc(&[length, number, chain, payload]) != u32::from_le_bytes(*crc_said) {
        return None;
    }
    Some((Position { sequence: Sequence(u64::from_le_bytes(*number)), chain: Chain(*chain) }, payload))
}

/// CRC32C over several pieces.
pub(crate) fn crc(pieces: &[&[u8]]) -> u32 {
    pieces.iter().fold(0, |crc, piece| crc32c::crc32c_append(crc, piece))
}
