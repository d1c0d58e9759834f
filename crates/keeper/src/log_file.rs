//! A log on disk: timed lines, capped in size by rotation and in rate by dropping.
//!
//! Invariant: what is kept in memory of a log is bounded, and so is its space on disk.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// How much of a log is kept, and how fast it may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogCaps {
    /// A file that has reached so many bytes is rotated.
    pub file_bytes: u64,
    /// So many older files are kept (`<name>.log.1` is the newest of them).
    pub files: u32,
    /// Bytes a second that one log may grow; a second's worth may come at once.
    pub bytes_per_second: u64,
}

impl Default for LogCaps {
    fn default() -> Self {
        Self { file_bytes: 10 << 20, files: 3, bytes_per_second: 20 << 20 }
    }
}

/// A line without an end is cut here.
const LINE_MAX: usize = 64 * 1024;

/// One log.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    caps: LogCaps,
    file: Option<File>,
    length: u64,
    /// The last line, whose end has not come yet.
    partial: Vec<u8>,
    /// Something was dropped, so what comes before the next line's start is not a line.
    resync: bool,
    /// Bytes that may be written now.
    allowance: u64,
    allowed_at: Instant,
    /// Bytes dropped and not told yet.
    dropped: u64,
    /// Why the disk took some of them not.
    refused: Option<String>,
    /// Bytes dropped of which the log itself does not say so yet.
    gap: u64,
}

/// What was dropped of a log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) bytes: u64,
    /// Why the disk took it not; `None`: it came too fast.
    pub(crate) refused: Option<String>,
}

impl LogFile {
    /// The log at `path`, which is appended to.
    pub(crate) fn new(path: PathBuf, caps: LogCaps, now: Instant) -> Self {
        Self {
            path,
            caps,
            file: None,
            length: 0,
            partial: Vec::new(),
            resync: false,
            allowance: caps.bytes_per_second,
            allowed_at: now,
            dropped: 0,
            refused: None,
            gap: 0,
        }
    }

    /// Takes what a process has written. Never fails: what can't be written is counted as dropped.
    pub(crate) fn take(&mut self, bytes: &[u8], now: Instant) {
        let length = bytes.len() as u64;
        self.refill(now);
        if self.allowance < length {
            self.drop_bytes(length + self.partial.len() as u64);
            return;
        }
        self.allowance -= length;
        let mut rest = bytes;
        if self.resync {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                self.dropped += length;
                return;
            };
            self.dropped += end as u64 + 1;
            rest = &rest[end + 1..];
            self.resync = false;
        }
        let lines = self.lines(rest);
        if lines.is_empty() {
            return;
        }
        if let Err(error) = self.write(&lines) {
            self.refused = Some(error.to_string());
            self.drop_bytes(length);
        }
    }

    /// The start of a line whose end has not come yet; it is forgotten here.
    pub(crate) fn take_partial(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }

    /// Writes a line that has no end yet: its writer is gone.
    pub(crate) fn finish(&mut self) {
        if !self.partial.is_empty() {
            let lines = self.lines(b"\n");
            let _ = self.write(&lines);
        }
    }

    /// What was dropped since the last call. The log itself says so, too, as soon as it takes it.
    pub(crate) fn told_dropped(&mut self) -> Option<Dropped> {
        let bytes = std::mem::take(&mut self.dropped);
        if bytes == 0 {
            return None;
        }
        self.gap += bytes;
        let _ = self.write(b"");
        Some(Dropped { bytes, refused: self.refused.take() })
    }

    /// Whether something was dropped that was not told.
    pub(crate) fn has_dropped(&self) -> bool {
        self.dropped > 0
    }

    fn drop_bytes(&mut self, length: u64) {
        self.dropped += length;
        self.partial.clear();
        self.resync = true;
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.allowed_at).min(Duration::from_secs(1));
        let micros = u64::try_from(passed.as_micros()).unwrap_or(0);
        let more = self.caps.bytes_per_second.saturating_mul(micros) / 1_000_000;
        if more > 0 {
            self.allowance = self.allowance.saturating_add(more).min(self.caps.bytes_per_second);
            self.allowed_at = now;
        }
    }

    /// Complete lines, each with the time before it; the rest stays in `partial`.
    fn lines(&mut self, bytes: &[u8]) -> Vec<u8> {
        let stamp = timestamp(SystemTime::now());
        let mut text = Vec::with_capacity(bytes.len() + bytes.len() / 4 + 64);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let whole = part.ends_with(b"\n");
            if !whole && self.partial.len() + part.len() < LINE_MAX {
                self.partial.extend_from_slice(part);
                continue;
            }
            text.extend_from_slice(stamp.as_bytes());
            text.push(b' ');
            text.append(&mut self.partial);
            text.extend_from_slice(part);
            if !whole {
                text.push(b'\n');
            }
        }
        text
    }

    /// Appends whole lines, and before them that something is missing. If not all of it can be written, none is.
    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let notice = match self.gap {
            0 => String::new(),
            bytes => format!("{} plimsoll: {bytes} bytes were dropped here\n", timestamp(SystemTime::now())),
        };
        let text = [notice.as_bytes(), text].concat();
        self.append(&text).inspect_err(|_| self.file = None)?;
        self.gap = 0;
        if self.length >= self.caps.file_bytes {
            self.file = None;
            rotate(&self.path, self.caps.files)?;
        }
        Ok(())
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
                self.length = file.metadata()?.len();
                self.file.insert(file)
            }
        };
        if let Err(error) = file.write_all(text) {
            // A part of a line would be taken for the beginning of the next one.
            let _ = file.set_len(self.length);
            return Err(error);
        }
        self.length += text.len() as u64;
        Ok(())
    }
}

