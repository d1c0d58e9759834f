//! Log lines of several replicas, as one stream. Each log is a file that the keeper writes and rotates.

use bytes::Bytes;
use futures_util::{Stream, stream};
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// How often files are looked at for more, while followed.
const LOOK: Duration = Duration::from_millis(100);
/// The end of a file that is read for its last lines.
const TAIL_BYTES: u64 = 4 << 20;
/// Read at once.
const CHUNK: usize = 64 << 10;

/// One log that is followed.
struct Followed {
    name: String,
    path: PathBuf,
    file: Option<File>,
    partial: Vec<u8>,
}

/// The last `tail` lines of each log, by time; and what follows, with `follow`.
pub(crate) fn lines(dir: PathBuf, names: Vec<String>, tail: usize, follow: bool) -> impl Stream<Item = Bytes> + Send {
    let mut logs: Vec<Followed> = names.into_iter().map(|name| Followed::open(&dir, name)).collect();
    let mut first: Vec<Vec<u8>> = logs.iter_mut().flat_map(|log| log.last(tail)).collect();
    // Lines begin with their time and then their log's name, so that sorting puts them in order.
    first.sort();
    let ready: VecDeque<Vec<u8>> = first.into();
    stream::unfold((logs, ready), move |(mut logs, mut ready)| async move {
        loop {
            if let Some(line) = ready.pop_front() {
                return Some((Bytes::from(line), (logs, ready)));
            }
            if !follow {
                return None;
            }
            let mut more: Vec<Vec<u8>> = logs.iter_mut().flat_map(Followed::more).collect();
            more.sort();
            if more.is_empty() {
                tokio::time::sleep(LOOK).await;
            }
            ready.extend(more);
        }
    })
}

impl Followed {
    fn open(dir: &Path, name: String) -> Self {
        let path = dir.join(format!("{name}.log"));
        Self { file: File::open(&path).ok(), path, name, partial: Vec::new() }
    }

    /// The last lines; what comes later is told by [`Followed::more`].
    fn last(&mut self, tail: usize) -> Vec<Vec<u8>> {
        let Some(file) = &mut self.file else { return Vec::new() };
        let end = file.metadata().map_or(0, |found| found.len());
        let from = end.saturating_sub(TAIL_BYTES);
        let mut text = Vec::new();
        let read = file.seek(SeekFrom::Start(from)).and_then(|_| file.take(end - from).read_to_end(&mut text));
        if read.is_err() {
            return Vec::new();
        }
        let mut lines = self.split(&text);
        if from > 0 && !lines.is_empty() {
            lines.remove(0);
        }
        lines.split_off(lines.len().saturating_sub(tail))
    }

    /// Whole lines that came since.
    fn more(&mut self) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        let mut chunk = vec![0; CHUNK];
        while let Some(file) = &mut self.file {
            match file.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(count) => lines.extend(self.split(&chunk[..count])),
            }
        }
        if self.was_rotated() {
            self.file = File::open(&self.path).ok();
        }
        lines
    }

    /// The path is another file by now: this one was rotated away, and read to its end.
    fn was_rotated(&self) -> bool {
        let here = |found: io::Result<std::fs::Metadata>| found.map(|found| found.ino()).ok();
        let new = here(std::fs::metadata(&self.path));
        new.is_some() && new != self.file.as_ref().and_then(|file| here(file.metadata()))
    }

    /// Cuts whole lines off, each with its log's name behind its time.
    fn split(&mut self, text: &[u8]) -> Vec<Vec<u8>> {
        self.partial.extend_from_slice(text);
        let mut lines = Vec::new();
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            lines.push(named(&line, &self.name));
        }
        lines
    }
}

/// `TIME LINE` → `TIME NAME LINE`.
fn named(line: &[u8], name: &str) -> Vec<u8> {
    let at = line.iter().position(|byte| *byte == b' ').map_or(0, |at| at + 1);
    [&line[..at], name.as_bytes(), b" ", &line[at..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use std::io::Write;

    fn text(line: &Bytes) -> String {
        String::from_utf8(line.to_vec()).unwrap()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn lines_of_several_logs_come_in_order_of_time() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a-1.log"), "1 first\n3 third\n").unwrap();
        std::fs::write(dir.path().join("b-1.log"), "2 second\n").unwrap();
        let all = lines(dir.path().into(), vec!["a-1".into(), "b-1".into(), "gone-1".into()], 10, false);
        let all: Vec<String> = all.map(|line| text(&line)).collect().await;
        assert_eq!(all, ["1 a-1 first\n", "2 b-1 second\n", "3 a-1 third\n"]);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn following_goes_on_after_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a-1.log");
        std::fs::write(&path, "1 one\n").unwrap();
        let mut all = Box::pin(lines(dir.path().into(), vec!["a-1".into()], 10, true));
        assert_eq!(text(&all.next().await.unwrap()), "1 a-1 one\n");
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"2 two\n").unwrap();
        std::fs::rename(&path, dir.path().join("a-1.log.1")).unwrap();
        std::fs::write(&path, "3 three\n").unwrap();
        assert_eq!(text(&all.next().await.unwrap()), "2 a-1 two\n");
        assert_eq!(text(&all.next().await.unwrap()), "3 a-1 three\n");
    }
}
