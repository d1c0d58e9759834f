//! Where a body ends, by its framing: strictly as RFC 9112 §6 and §7 write it, and nothing beside it.
//!
//! Invariant: for each body there is one length that gateway, client and replica agree on, or an error.

use std::ops::Range;

/// The bytes of all chunk extensions of a body, at most: they mean nothing to anybody, and are not passed on.
const EXTENSIONS_MAX: usize = 4096;
/// The bytes of a body's trailers, at most.
const TRAILERS_MAX: usize = 8192;
/// Hexadecimal digits of a chunk's size: enough for 2^60.
const DIGITS_MAX: u8 = 15;

/// How a message says how long its body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    Nothing,
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Until the connection ends: answers only.
    UntilClose,
}

/// What is wrong with a body's framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// Takes the framing off a body.
#[derive(Debug)]
pub(super) struct Decoder {
    state: State,
    extensions: usize,
    /// The trailer section as it came, without the empty line.
    trailers: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    UntilClose,
    /// In a chunk's size: its value and digits so far.
    Size(u64, u8),
    /// In what comes behind a chunk's size.
    Extension(u64),
    /// Before the line feed of a chunk's head.
    SizeEnd(u64),
    /// In a chunk's data.
    Data(u64),
    /// Before the line end of a chunk.
    DataEnd,
    DataEndFeed,
    /// In the trailer section; whether a line has begun.
    Trailer(bool),
    /// Before a line feed of the trailer section; whether it ends a line that is not empty.
    TrailerFeed(bool),
    Done,
}

/// What a piece of a body came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decoded {
    /// The data, within the bytes that were given; moved together if there were several chunks.
    pub(super) data: Range<usize>,
    /// How many bytes were used.
    pub(super) used: usize,
}

impl Decoder {
    pub(super) fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Nothing | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size(0, 0),
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, extensions: 0, trailers: Vec::new() }
    }

    /// All of the body came.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Lines of the trailer section.
    pub(super) fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// The sender has closed. `false`: that was too early.
    pub(super) fn close(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Done;
        }
        self.is_done()
    }

    /// Takes the framing off the next bytes.
    ///
    /// # Errors
    /// It is not what RFC 9112 says. Nothing more can be known of this connection.
    pub(super) fn decode(&mut self, bytes: &mut [u8]) -> Result<Decoded, Malformed> {
        match self.state {
            State::Done => return Ok(Decoded { data: 0..0, used: 0 }),
            State::UntilClose => return Ok(Decoded { data: 0..bytes.len(), used: bytes.len() }),
            State::Length(left) => {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let left = left - length as u64;
                self.state = if left == 0 { State::Done } else { State::Length(left) };
                return Ok(Decoded { data: 0..length, used: length });
            }
            _ => {}
        }
        let mut data = 0..0;
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            if let State::Data(left) = self.state {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                if data.is_empty() {
                    data = at..at + length;
                } else {
                    bytes.copy_within(at..at + length, data.end);
                    data.end += length;
                }
                at += length;
                let left = left - length as u64;
                self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
            } else {
                self.state = self.step(bytes[at])?;
                at += 1;
            }
        }
        Ok(Decoded { data, used: at })
    }

    /// One byte of framing.
    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        Ok(match (self.state, byte) {
            (State::Size(size, digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == DIGITS_MAX {
                    return Err(Malformed("a chunk's size has too many digits"));
                }
                State::Size((size << 4) | u64::from(value(byte)), digits + 1)
            }
            (State::Size(_, 0), _) => return Err(Malformed("a chunk's size is not a hexadecimal number")),
            (State::Size(size, _) | State::Extension(size), b'\r') => State::SizeEnd(size),
            (State::Size(size, _), b';') => State::Extension(size),
            (State::Extension(size), b'\t' | b' '..=b'~' | 0x80..) => {
                self.extensions += 1;
                if self.extensions > EXTENSIONS_MAX {
                    return Err(Malformed("chunk extensions are too long"));
                }
                State::Extension(size)
            }
            (State::SizeEnd(0), b'\n') => State::Trailer(false),
            (State::SizeEnd(size), b'\n') => State::Data(size),
            (State::DataEnd, b'\r') => State::DataEndFeed,
            (State::DataEndFeed, b'\n') => State::Size(0, 0),
            (State::Trailer(begun), b'\r') => State::TrailerFeed(begun),
            (State::Trailer(_), b'\t' | b' '..=b'~' | 0x80..) => {
                self.push_trailer(byte)?;
                State::Trailer(true)
            }
            (State::TrailerFeed(true), b'\n') => {
                self.push_trailer(b'\r')?;
                self.push_trailer(b'\n')?;
                State::Trailer(false)
            }
            (State::TrailerFeed(false), b'\n') => {
                check_trailers(&self.trailers)?;
                State::Done
            }
            _ => return Err(Malformed("a chunk is not framed as it should be")),
        })
    }

    fn push_trailer(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.trailers.len() >= TRAILERS_MAX {
            return Err(Malformed("trailers are too long"));
        }
        self.trailers.push(byte);
        Ok(())
    }
}

