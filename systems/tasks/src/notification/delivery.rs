//! One notification, told in every way that is set up, and what follows from how that went.

use crate::outbox::{Kind, Notification, Outcome, Then};
use crate::webhook::Webhook;
use plimsoll_kit::mail::{self, Mail, MailError};
use plimsoll_kit::people;
use plimsoll_kit::settings::Environment;
use std::time::Duration;

/// Attempts until one is given up: with the default wait that is after about six hours.
const ATTEMPTS_MAX: i32 = 16;
/// Longest wait between two attempts.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// How people are told; cheap to clone.
#[derive(Clone)]
pub(super) struct Post {
    relay: String,
    from: String,
    patience: Duration,
    retry: Duration,
    webhook: Option<Webhook>,
}

impl Post {
    /// Reads `SMTP_ADDRESS` (`host:port` of the relay), `MAIL_FROM`, `SMTP_ANSWER_MS` (for a whole mail; default 20 s) and
    /// `NOTIFY_RETRY_MS` (before the second attempt; it doubles with each; default 5 s).
    pub(super) fn read(environment: &mut Environment<'_>, webhook: Option<Webhook>) -> Self {
        let from = environment.text("MAIL_FROM");
        if !from.is_empty() && people::plain_email(&from).as_ref() != Some(&from) {
            environment.mistake("MAIL_FROM", "is no address");
        }
        Self {
            relay: environment.text("SMTP_ADDRESS"),
            from,
            patience: environment.millis("SMTP_ANSWER_MS", Duration::from_secs(20)),
            retry: environment.millis("NOTIFY_RETRY_MS", Duration::from_secs(5)),
            webhook,
        }
    }

    fn mail(&self, told: &Notification) -> Mail {
        let domain = self.from.split_once('@').map_or("localhost", |(_, domain)| domain);
        let (subject, first) = match told.kind {
            Kind::Assigned => ("A task is yours", "this task is yours now:"),
            Kind::Due => ("A task is due", "this task of yours is due:"),
        };
        let due = told.due_at.as_ref().map_or(String::new(), |due| format!("Due: {due}\n"));
        Mail {
            message_id: format!("{}@{domain}", told.id),
            from: self.from.clone(),
            to: told.email.clone(),
            subject,
            text: format!("{},\n\n{first}\n\n{}\n{due}/api/v1/tasks/{}\n", told.name, told.title, told.task),
        }
    }
}

/// Tells whoever has not been told; both ways are tried, whatever becomes of the other.
pub(super) async fn deliver(post: &Post, told: &Notification) -> Outcome {
    if !told.stands {
        return Outcome { mailed: told.mailed, hooked: told.hooked, then: Then::Overtaken };
    }
    let mail =
        async { if told.mailed { Ok(()) } else { mail::send(&post.relay, &post.mail(told), post.patience).await } };
    let hook = async {
        match &post.webhook {
            Some(webhook) if !told.hooked => webhook.send(told).await,
            _ => Ok(()),
        }
    };
    let (mail, hook) = tokio::join!(mail, hook);
    Outcome {
        mailed: mail.is_ok(),
        // Without a webhook nothing was told to it.
        hooked: told.hooked || (post.webhook.is_some() && hook.is_ok()),
        then: follows(&mail, &hook, told.attempt, post.retry),
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
        Then::Sent
    } else if !waits || attempt >= ATTEMPTS_MAX {
        Then::GivenUp(why)
    } else {
        let doubled = u32::try_from(attempt - 1).map_or(u32::MAX, |times| 2_u32.saturating_pow(times));
        Then::Again(retry.saturating_mul(doubled).min(WAIT_MAX), why)
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
