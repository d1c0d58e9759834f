//! One notification, told in every way that is set up, and what follows from how that went.

use crate::outbox::{Kind, Notification, Outcome, Then};
use crate::webhook::Webhook;
use plimsoll_kit::mail::{Mail, MailError, Post, wait_after};
use plimsoll_kit::settings::Environment;
use std::time::Duration;

/// How people are told; cheap to clone.
#[derive(Clone)]
pub(super) struct Ways {
    post: Post,
    webhook: Option<Webhook>,
}

impl Ways {
    /// Reads what [`Post`] reads.
    pub(super) fn read(environment: &mut Environment<'_>, webhook: Option<Webhook>) -> Self {
        Self { post: Post::read(environment), webhook }
    }

    fn mail(&self, told: &Notification) -> Mail {
        let (subject, first) = match told.kind {
            Kind::Assigned => ("A task is yours", "this task is yours now:"),
            Kind::Due => ("A task is due", "this task of yours is due:"),
        };
        let due = told.due_at.as_ref().map_or(String::new(), |due| format!("Due: {due}\n"));
        let text = format!("{},\n\n{first}\n\n{}\n{due}/api/v1/tasks/{}\n", told.name, told.title, told.task);
        self.post.mail(told.id, &told.email, subject, text)
    }
}

/// Tells whoever has not been told; both ways are tried, whatever becomes of the other.
pub(super) async fn deliver(ways: &Ways, told: &Notification) -> Outcome {
    if !told.stands {
        return Outcome { mailed: told.mailed, hooked: told.hooked, then: Then::Overtaken };
    }
    let mail = async { if told.mailed { Ok(()) } else { ways.post.send(&ways.mail(told)).await } };
    let hook = async {
        match &ways.webhook {
            Some(webhook) if !told.hooked => webhook.send(told).await,
            _ => Ok(()),
        }
    };
    let (mail, hook) = tokio::join!(mail, hook);
    Outcome {
        mailed: mail.is_ok(),
        // Without a webhook nothing was told to it.
        hooked: told.hooked || (ways.webhook.is_some() && hook.is_ok()),
        then: follows(&mail, &hook, told.attempt, ways.post.retry),
    }
}

/// An address that the relay refuses for good stays refused; everything else is tried again for some hours.
fn follows(mail: &Result<(), MailError>, hook: &Result<(), String>, attempt: i32, retry: Duration) -> Then {
    let refused_for_good = matches!(mail, Err(MailError::Never(_)));
    let waits = (mail.is_err() && !refused_for_good) || hook.is_err();
    let mut whys: Vec<String> = mail.as_ref().err().map(ToString::to_string).into_iter().collect();
    whys.extend(hook.as_ref().err().cloned());
    let why = whys.join("; ");
    if whys.is_empty() {
        return Then::Sent;
    }
    match wait_after(attempt, retry).filter(|_| waits) {
        Some(wait) => Then::Again(wait, why),
        None => Then::GivenUp(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_work_later_is_tried_later_and_not_for_ever() {
        let later = || Err(MailError::Later("451 busy".into()));
        let never = || Err(MailError::Never("550 no such user".into()));
        let hook = || Err("the webhook answered 500".to_owned());
        let second = Duration::from_secs(5);
        assert_eq!(follows(&Ok(()), &Ok(()), 1, second), Then::Sent);
        for (attempt, wait_s) in [(1, 5), (2, 10), (5, 80), (15, 3600)] {
            let Then::Again(wait, _) = follows(&later(), &Ok(()), attempt, second) else { panic!("{attempt}") };
            assert_eq!(wait.as_secs(), wait_s);
        }
        assert!(matches!(follows(&later(), &Ok(()), 16, second), Then::GivenUp(_)));
        assert!(matches!(follows(&never(), &Ok(()), 1, second), Then::GivenUp(_)));
        assert!(matches!(follows(&never(), &hook(), 1, second), Then::Again(..)), "the webhook may still be told");
        assert!(matches!(follows(&Ok(()), &hook(), 1, second), Then::Again(..)));
    }
}
