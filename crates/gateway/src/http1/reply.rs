//! The head of a replica's answer, and what the client gets to see of it.

use super::{
    body::Framing,
    field::{self, FIELDS_MAX, Kind, Options},
};
use httparse::{Header, ParserConfig, Response};
use std::mem::MaybeUninit;

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// What the client gets of it, without framing and end.
    pub(super) head: Vec<u8>,
    pub(super) framing: Framing,
    /// A length that is told of a body that does not come.
    pub(super) length_told: Option<u64>,
    /// The connection can be used again once the body has come.
    pub(super) reusable: bool,
    pub(super) has_date: bool,
    /// What a client that asked for it is told of the new protocol.
    pub(super) upgrade: Option<Vec<u8>>,
}

/// Reads the head of an answer. `Ok(None)`: it is not there as a whole. Also tells how long it is.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(bytes: &[u8], to_head: bool) -> Result<Option<(Reply, usize)>, String> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut response = Response::new(&mut []);
    let read = ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut room);
    let length = match read {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let (Some(status), Some(minor)) = (response.code, response.version) else { return Ok(None) };
    let reason = response.reason.unwrap_or("");
    let mut head = Vec::with_capacity(length + 256);
    head.extend_from_slice(b"HTTP/1.1 ");
    crate::access::write_number(&mut head, u64::from(status));
    head.push(b' ');
    head.extend_from_slice(reason.as_bytes());
    head.extend_from_slice(b"\r\n");
    let mut reply = Reply {
        status,
        head,
        framing: Framing::Nothing,
        length_told: None,
        reusable: false,
        has_date: false,
        upgrade: None,
    };
    reply.note_fields(response.headers, minor == 0, to_head)?;
    Ok(Some((reply, length)))
}

impl Reply {
    fn note_fields(&mut self, fields: &[Header<'_>], is_old: bool, to_head: bool) -> Result<(), String> {
        let mut options = Options::default();
        let mut length = None;
        let mut chunked = false;
        for Header { name, value } in fields {
            match field::kind(name) {
                Kind::Connection => options.note(value),
                Kind::ContentLength => match field::length(value) {
                    Some(given) if length.is_none_or(|known| known == given) => length = Some(given),
                    _ => return Err("Content-Length is not one plain number".into()),
                },
                Kind::TransferEncoding if chunked || is_old || !value.eq_ignore_ascii_case(b"chunked") => {
                    return Err("Transfer-Encoding is not `chunked`".into());
                }
                Kind::TransferEncoding => chunked = true,
                Kind::Date => self.has_date = true,
                Kind::Upgrade => self.upgrade = Some(value.to_vec()),
                _ => {}
            }
        }
        for Header { name, value } in fields {
            let own = matches!(
                field::kind(name),
                Kind::Connection
                    | Kind::ContentLength
                    | Kind::TransferEncoding
                    | Kind::Upgrade
                    | Kind::Hop
                    | Kind::Te
                    | Kind::RequestId
            );
            if !own && !options.name(name, fields) {
                field::write(&mut self.head, name, value);
            }
        }
        let bodiless = to_head || self.status < 200 || matches!(self.status, 204 | 304);
        self.length_told = length.filter(|_| bodiless && !chunked && self.status >= 200 && self.status != 204);
        self.framing = match (chunked, length) {
            _ if bodiless => Framing::Nothing,
            (true, _) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::UntilClose,
        };
        // Whoever tells two lengths at once is not asked again on the same connection.
        let is_plain = self.framing != Framing::UntilClose && !(chunked && length.is_some());
        self.reusable = is_plain && !options.close && (!is_old || options.keep_alive);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, to_head: bool, want: Result<(u16, Framing, bool), ()>) {
        let read = read(text.as_bytes(), to_head);
        let got = read.map(|read| read.map(|(reply, _)| (reply.status, reply.framing, reply.reusable)));
        assert_eq!(got.map_err(|_| ()), want.map(Some), "{text:?}");
    }

    #[test]
    fn the_framing_of_an_answer_follows_the_rules() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false, Ok((200, Framing::Length(3), true)));
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true, Ok((200, Framing::Nothing, true)));
        check("HTTP/1.1 304 X\r\nContent-Length: 3\r\n\r\n", false, Ok((304, Framing::Nothing, true)));
        check("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n", false, Ok((200, Framing::Chunked, true)));
        check("HTTP/1.1 200 OK\r\n\r\n", false, Ok((200, Framing::UntilClose, false)));
        check("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", false, Ok((200, Framing::Length(3), false)));
        check("HTTP/1.1 204 X\r\nConnection: close\r\n\r\n", false, Ok((204, Framing::Nothing, false)));
        let both = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(both, false, Ok((200, Framing::Chunked, false)));
    }

    #[test]
    fn answers_that_could_be_read_in_two_ways_are_refused() {
        for fields in [
            "Content-Length: 3\r\nContent-Length: 4\r\n",
            "Content-Length: x\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
        ] {
            check(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), false, Err(()));
        }
        check("SSH-2.0-x\r\n\r\n", false, Err(()));
    }

    #[test]
    fn what_is_for_the_gateway_only_does_not_pass() {
        let text = "HTTP/1.1 200 OK\r\nServer: x\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\r\n";
        let (reply, length) = read(text.as_bytes(), false).unwrap().unwrap();
        assert_eq!((reply.head.as_slice(), length), (&b"HTTP/1.1 200 OK\r\nServer: x\r\n"[..], text.len()));
    }
}
