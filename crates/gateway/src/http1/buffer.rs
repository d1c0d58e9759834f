//! Bytes that were read and not used yet. An empty one holds no memory: it is lent by the worker while there are bytes.
//!
//! Invariant: a buffer never grows beyond what its reader allows.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, ReadBuf};

/// The usual size: a head and a small body fit, and a large body passes in pieces that are worth a system call.
pub(super) const SIZE: usize = 16 * 1024;
/// A few bytes that wait for more are moved to where they take no more than they need: many clients may begin and not go on.
const FEW: usize = 1024;
/// Unused buffers that a worker keeps: 2 MiB.
const SPARE_MAX: usize = 128;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes between `start` and `end` of `bytes`, which is initialised as a whole.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(super) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The first `count` bytes are used.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end, "no more is used than there is");
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Gives the memory back if nothing is in it.
    pub(super) fn release(&mut self) {
        if !self.is_empty() || self.bytes.is_empty() {
            return;
        }
        give_back(std::mem::take(&mut self.bytes));
    }

    /// Nothing more comes for now: holds no more memory than it needs.
    fn settle(&mut self) {
        if self.is_empty() {
            return self.release();
        }
        if self.len() <= FEW && self.bytes.len() >= SIZE {
            let mut few = vec![0; self.len().next_power_of_two().max(128)];
            few[..self.len()].copy_from_slice(self.filled());
            (self.start, self.end) = (0, self.len());
            give_back(std::mem::replace(&mut self.bytes, few));
        }
    }

    /// Room for more bytes, as long as there are less than `most`.
    fn room(&mut self, most: usize) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; SIZE]);
        }
        if self.end == self.bytes.len() {
            if self.start > 0 {
                self.bytes.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else if self.bytes.len() < most {
                let size = (self.bytes.len() * 2).min(most);
                self.bytes.resize(size, 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// Reads once. 0: the other end sends nothing more, or there are `most` bytes already.
    pub(super) fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(self.room(most));
        let polled = Pin::new(from).poll_read(context, &mut room);
        let count = room.filled().len();
        if polled.is_pending() {
            self.settle();
        }
        ready!(polled)?;
        self.end += count;
        Poll::Ready(Ok(count))
    }
}

fn give_back(bytes: Vec<u8>) {
    // The worker's thread may be ending already.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if bytes.len() == SIZE && spare.len() < SPARE_MAX {
            spare.push(bytes);
        }
    });
}

impl Drop for Buffer {
    fn drop(&mut self) {
        (self.start, self.end) = (0, 0);
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn fill(buffer: &mut Buffer, mut from: &[u8], most: usize) -> usize {
        match buffer.poll_fill(&mut Context::from_waker(Waker::noop()), &mut from, most) {
            Poll::Ready(read) => read.unwrap(),
            Poll::Pending => panic!("a slice is always ready"),
        }
    }

    #[test]
    fn it_grows_no_further_than_allowed_and_makes_room_by_moving() {
        let many = vec![7; 5 * SIZE];
        let mut buffer = Buffer::default();
        assert_eq!(fill(&mut buffer, &many, 2 * SIZE), SIZE);
        assert_eq!(fill(&mut buffer, &many, 2 * SIZE), SIZE);
        assert_eq!((fill(&mut buffer, &many, 2 * SIZE), buffer.len()), (0, 2 * SIZE));
        buffer.consume(10);
        assert_eq!((fill(&mut buffer, &many, 2 * SIZE), buffer.len()), (10, 2 * SIZE));
    }

    #[test]
    fn a_few_bytes_hold_little_and_more_find_room() {
        let mut buffer = Buffer::default();
        fill(&mut buffer, b"abc", 4 * SIZE);
        buffer.settle();
        assert_eq!((buffer.filled(), buffer.bytes.len()), (&b"abc"[..], 128));
        let mut more = vec![b'd'; 1000];
        while !more.is_empty() {
            let count = fill(&mut buffer, &more, 4 * SIZE);
            more.drain(..count);
        }
        assert_eq!((buffer.len(), &buffer.filled()[..5]), (1003, &b"abcdd"[..]));
    }

    #[test]
    fn an_empty_one_holds_no_memory() {
        let mut buffer = Buffer::default();
        fill(&mut buffer, b"abc", SIZE);
        buffer.release();
        assert_eq!(buffer.filled(), b"abc");
        buffer.consume(3);
        buffer.release();
        assert_eq!(buffer.bytes.len(), 0);
    }
}
