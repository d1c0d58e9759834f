//! The access log: one JSON line a request, on standard output.
//!
//! Workers write into a buffer of their own; a thread of its own writes the buffers out, so that a reader that stalls never
//! stops a worker. A flood is cut: lines beyond so many a second, and buffers that find the thread's queue full, are counted
//! and told in a line of their own (`skipped`). Answers 5xx are cut later than others.

use crate::settings::Settings;
use std::{
    cell::RefCell,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// A buffer is handed on when it is so long, or when the worker's sweep comes by.
const BUFFER: usize = 16 * 1024;
/// Buffers that wait for the thread, at most: 1 MiB.
const QUEUE: usize = 64;

/// Where workers hand their buffers on.
#[derive(Debug)]
pub(crate) struct Log {
    queue: Option<SyncSender<Vec<u8>>>,
    /// Buffers handed on and not yet written.
    pending: Arc<AtomicU64>,
    /// Lines a second for one worker.
    rate: u32,
}

/// What is told of one request.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) at_us: u64,
    pub(crate) route: &'a str,
    /// Its address.
    pub(crate) client: &'a [u8],
    pub(crate) method: &'a [u8],
    pub(crate) host: &'a [u8],
    pub(crate) path: &'a [u8],
    pub(crate) protocol: &'a str,
    /// 0 when the client went away before there was an answer.
    pub(crate) status: u16,
    pub(crate) sent: u64,
    pub(crate) micros: u64,
    pub(crate) replica: Option<&'a str>,
    pub(crate) tries: u32,
    pub(crate) request_id: &'a [u8],
    /// The answer did not reach its end.
    pub(crate) cut: bool,
    pub(crate) reason: Option<&'a str>,
}

#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    second: u64,
    lines: u32,
    skipped: u64,
}

thread_local! {
    static BUFFER_OF_WORKER: RefCell<Buffer> = RefCell::new(Buffer::default());
}

impl Log {
    /// Starts the thread that writes, unless the log is switched off.
    pub(crate) fn start(settings: &Settings) -> Self {
        let pending = Arc::new(AtomicU64::new(0));
        let rate = (settings.access_log_rate / u32::try_from(settings.workers).unwrap_or(1)).max(1);
        if !settings.access_log {
            return Self { queue: None, pending, rate };
        }
        let (queue, buffers) = sync_channel::<Vec<u8>>(QUEUE);
        let left = Arc::clone(&pending);
        let write = move || {
            for buffer in buffers {
                // Standard output is closed or full: the lines are lost, and serving goes on.
                let _ = io::stdout().write_all(&buffer).and_then(|()| io::stdout().flush());
                left.fetch_sub(1, Relaxed);
            }
        };
        let started = thread::Builder::new().name("access-log".into()).stack_size(64 * 1024).spawn(write);
        Self { queue: started.is_ok().then_some(queue), pending, rate }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Writes a line into this worker's buffer.
    pub(crate) fn write(&self, line: &Line<'_>) {
        BUFFER_OF_WORKER.with_borrow_mut(|buffer| {
            let second = line.at_us / 1_000_000;
            if second != buffer.second {
                buffer.tell_skipped(line.at_us);
                (buffer.second, buffer.lines) = (second, 0);
            }
            let most = if line.status >= 500 { self.rate.saturating_mul(2) } else { self.rate };
            if buffer.lines >= most {
                buffer.skipped += 1;
                return;
            }
            buffer.lines += 1;
            write_line(&mut buffer.bytes, line);
            if buffer.bytes.len() >= BUFFER {
                self.hand_on(buffer);
            }
        });
    }

    /// Hands this worker's buffer on.
    pub(crate) fn flush(&self, at_us: u64) {
        BUFFER_OF_WORKER.with_borrow_mut(|buffer| {
            if buffer.second != at_us / 1_000_000 {
                buffer.tell_skipped(at_us);
            }
            if !buffer.bytes.is_empty() {
                self.hand_on(buffer);
            }
        });
    }

    fn hand_on(&self, buffer: &mut Buffer) {
        let Some(queue) = &self.queue else { return buffer.bytes.clear() };
        self.pending.fetch_add(1, Relaxed);
        if let Err(full) = queue.try_send(std::mem::take(&mut buffer.bytes)) {
            self.pending.fetch_sub(1, Relaxed);
            let (std::sync::mpsc::TrySendError::Full(lost) | std::sync::mpsc::TrySendError::Disconnected(lost)) = full;
            buffer.skipped += lost.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
    }

    /// Waits until everything that was handed on is written, for at most so long.
    pub(crate) fn drain(&self, longest: Duration) {
        let until = Instant::now() + longest;
        while self.pending.load(Relaxed) > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Buffer {
    fn tell_skipped(&mut self, at_us: u64) {
        if self.skipped > 0 {
            // Writing to memory can't fail.
            let _ = writeln!(self.bytes, "{{\"at\":{at_us},\"skipped\":{}}}", self.skipped);
            self.skipped = 0;
        }
    }
}

fn write_line(out: &mut Vec<u8>, line: &Line<'_>) {
    out.extend_from_slice(b"{\"at\":");
    write_number(out, line.at_us);
    out.extend_from_slice(b",\"route\":");
    write_text(out, line.route.as_bytes());
    out.extend_from_slice(b",\"client\":");
    write_text(out, line.client);
    out.extend_from_slice(b",\"method\":");
    write_text(out, line.method);
    out.extend_from_slice(b",\"host\":");
    write_text(out, line.host);
    out.extend_from_slice(b",\"path\":");
    write_text(out, line.path);
    out.extend_from_slice(b",\"protocol\":");
    write_text(out, line.protocol.as_bytes());
    for (name, number) in
        [("status", u64::from(line.status)), ("sent", line.sent), ("us", line.micros), ("tries", u64::from(line.tries))]
    {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        write_number(out, number);
    }
    if let Some(replica) = line.replica {
        out.extend_from_slice(b",\"replica\":");
        write_text(out, replica.as_bytes());
    }
    out.extend_from_slice(b",\"id\":");
    write_text(out, line.request_id);
    if line.cut {
        out.extend_from_slice(b",\"cut\":true");
    }
    if let Some(reason) = line.reason {
        out.extend_from_slice(b",\"reason\":");
        write_text(out, reason.as_bytes());
    }
    out.extend_from_slice(b"}\n");
}

pub(crate) fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// A JSON string; bytes that are no printable ASCII are escaped as U+00XX, so that no terminal can be fooled.
fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if text.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
        out.extend_from_slice(text);
        return out.push(b'"');
    }
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b' '..=b'~' => out.push(*byte),
            _ => {
                // Writing to memory can't fail.
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_whatever_a_client_sends() {
        let line = Line {
            at_us: 5,
            route: "*/",
            client: b"127.0.0.1",
            method: b"GET",
            host: b"a\x1b[2J\"\xff",
            path: b"/\\\"",
            protocol: "HTTP/1.1",
            status: 200,
            sent: 3,
            micros: 9,
            replica: Some("web-1"),
            tries: 2,
            request_id: b"x",
            cut: true,
            reason: None,
        };
        let mut out = Vec::new();
        write_line(&mut out, &line);
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((read["path"].as_str(), read["tries"].as_u64()), (Some("/\\\""), Some(2)));
        assert_eq!(read["host"].as_str(), Some("a\u{1b}[2J\"\u{ff}"));
    }
}
