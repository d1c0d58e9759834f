//! One snapshot as bytes: where it stands, its length, its payload, all under a CRC32C and a hash.

use crate::{Record, frame, frame::Chain, frame::Position, frame::Sequence};
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"PLIMSNP1";
/// Magic 8, generation 8, number 8, chained hash 32, payload's hash 32, length 8, CRC32C 4.
const HEADER: usize = 100;

/// A snapshot of everything up to `at`, with which `generation` begins.
pub(crate) fn encode(generation: u64, at: Position, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + payload.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&generation.to_le_bytes());
    out.extend_from_slice(&at.sequence.0.to_le_bytes());
    out.extend_from_slice(&at.chain.0);
    out.extend_from_slice(&Sha256::digest(payload));
    out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    let crc = frame::crc(&[&out, payload]);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(payload);
    out
}

/// Where a snapshot stands, and what it holds; `None`: it is not what was written.
pub(crate) fn decode(bytes: &[u8], generation: u64) -> Option<(Position, Record)> {
    let payload = bytes.get(HEADER..)?;
    let sequence = Sequence(u64::from_le_bytes(*bytes[16..].first_chunk::<8>()?));
    let at = Position { sequence, chain: Chain(*bytes[24..].first_chunk::<32>()?) };
    let is_whole = encode(generation, at, payload) == bytes;
    is_whole.then(|| (at, Record { sequence, payload: payload.to_vec() }))
}
