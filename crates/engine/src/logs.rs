//! Log lines of several replicas, as one stream. Each log is a file that the keeper writes and rotates.

use bytes::Bytes;
use futures_util::{Stream, future::BoxFuture, stream};
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
/// After so many looks without a line it is asked which logs there are by now.
const LOOKS_BEFORE_ASKING: u32 = 5;
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

/// Names of the logs that are followed, asked for again while they are: replicas come and go.
pub(crate) type Names = Box<dyn FnMut() -> BoxFuture<'static, Vec<String>> + Send>;

/// The last `tail` lines of each log, by time; and what follows, where there is somebody to `ask` which logs there are.
pub(crate) fn lines(
    dir: PathBuf,
    names: Vec<String>,
    tail: usize,
    ask: Option<Names>,
) -> impl Stream<Item = Bytes> + Send {
    let mut logs: Vec<Followed> = names.into_iter().map(|name| Followed::open(&dir, name)).collect();
    let mut first: Vec<Vec<u8>> = logs.iter_mut().flat_map(|log| log.last(tail)).collect();
    // Lines begin with their time and then their log's name, so that sorting puts them in order.
    first.sort();
    let following = Following { dir, logs, ready: first.into(), ask, quiet_looks: 0 };
    stream::unfold(following, |mut following| async move { Some((following.next().await?, following)) })
}

/// Logs that are read, and what was read of them and not handed on.
struct Following {
    dir: PathBuf,
    logs: Vec<Followed>,
    ready: VecDeque<Vec<u8>>,
    ask: Option<Names>,
    quiet_looks: u32,
}

impl Following {
    /// The next line; `None` when there is none and none will follow.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(Bytes::from(line));
            }
            self.ask.as_ref()?;
            let mut more: Vec<Vec<u8>> = self.logs.iter_mut().flat_map(Followed::more).collect();
            more.sort();
            if more.is_empty() {
                tokio::time::sleep(LOOK).await;
                self.quiet_looks += 1;
            }
            self.ready.extend(more);
            if self.quiet_looks >= LOOKS_BEFORE_ASKING {
                self.quiet_looks = 0;
                self.ask_again().await;
            }
        }
    }

    /// Follows the logs of replicas that came; leaves those of replicas that are gone, which were read to their end.
    async fn ask_again(&mut self) {
        let Some(ask) = &mut self.ask else { return };
        let names = ask().await;
        // Whoever has gone since it was last read gets a last look.
        let rest = self.logs.iter_mut().filter(|log| !names.contains(&log.name)).flat_map(Followed::more);
        self.ready.extend(rest.collect::<Vec<_>>());
        self.logs.retain(|log| names.contains(&log.name));
        for name in names {
            if !self.logs.iter().any(|log| log.name == name) {
                self.logs.push(Followed::open(&self.dir, name));
            }
        }
    }
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
        if tail == 0 {
            file.seek(SeekFrom::Start(end)).ok();
            return Vec::new();
        }
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
        // Before the last of it is read: after it was rotated nothing is written to it any more.
        let rotated = self.was_rotated();
        let mut lines = Vec::new();
        let mut chunk = vec![0; CHUNK];
        while let Some(file) = &mut self.file {
            match file.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(count) => lines.extend(self.split(&chunk[..count])),
            }
        }
        if rotated {
            self.file = File::open(&self.path).ok();
        }
        lines
    }

    /// The path is another file by now: this one was rotated away.
    fn was_rotated(&self) -> bool {
        let here = |found: io::Result<std::fs::Metadata>| found.map(|found| found.ino()).ok();
        let new = here(std::fs::metadata(&self.path));
        new.is_some() && new != self.file.as_ref().and_then(|file| here(file.metadata()))
    }

    /// Cuts whole lines off, each with its log's name behind its time.
    fn split(&mut self, text: &[u8]) -> Vec<Vec<u8>> {
        self.partial.extend_from_slice(text);
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let rest = self.partial.split_off(end + 1);
        let whole = std::mem::replace(&mut self.partial, rest);
        whole.split_inclusive(|byte| *byte == b'\n').map(|line| named(line, &self.name)).collect()
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

    fn names(names: &[&str]) -> Names {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Box::new(move || Box::pin(std::future::ready(names.clone())))
    }

    #[tokio::test(flavor = "current_thread")]
    async fn following_takes_up_the_logs_of_replicas_that_came_later() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a-1.log"), "1 one\n").unwrap();
        let now = names(&["a-1", "a-2"]);
        let mut all = Box::pin(lines(dir.path().into(), vec!["a-1".into()], 10, Some(now)));
        assert_eq!(text(&all.next().await.unwrap()), "1 a-1 one\n");
        std::fs::write(dir.path().join("a-2.log"), "2 two\n").unwrap();
        assert_eq!(text(&all.next().await.unwrap()), "2 a-2 two\n");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn lines_of_several_logs_come_in_order_of_time() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a-1.log"), "1 first\n3 third\n").unwrap();
        std::fs::write(dir.path().join("b-1.log"), "2 second\n").unwrap();
        let all = lines(dir.path().into(), vec!["a-1".into(), "b-1".into(), "gone-1".into()], 10, None);
        let all: Vec<String> = all.map(|line| text(&line)).collect().await;
        assert_eq!(all, ["1 a-1 first\n", "2 b-1 second\n", "3 a-1 third\n"]);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn following_goes_on_after_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a-1.log");
        std::fs::write(&path, "1 one\n").unwrap();
        let mut all = Box::pin(lines(dir.path().into(), vec!["a-1".into()], 10, Some(names(&["a-1"]))));
        assert_eq!(text(&all.next().await.unwrap()), "1 a-1 one\n");
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"2 two\n").unwrap();
        std::fs::rename(&path, dir.path().join("a-1.log.1")).unwrap();
        std::fs::write(&path, "3 three\n").unwrap();
        assert_eq!(text(&all.next().await.unwrap()), "2 a-1 two\n");
        assert_eq!(text(&all.next().await.unwrap()), "3 a-1 three\n");
    }
}
