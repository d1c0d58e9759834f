//! Many questions at the same time become few: those that arrive while others are under way travel together.
//!
//! A lone question is asked at once; nothing waits on a timer. Batches grow by themselves as the backend gets busy.

use crate::names::Folded;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot};

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
            loop {
                let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
                let mut questions = Vec::with_capacity(bounds.batch_max.min(64));
                if receiver.recv_many(&mut questions, bounds.batch_max.max(1)).await == 0 {
                    return;
                }
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
        let bounds = Bounds { batch_max: 8, in_flight_max: 2 };
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
        let bounds = Bounds { batch_max: 8, in_flight_max: 1 };
        let mute = Coalescer::<u8>::start(bounds, |_| async { None });
        assert_eq!(mute.ask(fold("anna")).await, None);
    }
}
