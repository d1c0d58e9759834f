//! A small blocking client of the keeper, for tests and tools.

use plimsoll_wire::{
    channel::Channel,
    keeper::{Answer, Ask, Event, Request, Said},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::{BorrowedFd, OwnedFd},
};
use std::{
    collections::VecDeque,
    io,
    path::Path,
    time::{Duration, Instant},
};

/// How long an answer may take; a keeper answers at once, so this is only a guard against waiting for ever.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A connection to a keeper, on which one thing is asked after the other.
#[derive(Debug)]
pub struct Client {
    channel: Channel,
    number: u64,
    events: VecDeque<(Event, Vec<OwnedFd>)>,
}

impl Client {
    /// Connects to the keeper that listens at `socket`, as `role` (an `engine` is told all events).
    ///
    /// # Errors
    /// Nobody listens there, or it speaks another version.
    pub fn connect(socket: &Path, role: &str) -> io::Result<Self> {
        Self::new(Channel::connect(socket)?, role)
    }

    /// Speaks over a channel that is there already.
    ///
    /// # Errors
    /// The keeper is gone, or speaks another version.
    pub fn new(channel: Channel, role: &str) -> io::Result<Self> {
        let mut client = Self { channel, number: 0, events: VecDeque::new() };
        match client.ask(Ask::Hello { version: plimsoll_wire::VERSION, role: role.to_owned() })? {
            Answer::Hello { .. } => Ok(client),
            other => Err(io::Error::other(format!("the keeper does not greet: {other:?}"))),
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// The keeper is gone, or says nothing for a minute.
    pub fn ask(&mut self, ask: Ask) -> io::Result<Answer> {
        self.ask_with(ask, &[]).map(|(answer, _)| answer)
    }

    /// Asks with descriptors beside the question; they come beside the answer, too.
    ///
    /// # Errors
    /// The keeper is gone, or says nothing for a minute.
    pub fn ask_with(&mut self, ask: Ask, fds: &[BorrowedFd<'_>]) -> io::Result<(Answer, Vec<OwnedFd>)> {
        self.number += 1;
        self.channel.send(&Request { number: self.number, ask }, fds)?;
        let until = Instant::now() + ANSWER_WITHIN;
        loop {
            match self.receive(until)? {
                Some((Said::Answer { number, answer }, fds)) if number == self.number => return Ok((answer, fds)),
                Some((Said::Answer { .. }, _)) => {}
                Some((Said::Event(event), fds)) => self.events.push_back((event, fds)),
                None => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// The next event, if one comes within that time.
    ///
    /// # Errors
    /// The keeper is gone.
    pub fn event(&mut self, within: Duration) -> io::Result<Option<(Event, Vec<OwnedFd>)>> {
        let until = Instant::now() + within;
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            match self.receive(until)? {
                Some((Said::Event(event), fds)) => self.events.push_back((event, fds)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    fn receive(&self, until: Instant) -> io::Result<Option<(Said, Vec<OwnedFd>)>> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            let mut fds = [PollFd::new(&self.channel, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) if left.is_zero() => return Ok(None),
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return self.channel.receive()?.map(Some).ok_or_else(|| io::ErrorKind::ConnectionReset.into()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
