//! W3C trace context: a request's trace is continued, or begun; the gateway is one span of it. And the request's id.

use crate::draw::draw;
use http::{HeaderMap, HeaderName, HeaderValue};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
pub(crate) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A longer id of a client's is replaced.
const REQUEST_ID_MAX: usize = 128;

/// What marks a request on its way.
pub(crate) struct Marks {
    pub(crate) traceparent: [u8; 55],
    /// The client's trace goes on, and so does its `tracestate`.
    pub(crate) is_continued: bool,
    pub(crate) request_id: HeaderValue,
}

/// The marks of a request whose client sent those values of `traceparent` and `x-request-id`.
pub(crate) fn marks(parent: Option<&[u8]>, request_id: Option<&[u8]>) -> Marks {
    let span = hex(draw());
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
    let parent = parent.filter(|value| is_valid(value));
    match parent {
        // A later version may have more behind the flags; what we know of it is the same.
        Some(parent) => text[3..].copy_from_slice(&parent[3..55]),
        None => {
            text[3..19].copy_from_slice(&hex(draw()));
            text[19..35].copy_from_slice(&hex(draw() | 1));
        }
    }
    text[36..52].copy_from_slice(&span);
    let given = request_id
        .filter(|value| (1..=REQUEST_ID_MAX).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic));
    let id = HeaderValue::from_bytes(given.unwrap_or(&text[3..35])).unwrap_or_else(|_| HeaderValue::from_static("-"));
    Marks { traceparent: text, is_continued: parent.is_some(), request_id: id }
}

/// Sets `traceparent` (and removes a `tracestate` that belongs to none), sets `x-request-id`; the id.
pub(crate) fn mark(headers: &mut HeaderMap) -> HeaderValue {
    let value = |name| headers.get(name).map(HeaderValue::as_bytes);
    let marks = marks(value(&TRACEPARENT), value(&REQUEST_ID));
    if !marks.is_continued {
        headers.remove(&TRACESTATE);
    }
    if let Ok(value) = HeaderValue::from_bytes(&marks.traceparent) {
        headers.insert(&TRACEPARENT, value);
    }
    headers.insert(&REQUEST_ID, marks.request_id.clone());
    marks.request_id
}

fn is_valid(value: &[u8]) -> bool {
    let hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    if value.len() < 55 || (value.len() > 55 && (value.starts_with(b"00") || value[55] != b'-')) {
        return false;
    }
    [2, 35, 52].iter().all(|at| value[*at] == b'-')
        && hex(&value[..2])
        && &value[..2] != b"ff"
        && hex(&value[3..35])
        && !zero(&value[3..35])
        && hex(&value[36..52])
        && !zero(&value[36..52])
        && hex(&value[53..55])
}

fn hex(number: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 16];
    for (pair, byte) in text.chunks_exact_mut(2).zip(number.to_be_bytes()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(given: &[(&'static str, &str)]) -> (HeaderMap, String) {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let id = mark(&mut headers).to_str().unwrap().to_owned();
        (headers, id)
    }

    #[test]
    fn a_trace_is_continued_with_a_span_of_our_own() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let (headers, id) = marked(&[("traceparent", parent), ("tracestate", "a=1")]);
        let ours = headers["traceparent"].to_str().unwrap();
        assert_eq!((&ours[..36], &ours[52..]), (&parent[..36], "-00"));
        assert_ne!(&ours[36..52], &parent[36..52]);
        assert_eq!((headers["tracestate"].as_bytes(), id.as_str()), (&b"a=1"[..], "4bf92f3577b34da6a3ce929d0e0e4736"));
    }

    #[test]
    fn nonsense_begins_a_new_trace() {
        for bad in ["", "00-0-0-0", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"] {
            let (headers, id) = marked(&[("traceparent", bad), ("tracestate", "a=1"), ("x-request-id", "mine")]);
            assert!(is_valid(headers["traceparent"].as_bytes()));
            assert_eq!((headers.get("tracestate"), id.as_str()), (None, "mine"));
        }
    }
}
