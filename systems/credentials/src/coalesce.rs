//! Many questions at the same time become few: those that arrive while others are under way travel together.
//!
//! A lone question is asked at once. Batches grow by themselves as the backend gets busy, and a short pause between two
//! of them lets them grow further: the price of asking is then paid once for many, by both sides.

use crate::names::Folded;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

/// Questions waiting at most; more are refused, so that a dead backend cannot fill memory.
const WAITING_MAX: usize = 16_384;

struct Question<A> {
    name: Folded,
    reply: oneshot::Sender<Option<A>>,
}

/// A place to ask; cheap to clone.
pub struct Coalescer<A> {
    sender: mpsc::Sender<Question<A>>,
}

impl<A> Clone for Coalescer<A> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone() }
    }
}

/// How large batches may be, and how many may be under way.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Names in one batch, at least 1.
    pub batch_max: usize,
    /// Batches at the same time, at least 1.
    pub in_flight_max: usize,
    /// Least time from one batch to the next, unless it is full; zero: none.
    pub pause: Duration,
}

impl<A: Send + 'static> Coalescer<A> {
    /// Starts the task that forms batches. `ask` answers one value for each name in order, or `None` if it cannot.
    pub fn start<F, R>(bounds: Bounds, ask: F) -> Self
    where
        F: Fn(Vec<Folded>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Option<Vec<A>>> + Send + 'static,
    {
        let (sender, mut receiver) = mpsc::channel::<Question<A>>(WAITING_MAX);
        tokio::spawn(async move {
            let permits = Arc::new(Semaphore::new(bounds.in_flight_max.max(1)));
            let mut not_before = Instant::now();
            loop {
                let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
                let Some(questions) = gather(&mut receiver, bounds.batch_max.max(1), not_before).await else { return };
                not_before = Instant::now() + bounds.pause;
                let ask = ask.clone();
                tokio::spawn(async move {
                    answer(questions, ask).await;
                    drop(permit);
                });
            }
        });
        Self { sender }
    }

    /// Asks about one name; `None` if the backend cannot say or too many are waiting.
    pub async fn ask(&self, name: Folded) -> Option<A> {
        let (reply, answer) = oneshot::channel();
        self.sender.try_send(Question { name, reply }).ok()?;
        answer.await.ok().flatten()
    }
}

/// The next batch: what waits at `not_before`, or the first question after it; `None` when nobody can ask any more.
async fn gather<Q>(receiver: &mut mpsc::Receiver<Q>, batch_max: usize, not_before: Instant) -> Option<Vec<Q>> {
    let mut batch = Vec::with_capacity(batch_max.min(64));
    if receiver.recv_many(&mut batch, batch_max).await == 0 {
        return None;
    }
    if Instant::now() < not_before {
        sleep_until(not_before).await;
        while batch.len() < batch_max {
            let Ok(question) = receiver.try_recv() else { break };
            batch.push(question);
        }
    }
    Some(batch)
}

async fn answer<A, F, R>(questions: Vec<Question<A>>, ask: F)
where
    F: Fn(Vec<Folded>) -> R,
    R: Future<Output = Option<Vec<A>>>,
{
    let names = questions.iter().map(|question| question.name).collect();
    let mut answers = ask(names).await.map(Vec::into_iter);
    for question in questions {
        // An asker that went away does not mind.
        let _ = question.reply.send(answers.as_mut().and_then(Iterator::next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::fold;

    #[tokio::test]
    async fn answers_each_with_its_own() {
        let bounds = Bounds { batch_max: 8, in_flight_max: 2, pause: Duration::ZERO };
        let lengths = Coalescer::start(bounds, |names: Vec<Folded>| async move {
            Some(names.iter().map(|name| name.as_bytes().len()).collect())
        });
        let asked = (3..30).map(|n| (n, "x".repeat(n))).map(|(n, name)| {
            let lengths = lengths.clone();
            tokio::spawn(async move { (n, lengths.ask(fold(&name)).await) })
        });
        for task in asked.collect::<Vec<_>>() {
            let (n, answer) = task.await.unwrap();
            assert_eq!(answer, Some(n));
        }
    }

    #[tokio::test]
    async fn a_backend_that_cannot_say_answers_none() {
        let bounds = Bounds { batch_max: 8, in_flight_max: 1, pause: Duration::ZERO };
        let mute = Coalescer::<u8>::start(bounds, |_| async { None });
        assert_eq!(mute.ask(fold("anna")).await, None);
    }
}
