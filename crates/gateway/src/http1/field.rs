//! Header fields that the gateway looks at, told apart by name.

use crate::problem::Problem;
use std::mem::MaybeUninit;

/// Header fields of a message, at most.
pub(super) const FIELDS_MAX: usize = 100;

/// Room for the fields of a message.
pub(super) type Fields<'b> = [MaybeUninit<httparse::Header<'b>>; FIELDS_MAX];

/// What a field is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Connection,
    ContentLength,
    Cookie,
    Date,
    Expect,
    Host,
    RequestId,
    Te,
    TraceParent,
    TraceState,
    TransferEncoding,
    Upgrade,
    /// Any other that is meant for the next hop only.
    Hop,
    /// What a client from outside can't say of itself.
    Claim,
    Other,
}

/// The kind of the field with that name. `_` counts as `-`: many servers behind gateways don't tell them apart.
pub(crate) fn kind(name: &str) -> Kind {
    let known: &[(&str, Kind)] = match name.len() {
        2 => &[("te", Kind::Te)],
        4 => &[("host", Kind::Host), ("date", Kind::Date)],
        6 => &[("cookie", Kind::Cookie), ("expect", Kind::Expect)],
        7 => &[("upgrade", Kind::Upgrade), ("trailer", Kind::Hop)],
        9 => &[("forwarded", Kind::Claim), ("x-real-ip", Kind::Claim)],
        10 => &[("connection", Kind::Connection), ("keep-alive", Kind::Hop), ("tracestate", Kind::TraceState)],
        11 => &[("traceparent", Kind::TraceParent)],
        12 => &[("x-request-id", Kind::RequestId)],
        14 => &[("content-length", Kind::ContentLength), ("http2-settings", Kind::Hop)],
        15 => &[("x-forwarded-for", Kind::Claim)],
        16 => &[("x-forwarded-host", Kind::Claim), ("x-forwarded-port", Kind::Claim), ("proxy-connection", Kind::Hop)],
        17 => &[
            ("transfer-encoding", Kind::TransferEncoding),
            ("x-forwarded-proto", Kind::Claim),
            (crate::mirror::MARK, Kind::Claim),
        ],
        18 => &[
            ("x-forwarded-prefix", Kind::Claim),
            ("x-forwarded-server", Kind::Claim),
            ("proxy-authenticate", Kind::Hop),
        ],
        19 => &[("proxy-authorization", Kind::Hop)],
        20 => &[(crate::synthetic::MARK, Kind::Claim)],
        _ => return Kind::Other,
    };
    known.iter().find(|(known, _)| is_same(name, known)).map_or(Kind::Other, |(_, kind)| *kind)
}

/// Refuses a field whose name some servers take for one that says how long a message is.
pub(crate) fn refuse_twin(kind: Kind, name: &str) -> Result<(), Problem> {
    if matches!(kind, Kind::Host | Kind::ContentLength | Kind::TransferEncoding | Kind::Connection) {
        return Err(Problem::bad_request("field", format!("`{name}` could be taken for another field")));
    }
    Ok(())
}

fn is_same(name: &str, known: &str) -> bool {
    name.bytes().zip(known.bytes()).all(|(byte, known)| {
        let byte = if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        byte == known
    })
}

/// The elements of a list that is separated by commas, without those that are empty.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// What `Connection` fields say.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Options {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// Fields are named that belong to this hop.
    names: bool,
}

impl Options {
    pub(super) fn note(&mut self, value: &[u8]) {
        for option in list(value) {
            let is = |known: &str| option.eq_ignore_ascii_case(known.as_bytes());
            match () {
                () if is("close") => self.close = true,
                () if is("keep-alive") => self.keep_alive = true,
                () if is("upgrade") => self.upgrade = true,
                () => self.names = true,
            }
        }
    }

    /// Whether that field belongs to this hop because `Connection` names it.
    pub(super) fn name(&self, name: &str, fields: &[httparse::Header<'_>]) -> bool {
        self.names
            && fields
                .iter()
                .filter(|field| kind(field.name) == Kind::Connection)
                .flat_map(|field| list(field.value))
                .any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// A length that is one plain number.
pub(super) fn length(value: &[u8]) -> Option<u64> {
    let is_plain = (1..=19).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    is_plain.then(|| value.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// Appends one field.
pub(super) fn write(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends one field whose value is a number.
pub(super) fn write_number(out: &mut Vec<u8>, name: &str, number: u64) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    crate::access::write_number(out, number);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_with_either_line() {
        assert_eq!(kind("Transfer-Encoding"), Kind::TransferEncoding);
        assert_eq!(kind("transfer_ENCODING"), Kind::TransferEncoding);
        assert_eq!(kind("X_Forwarded_For"), Kind::Claim);
        assert_eq!(kind("X-Plimsoll-Mirror"), Kind::Claim);
        assert_eq!(kind("X-Plimsoll-Synthetic"), Kind::Claim);
        assert_eq!((kind("Hosts"), kind("x-kept")), (Kind::Other, Kind::Other));
    }

    #[test]
    fn only_plain_numbers_are_lengths() {
        assert_eq!((length(b"0"), length(b"0012")), (Some(0), Some(12)));
        for wrong in ["", "+1", "-1", "1 1", "0x1", "1,1", "1.0", "99999999999999999999", "\u{661}"] {
            assert_eq!(length(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