/// `<name>.log` becomes `<name>.log.1`, and so on; the oldest is replaced.
pub(crate) fn rotate(path: &Path, files: u32) -> io::Result<()> {
    let older = |age: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{age}"));
        PathBuf::from(name)
    };
    for age in (1..files).rev() {
        match std::fs::rename(older(age), older(age + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    if files == 0 { std::fs::remove_file(path) } else { std::fs::rename(path, older(1)) }
}

/// RFC 3339, UTC, with microseconds.
pub(crate) fn timestamp(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", since.subsec_micros())
}

/// Year, month and day of the day that is so many days after 1970-01-01, by eras of 400 years that start in March.
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(folder: &tempfile::TempDir, caps: LogCaps) -> (LogFile, PathBuf) {
        let path = folder.path().join("x.log");
        (LogFile::new(path.clone(), caps, Instant::now()), path)
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let at = |seconds, micros| timestamp(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(micros));
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_782_400, 7), "2000-02-29T00:00:00.000007Z");
        assert_eq!(at(1_795_876_842, 500_000), "2026-11-28T14:40:42.500000Z");
    }

    #[test]
    fn lines_are_timed_and_joined_over_writes() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, path) = log(&folder, LogCaps::default());
        log.take(b"one\ntw", Instant::now());
        log.take(b"o\n", Instant::now());
        log.take(b"end", Instant::now());
        log.finish();
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().map(|line| line.split_once("Z ").unwrap().1).collect();
        assert_eq!(lines, ["one", "two", "end"]);
    }

    #[test]
    fn a_line_without_end_is_cut_and_nothing_grows() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, path) = log(&folder, LogCaps::default());
        for _ in 0..10 {
            log.take(&[b'x'; 40_000], Instant::now());
        }
        assert!(log.partial.len() < LINE_MAX);
        assert!(std::fs::read_to_string(path).unwrap().lines().count() >= 4);
    }

    #[test]
    fn rotation_keeps_as_many_as_it_should() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = log(&folder, LogCaps { file_bytes: 100, files: 3, bytes_per_second: 1 << 20 });
        for number in 0..40 {
            log.take(format!("line {number} {}\n", "x".repeat(50)).as_bytes(), Instant::now());
        }
        let mut names: Vec<String> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["x.log.1", "x.log.2", "x.log.3"]);
    }

    #[test]
    fn too_much_is_dropped_counted_and_told_and_lines_stay_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, path) = log(&folder, LogCaps { bytes_per_second: 100, ..LogCaps::default() });
        let start = Instant::now();
        log.allowed_at = start;
        log.take(&[b'a'; 99], start);
        log.take(&[b'b'; 50], start);
        assert!(log.has_dropped());
        log.take(b"rest of b\nwhole\n", start + Duration::from_secs(1));
        assert_eq!(log.told_dropped(), Some(Dropped { bytes: 99 + 50 + 10, refused: None }));
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains("Z whole\n") && text.contains("159 bytes were dropped"), "{text}");
        assert!(!text.contains("rest of b"));
    }

    #[test]
    fn a_full_or_missing_disk_never_fails_the_writer() {
        let mut log = LogFile::new(PathBuf::from("/nowhere/x.log"), LogCaps::default(), Instant::now());
        log.take(b"lost\n", Instant::now());
        let dropped = log.told_dropped().unwrap();
        assert_eq!(dropped.bytes, 5);
        assert!(dropped.refused.is_some_and(|why| why.contains("No such file")));
        assert_eq!(log.told_dropped(), None);
    }

    #[test]
    fn a_disk_that_takes_it_again_is_told_what_is_missing_before_the_next_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/x.log");
        let mut log = LogFile::new(path.clone(), LogCaps::default(), Instant::now());
        log.take(b"lost\nlost", Instant::now());
        assert_eq!(log.told_dropped().map(|dropped| dropped.bytes), Some(9));
        std::fs::create_dir(folder.path().join("logs")).unwrap();
        log.take(b" too\nwhole\n", Instant::now());
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().map(|line| line.split_once("Z ").unwrap().1).collect();
        assert_eq!(lines, ["plimsoll: 9 bytes were dropped here", "whole"]);
    }
}
