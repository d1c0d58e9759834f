//! One log as bytes: a header, then records; and what of it is good.

use crate::{Record, What, frame, frame::Chain, frame::FRAME, frame::Position, frame::Sequence};

const MAGIC: &[u8; 8] = b"PLIMLOG1";
/// Magic 8, generation 8, last number before it 8, hash up to there 32, CRC32C 4.
pub(crate) const HEADER: usize = 60;

/// The beginning of the log of a generation that goes on from `from`.
pub(crate) fn header(generation: u64, from: Position) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&generation.to_le_bytes());
    out.extend_from_slice(&from.sequence.0.to_le_bytes());
    out.extend_from_slice(&from.chain.0);
    let crc = frame::crc(&[&out]);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// Where a log says that it goes on from; `None`: its header is not good.
pub(crate) fn parse_header(bytes: &[u8], generation: u64) -> Option<Position> {
    let bytes = bytes.get(..HEADER)?;
    let number = Sequence(u64::from_le_bytes(*bytes[16..].first_chunk::<8>()?));
    let from = Position { sequence: number, chain: Chain(*bytes[24..].first_chunk::<32>()?) };
    (header(generation, from) == bytes).then_some(from)
}

/// What of a log is good.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// The good records.
    pub(crate) records: Vec<Record>,
    /// Where the last good record stands.
    pub(crate) end: Position,
    /// How many bytes are good.
    pub(crate) good: usize,
    /// What is wrong, where there is anything.
    pub(crate) flaw: Option<What>,
}

/// Reads a log of which it is known where it must go on from.
pub(crate) fn scan(bytes: &[u8], generation: u64, from: Position) -> Scanned {
    let mut scanned = Scanned { records: vec![], end: from, good: HEADER.min(bytes.len()), flaw: None };
    match parse_header(bytes, generation) {
        Some(said) if said == from => {}
        Some(_) => {
            scanned.flaw = Some(What::Gap);
            scanned.good = 0;
            return scanned;
        }
        None => scanned.flaw = Some(What::Header),
    }
    while let Some(rest) = bytes.get(scanned.good..).filter(|rest| !rest.is_empty()) {
        let next = frame::decode(rest).filter(|(said, payload)| *said == scanned.end.after(payload));
        let Some((position, payload)) = next else {
            scanned.flaw = Some(if goes_on(&rest[1..], scanned.end) { What::Record } else { What::TornTail });
            break;
        };
        scanned.records.push(Record { sequence: position.sequence, payload: payload.to_vec() });
        scanned.good += FRAME + payload.len();
        scanned.end = position;
    }
    if bytes.len() < HEADER && scanned.flaw == Some(What::Header) {
        scanned.flaw = Some(What::TornTail);
        scanned.good = 0;
    }
    scanned
}

/// Whether any whole record of a later number stands in `bytes`, wherever it begins.
fn goes_on(bytes: &[u8], end: Position) -> bool {
    let numbers = end.sequence.0 + 1..=end.sequence.0 + 2 + (bytes.len() / FRAME) as u64;
    (0..bytes.len().saturating_sub(FRAME - 1)).any(|offset| {
        let rest = &bytes[offset..];
        let number = rest[8..].first_chunk::<8>().map(|number| u64::from_le_bytes(*number));
        number.is_some_and(|number| numbers.contains(&number)) && frame::decode(rest).is_some()
    })
}
