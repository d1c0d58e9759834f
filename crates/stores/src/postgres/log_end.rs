//! Where the log ends that a server left behind: what it had written when it died.
//!
//! Pages are found by the address that each begins with, records by their lengths and by the position of the one before that
//! each holds. So what an earlier use of a recycled file left is told apart. A record that was written in part may be counted:
//! the end is never too early.

use std::{fs::File, os::unix::fs::FileExt, path::Path};

/// `XLOG_BLCKSZ`.
const PAGE: u64 = 8192;
/// The head of a page, and of the first one of a file.
const HEAD: u64 = 24;
const LONG_HEAD: u64 = 40;
/// `XLP_LONG_HEADER`.
const IS_LONG: u16 = 2;
/// The head of a record.
const RECORD: u64 = 24;

/// The position after the last record in a folder of log files. `None`: there is none, or it can't be read.
pub(crate) fn log_end(dir: &Path) -> Option<u64> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .collect();
    names.sort_unstable();
    // Of the newest timeline; files that are kept to be used again have names that are still to come.
    let timeline = names.last()?[..8].to_owned();
    names.iter().rev().take_while(|name| name.starts_with(&timeline)).find_map(|name| end_in(dir, name))
}

/// The end in one file; `None`: it is not in use.
fn end_in(dir: &Path, name: &str) -> Option<u64> {
    let file = File::open(dir.join(name)).ok()?;
    let size = file.metadata().ok()?.len();
    if size < PAGE {
        return None;
    }
    let high = u64::from_str_radix(&name[8..16], 16).ok()?;
    let low = u64::from_str_radix(&name[16..], 16).ok()?;
    let start = (high << 32).checked_add(low.checked_mul(size)?)?;
    let is_at = |page: u64| Head::read(&file, page).is_some_and(|head| head.address == start + page);
    if !is_at(0) {
        return None;
    }
    let last = (1..size / PAGE).map(|number| number * PAGE).take_while(|page| is_at(*page)).last().unwrap_or(0);
    end_in_page(&file, last).map(|end| start + end)
}

/// The end in the last page of a file, as an offset in the file.
fn end_in_page(file: &File, page: u64) -> Option<u64> {
    let head = Head::read(file, page)?;
    let address = head.address - page;
    let begin = page + if head.info & IS_LONG == 0 { HEAD } else { LONG_HEAD };
    let mut at = aligned(begin + head.rest);
    if at >= page + PAGE {
        // It is the middle of a record that goes on in a page that was not written.
        return Some(page + PAGE);
    }
    let mut former = None;
    while at + RECORD <= page + PAGE {
        let mut bytes = [0; RECORD as usize];
        file.read_exact_at(&mut bytes, at).ok()?;
        let length = u64::from(u32::from_le_bytes(bytes[..4].try_into().ok()?));
        let before = u64::from_le_bytes(bytes[8..16].try_into().ok()?);
        let follows = former.map_or(before < address + at, |former| before == former);
        if length < RECORD || !follows {
            break;
        }
        former = Some(address + at);
        at = aligned(at + length);
        if at > page + PAGE {
            return Some(page + PAGE);
        }
    }
    Some(at)
}

fn aligned(offset: u64) -> u64 {
    offset.next_multiple_of(8)
}

/// The head of a page.
struct Head {
    info: u16,
    address: u64,
    /// So many bytes at its begin belong to a record of the page before.
    rest: u64,
}

impl Head {
    fn read(file: &File, page: u64) -> Option<Self> {
        let mut bytes = [0; HEAD as usize];
        file.read_exact_at(&mut bytes, page).ok()?;
        Some(Self {
            info: u16::from_le_bytes(bytes[2..4].try_into().ok()?),
            address: u64::from_le_bytes(bytes[8..16].try_into().ok()?),
            rest: u64::from(u32::from_le_bytes(bytes[16..20].try_into().ok()?)),
        })
    }
}
