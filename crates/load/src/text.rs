//! Text with placeholders, parsed once and written out for each request.
//!
//! `{n}` is the request's number (from the plan's `first_number`, unique within a run), `{uuid}` a random UUID (version 4; one for each request,
//! the same wherever it occurs in that request), `{random:N}` a whole number in `0..N` (drawn anew at each occurrence).
//! Any other `{lowercase}` or `{lowercase:digits}` is an error, so that a typing mistake isn't sent ten thousand times;
//! every other brace is itself, so JSON can be written as it is. `{{` writes one `{`.

use crate::draw::Draw;
use crate::plan::PlanError;

/// What a placeholder is filled with: everything that is particular to one request.
#[derive(Debug, Clone)]
pub(crate) struct Fill {
    pub(crate) number: u64,
    pub(crate) uuid: uuid::Uuid,
    pub(crate) draw: Draw,
}

impl Fill {
    /// The values of request `number` of a run seeded with `seed`.
    pub(crate) fn new(seed: u64, number: u64) -> Fill {
        let mut draw = Draw::of_request(seed, number);
        let bits = (u128::from(draw.next()) << 64) | u128::from(draw.next());
        Fill { number, uuid: uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid(), draw }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Number,
    Uuid,
    Random(u64),
}

/// A text whose placeholders have been found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text(Vec<Piece>);

impl Text {
    /// Finds the placeholders of `source`.
    ///
    /// # Errors
    /// `UnknownPlaceholder` when a braced lowercase word is none of ours: fix the text.
    pub(crate) fn parse(source: &str) -> Result<Text, PlanError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = source;
        while let Some(brace) = rest.find('{') {
            literal.push_str(&rest[..brace]);
            rest = &rest[brace..];
            if rest.starts_with("{{") {
                literal.push('{');
                rest = &rest[2..];
            } else if let Some(word) = braced_word(rest) {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(piece(word)?);
                rest = &rest[word.len() + 2..];
            } else {
                literal.push('{');
                rest = &rest[1..];
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Text(pieces))
    }

    /// The text, if it's the same for every request.
    pub(crate) fn constant(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Writes the text for one request.
    pub(crate) fn write(&self, fill: &mut Fill) -> String {
        use std::fmt::Write as _;
        let mut out = String::with_capacity(64);
        for piece in &self.0 {
            let written = match piece {
                Piece::Literal(text) => out.write_str(text),
                Piece::Number => write!(out, "{}", fill.number),
                Piece::Uuid => write!(out, "{}", fill.uuid),
                Piece::Random(bound) => write!(out, "{}", fill.draw.below(*bound)),
            };
            debug_assert!(written.is_ok(), "writing to a String can't fail");
        }
        out
    }
}

/// The word of a `{word}` or `{word:digits}` at the start of `text`, if that is what stands there.
fn braced_word(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('{')?;
    let word = &inner[..inner.find('}')?];
    let (name, digits) = word.split_once(':').unwrap_or((word, ""));
    let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    (named && digits.bytes().all(|b| b.is_ascii_digit())).then_some(word)
}

fn piece(word: &str) -> Result<Piece, PlanError> {
    let unknown = || PlanError::UnknownPlaceholder { placeholder: format!("{{{word}}}") };
    match word.split_once(':') {
        None if word == "n" => Ok(Piece::Number),
        None if word == "uuid" => Ok(Piece::Uuid),
        Some(("random", digits)) => match digits.parse() {
            Ok(bound) if bound > 0 => Ok(Piece::Random(bound)),
            _ => Err(unknown()),
        },
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, number: u64, want: &str) {
        assert_eq!(Text::parse(source).unwrap().write(&mut Fill::new(1, number)), want);
    }

    #[test]
    fn fills_the_number() {
        check("/users/{n}/x{n}", 12, "/users/12/x12");
    }

    #[test]
    fn leaves_json_alone() {
        check(r#"{"a":{"b":{n}},"c":[{}],"d":"{ n }"}"#, 3, r#"{"a":{"b":3},"c":[{}],"d":"{ n }"}"#);
    }

    #[test]
    fn writes_an_escaped_brace() {
        check("{{n}", 3, "{n}");
    }

    #[test]
    fn repeats_the_uuid_within_a_request_only() {
        let text = Text::parse("{uuid}/{uuid}").unwrap();
        let (one, two) = (text.write(&mut Fill::new(1, 0)), text.write(&mut Fill::new(1, 1)));
        let (left, right) = one.split_once('/').unwrap();
        assert_eq!(left, right);
        assert_eq!(left.len(), 36);
        assert_eq!(left.as_bytes()[14], b'4', "version 4: {left}");
        assert_ne!(one, two);
    }

    #[test]
    fn draws_random_numbers_below_the_bound() {
        let text = Text::parse("{random:10}").unwrap();
        let drawn: Vec<u64> = (0..200).map(|n| text.write(&mut Fill::new(1, n)).parse().unwrap()).collect();
        assert!(drawn.iter().all(|d| *d < 10));
        assert!((0..10).all(|d| drawn.contains(&d)), "all of 0..10 occur in 200 draws of this seed");
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for source in ["{nn}", "/{uuuid}", "{random}", "{random:0}", "{random:}", "{n:3}"] {
            assert!(matches!(Text::parse(source), Err(PlanError::UnknownPlaceholder { .. })), "{source}");
        }
    }

    #[test]
    fn knows_a_constant() {
        assert_eq!(Text::parse("/a").unwrap().constant(), Some("/a"));
        assert_eq!(Text::parse("").unwrap().constant(), Some(""));
        assert_eq!(Text::parse("/{n}").unwrap().constant(), None);
    }
}
