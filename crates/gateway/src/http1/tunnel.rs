//! Upgraded connections (WebSocket and others): passed through, byte for byte, once the replica has agreed.

use super::{
    client::Client,
    delivery::Delivery,
    exchange::{After, finish_head},
    field,
    link::Link,
    reply::Reply,
};
use crate::{forward::Answered, visit::Visit};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional};

/// Tells the client that the replica has agreed, and carries bytes both ways until both ends have ended or one fails.
pub(super) async fn tunnel<S>(
    delivery: Delivery<'_, S>,
    mut visit: Box<Visit>,
    answered: Answered<Reply>,
    told: &[u8],
) -> After
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let Answered { answer: mut reply, flight, cookies, at } = answered;
    let (client, Some((link, _))) = (delivery.client, delivery.link) else { return After::End };
    visit.status = 101;
    for cookie in cookies.iter().flatten() {
        field::write(&mut reply.head, "set-cookie", cookie.as_bytes());
    }
    finish_head(&mut reply, &visit, at, told);
    field::write(&mut reply.head, "connection", b"upgrade");
    if let Some(protocol) = &reply.upgrade {
        field::write(&mut reply.head, "upgrade", protocol);
    }
    reply.head.extend_from_slice(b"\r\n");
    // How long it stays open says nothing of how quick the replica is; in flight it is until then.
    flight.ended(at);
    visit.ended = Some(at);
    // Boxed: a connection that is no tunnel does not keep the memory for one.
    if let Ok(sent) = Box::pin(carry(client, link, &reply.head)).await {
        visit.sent = sent;
        visit.complete = true;
    }
    drop(flight);
    After::End
}

/// How many bytes the client got behind `head`.
async fn carry<S>(client: &mut Client<S>, mut link: Link, head: &[u8]) -> io::Result<u64>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    client.stream.write_all(head).await?;
    let first = link.buffer.len() as u64;
    client.stream.write_all(link.buffer.filled()).await?;
    client.stream.flush().await?;
    link.buffer.consume(link.buffer.len());
    link.buffer.release();
    link.stream.write_all(client.buffer.filled()).await?;
    client.buffer.consume(client.buffer.len());
    client.buffer.release();
    let (_, sent) = copy_bidirectional(&mut client.stream, &mut link.stream).await?;
    Ok(first + sent)
}