fn check_trailers(lines: &[u8]) -> Result<(), Malformed> {
    let wrong = Malformed("a trailer is not a header");
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':').ok_or(wrong)?;
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if colon == 0 || !line[..colon].iter().all(is_token) {
            return Err(wrong);
        }
    }
    Ok(())
}

fn value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body of `text`, given whole and in pieces of each size, and what is left of it.
    #[track_caller]
    fn check(text: &str, want: Result<(&str, &str), &str>) {
        for piece in [text.len(), 1, 2, 3, 7] {
            let mut decoder = Decoder::new(Framing::Chunked);
            let (mut got, mut used) = (Vec::new(), 0);
            let mut run = || {
                for part in text.as_bytes().chunks(piece) {
                    let mut part = part.to_vec();
                    let decoded = decoder.decode(&mut part)?;
                    got.extend_from_slice(&part[decoded.data]);
                    used += decoded.used;
                }
                Ok(decoder.is_done())
            };
            let done: Result<bool, Malformed> = run();
            let told = match &done {
                Ok(true) => Ok((std::str::from_utf8(&got).unwrap(), &text[used..])),
                Ok(false) => Err("more"),
                Err(_) => Err("wrong"),
            };
            assert_eq!(told, want, "{text:?} in pieces of {piece}");
        }
    }

    #[test]
    fn chunks_are_joined_and_what_follows_is_left() {
        check("0\r\n\r\n", Ok(("", "")));
        check("4\r\nabcd\r\n3;x=\"y\"\r\nefg\r\n000\r\n\r\nGET", Ok(("abcdefg", "GET")));
        check("A\r\n0123456789\r\n0\r\nX: 1\r\nY: 2\r\n\r\nrest", Ok(("0123456789", "rest")));
    }

    #[test]
    fn what_has_not_ended_is_waited_for() {
        for text in ["4", "4\r\nab", "4\r\nabcd\r\n", "0\r\n", "0\r\nX: 1\r\n"] {
            check(text, Err("more"));
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            "\r\n",
            "+4\r\n",
            "-4\r\n",
            "0x4\r\n",
            "4 \r\n",
            " 4\r\n",
            "4_0\r\n",
            "4\n",
            "4\r\r",
            "4;a\nb\r\n",
            "4;a\rb\r\n",
            "4;\0\r\n",
            "1\r\nab\r\n",
            "1\r\na\n0",
            "1\r\na\rx",
            "1000000000000000\r\n",
            "0\r\nX\r\n\r\n",
            "0\r\n: 1\r\n\r\n",
            "0\r\nX : 1\r\n\r\n",
            "0\r\n X: 1\r\n\r\n",
            "0\r\nX: 1\n\r\n",
            "0\r\n\n",
            "4,5\r\n",
            "4\t\r\n",
            "g\r\n",
        ] {
            check(text, Err("wrong"));
        }
        check(&format!("4;{}\r\nabcd\r\n0\r\n\r\n", "x".repeat(5000)), Err("wrong"));
        check(&format!("0\r\nX: {}\r\n\r\n", "x".repeat(9000)), Err("wrong"));
    }

    /// What comes of a body that is given in pieces of that size: its data and what is left; `None` if it is refused.
    fn outcome(text: &[u8], piece: usize) -> Option<(Vec<u8>, usize, bool)> {
        let mut decoder = Decoder::new(Framing::Chunked);
        let (mut got, mut used) = (Vec::new(), 0);
        for part in text.chunks(piece) {
            let mut part = part.to_vec();
            let decoded = decoder.decode(&mut part).ok()?;
            got.extend_from_slice(&part[decoded.data]);
            used += decoded.used;
        }
        Some((got, used, decoder.is_done()))
    }

    #[test]
    fn where_a_body_is_cut_on_its_way_changes_nothing() {
        let mut state = 1u64;
        let mut below = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % bound
        };
        let good = b"4\r\nabcd\r\nA;x=\"y\"\r\n0123456789\r\n1\r\nz\r\n0\r\nX: 1\r\nY: 2\r\n\r\nGET / HTTP/1.1";
        for round in 0..20_000 {
            let mut text = good.to_vec();
            for _ in 0..below(3) {
                let at = below(text.len());
                match below(3) {
                    0 => text[at] = b"\r\n0159aF;: \0\xff"[below(13)],
                    1 => text.insert(at, b"\r\n0159aF;: \0\xff"[below(13)]),
                    _ => drop(text.remove(at)),
                }
            }
            let whole = outcome(&text, text.len());
            for piece in [1, 2, 5] {
                assert_eq!(outcome(&text, piece), whole, "round {round}: {}", text.escape_ascii());
            }
        }
    }

    #[test]
    fn a_length_is_counted_and_a_close_ends_only_what_has_none() {
        let mut decoder = Decoder::new(Framing::Length(5));
        assert_eq!(decoder.decode(&mut b"abc".to_vec()), Ok(Decoded { data: 0..3, used: 3 }));
        assert!(!decoder.close());
        assert_eq!(decoder.decode(&mut b"defg".to_vec()), Ok(Decoded { data: 0..2, used: 2 }));
        assert!(decoder.is_done());
        assert!(Decoder::new(Framing::UntilClose).close() && Decoder::new(Framing::Length(0)).is_done());
    }
}
