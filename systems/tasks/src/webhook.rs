//! Notifications told to another program: JSON, signed, so that it knows that we sent it and when.
//!
//! `X-Tasks-Signature: t=<seconds since 1970>,v1=<hexadecimal>`: HMAC-SHA256 with the secret of both sides over
//! `<id>.<t>.<body>`; `X-Tasks-Delivery: <id>` is the same whenever it is sent again.

use crate::outbox::Notification;
use bytes::Bytes;
use http::{HeaderName, Method, header};
use plimsoll_kit::peer::{Call, Peer, PeerSettings};
use plimsoll_kit::sessions::hex;
use plimsoll_kit::settings::Environment;
use plimsoll_kit::signature;
use serde_json::json;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

const DELIVERY: HeaderName = HeaderName::from_static("x-tasks-delivery");
const SIGNATURE: HeaderName = HeaderName::from_static("x-tasks-signature");
/// Shorter secrets are guessed.
const SECRET_BYTES_MIN: usize = 32;

/// Whom to tell; cheap to clone.
#[derive(Clone)]
pub struct Webhook {
    peer: Peer,
    secret: Arc<[u8]>,
}

impl Webhook {
    /// Reads `WEBHOOK_URL` (`http://…`), `WEBHOOK_SECRET` (at least 32 bytes) and `WEBHOOK_ANSWER_MS` (default 10 s).
    /// `None`: without an address nobody is told.
    pub fn read(environment: &mut Environment<'_>) -> Option<Self> {
        environment.optional("WEBHOOK_URL")?;
        let peer = PeerSettings::read("webhook", environment).client();
        let secret = environment.text("WEBHOOK_SECRET");
        if !secret.is_empty() && secret.len() < SECRET_BYTES_MIN {
            environment.mistake("WEBHOOK_SECRET", "has fewer than 32 bytes");
        }
        Some(Self { peer, secret: secret.as_bytes().into() })
    }

    /// Tells it once.
    ///
    /// # Errors
    /// A sentence: nobody took it, or that is unknown.
    pub async fn send(&self, told: &Notification) -> Result<(), String> {
        let body = json!({ "id": told.id, "kind": told.kind.word(), "user_id": told.user, "task_id": told.task,
            "title": told.title, "due_at": told.due_at })
        .to_string();
        let at_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        let signed = hex(&signature::sign(&self.secret, format!("{}.{at_s}.{body}", told.id).as_bytes()));
        let call = Call::new(Method::POST, "")
            .header(header::CONTENT_TYPE, "application/json")
            .header(DELIVERY, &told.id.to_string())
            .header(SIGNATURE, &format!("t={at_s},v1={signed}"))
            .body(Bytes::from(body));
        let answer = self.peer.send(call).await.map_err(|why| why.to_string())?;
        if answer.status.is_success() { Ok(()) } else { Err(format!("the webhook answered {}", answer.status)) }
    }
}
