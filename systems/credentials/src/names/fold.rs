//! Folding: names that look alike become one text.
//!
//! Two strengths. [`fold`] decides uniqueness: case, the separators, and what fonts draw alike (`0`/`o`, `1`/`l`,
//! `rn`/`m`, `vv`/`w`; compare Unicode TR39). [`coarse`] also undoes "leet" spelling and drops separators; it is only
//! compared with reserved names, where a false alarm costs nobody their name.

/// A folded or plain name of at most 32 bytes, held without allocating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Folded {
    bytes: [u8; super::LENGTH_MAX],
    len: u8,
}

impl Folded {
    pub(super) const EMPTY: Self = Self { bytes: [0; super::LENGTH_MAX], len: 0 };

    /// Lower-case ASCII text of at most 32 bytes; `None` if it is longer or not ASCII.
    pub fn plain(text: &str) -> Option<Self> {
        let mut name = Self::EMPTY;
        if text.len() > super::LENGTH_MAX || !text.is_ascii() {
            return None;
        }
        text.bytes().for_each(|byte| name.push(byte.to_ascii_lowercase()));
        Some(name)
    }

    /// The bytes; always ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// What does not fit is left out; callers have checked the length.
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(usize::from(self.len)) {
            *slot = byte;
            self.len += 1;
        }
    }

    fn last(&self) -> Option<u8> {
        self.as_bytes().last().copied()
    }

    fn replace_last(&mut self, byte: u8) {
        if let Some(at) = usize::from(self.len).checked_sub(1) {
            self.bytes[at] = byte;
        }
    }
}

/// Folds a name of at most 32 ASCII bytes for uniqueness.
pub fn fold(name: &str) -> Folded {
    let mut folded = Folded::EMPTY;
    for byte in name.bytes() {
        let byte = match byte.to_ascii_lowercase() {
            b'0' => b'o',
            b'1' => b'l',
            b'.' | b'_' => b'-',
            other => other,
        };
        match (folded.last(), byte) {
            (Some(b'r'), b'n') => folded.replace_last(b'm'),
            (Some(b'v'), b'v') => folded.replace_last(b'w'),
            _ => folded.push(byte),
        }
    }
    folded
}

/// Folds any text as far as it can be mistaken for Latin; characters that look like nothing Latin are left out.
pub(super) fn coarse(name: &str) -> Folded {
    let mut latin = Folded::EMPTY;
    for character in name.chars() {
        let character = homoglyph(character).unwrap_or(character).to_ascii_lowercase();
        let Ok(byte) = u8::try_from(character) else { continue };
        match byte {
            b'0' => latin.push(b'o'),
            b'1' | b'i' | b'!' | b'|' => latin.push(b'l'),
            b'3' => latin.push(b'e'),
            b'4' | b'@' => latin.push(b'a'),
            b'5' | b'$' => latin.push(b's'),
            b'7' => latin.push(b't'),
            byte if byte.is_ascii_alphanumeric() => latin.push(byte),
            _ => {}
        }
    }
    fold(latin.as_str())
}

/// The Latin letter that this character is drawn like: the common Cyrillic, Greek and full-width ones.
pub(super) fn homoglyph(character: char) -> Option<char> {
    const ALIKE: [(&str, &str); 2] = [
        ("аАеЕоОрРсСхХуУіІјЈѕЅԁһқкКмМнНтТвВпг", "aaeeooppccxxyyiijjssdhkkkmmhhttbbnr"),
        ("αΑβΒεΕηΗιΙκΚνΝοΟρΡτΤυΥχΧγμ", "aabbeenhiikkvnooppttuyxxyu"),
    ];
    if character.is_ascii() {
        return None;
    }
    if ('\u{ff01}'..='\u{ff5e}').contains(&character) {
        return char::from_u32(u32::from(character) - 0xff01 + 0x21);
    }
    ALIKE.iter().find_map(|(from, to)| from.chars().zip(to.chars()).find(|(c, _)| *c == character).map(|(_, l)| l))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn alike(one: &str, other: &str) {
        assert_eq!(fold(one), fold(other), "{one} and {other}");
    }

    #[test]
    fn folds_what_looks_alike() {
        alike("Anna", "anna");
        alike("b0b", "bob");
        alike("pau1", "paul");
        alike("modern", "modem");
        alike("vvilly", "willy");
        alike("a.b-c", "a_b.c");
    }

    #[test]
    fn keeps_apart_what_does_not() {
        assert_ne!(fold("ian"), fold("lan"));
        assert_ne!(fold("ab-c"), fold("abc"));
    }

    #[test]
    fn tables_of_homoglyphs_are_of_equal_length() {
        assert_eq!(homoglyph('г'), Some('r'));
        assert_eq!(homoglyph('μ'), Some('u'));
        assert_eq!(homoglyph('Ａ'), Some('A'));
        assert_eq!(homoglyph('ж'), None);
    }

    #[test]
    fn coarse_sees_through_leet_and_cyrillic() {
        for name in ["adm1n", "аdmin", "a.d.m.i.n", "4dmin", "ＡＤＭＩＮ"] {
            assert_eq!(coarse(name), coarse("admin"), "{name}");
        }
    }
}
