//! What `/work` does: it is counted, takes its time, fails as often as asked, and is done one at a time where asked.
//!
//! `/work-takes?ms=N` and `/work-fails?percent=N` change it while it runs; `/work-count` tells how often it was asked for.

use crate::number_after;
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

/// Words: `--work-takes MS`, `--one-at-a-time`.
#[derive(Default)]
pub(crate) struct Work {
    alone: Option<Mutex<()>>,
    takes_ms: AtomicU64,
    fails_percent: AtomicU64,
    asked: AtomicU64,
}

impl Work {
    pub(crate) fn new(words: &[String]) -> Self {
        let alone = words.iter().any(|word| word == "--one-at-a-time").then(Mutex::default);
        let takes_ms = AtomicU64::new(number_after(words, "--work-takes").unwrap_or(0));
        Self { alone, takes_ms, ..Self::default() }
    }

    /// The answer to a path that has to do with it.
    pub(crate) fn answer(&self, path: &str, number: u64) -> Option<(u16, String)> {
        match path {
            "/work" => return Some(self.work()),
            "/work-takes" => self.takes_ms.store(number, SeqCst),
            "/work-fails" => self.fails_percent.store(number, SeqCst),
            "/work-count" => {}
            _ => return None,
        }
        Some((200, self.asked.load(SeqCst).to_string()))
    }

    fn work(&self) -> (u16, String) {
        let number = self.asked.fetch_add(1, SeqCst);
        let alone = self.alone.as_ref().map(|alone| alone.lock().unwrap_or_else(PoisonError::into_inner));
        thread::sleep(Duration::from_millis(self.takes_ms.load(SeqCst)));
        drop(alone);
        if scattered(number) % 100 < self.fails_percent.load(SeqCst) {
            return (503, "not this time\n".into());
        }
        (200, "done\n".into())
    }
}

/// A number of which nobody sees where it came from, so that failures follow no pattern (the finaliser of splitmix64).
fn scattered(number: u64) -> u64 {
    let mixed = (number ^ u64::from(std::process::id()) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
