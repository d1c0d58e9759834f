//! A connection from its first byte to its last: one request after the other.

use super::{
    client::{Client, Start},
    exchange::{self, After, refuse},
    prepare::{Plan, prepare, unreadable},
    rewound::Rewound,
};
use crate::connection::{Connection, MayReset, Watched};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Another engine serves a connection, from where this one stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Onward {
    Http2,
    /// HTTP/1.1 before a service that speaks HTTP/2.
    Http1,
}

enum End {
    Over,
    Linger,
    Onward(Onward),
}

/// Serves a connection. `Some`: it goes on with another engine.
pub(crate) async fn serve<S>(stream: Watched<S>, connection: Arc<Connection>) -> Option<(Rewound<Watched<S>>, Onward)>
where
    S: AsyncRead + AsyncWrite + MayReset + Unpin + Send + 'static,
{
    let watch = Arc::clone(&connection.watch);
    watch.set_orderly();
    let mut client = Client::new(stream, Arc::clone(&watch));
    match watch.unless_closed(converse(&mut client, &connection)).await? {
        End::Over => client.end(false).await,
        End::Linger => client.end(true).await,
        End::Onward(onward) => {
            let Client { stream, buffer, .. } = client;
            return Some((Rewound::new(buffer, stream), onward));
        }
    }
    None
}

async fn converse<S>(client: &mut Client<Watched<S>>, connection: &Arc<Connection>) -> End
where
    S: AsyncRead + AsyncWrite + MayReset + Unpin + Send + 'static,
{
    let mut first = true;
    loop {
        let plan = match client.next(std::mem::take(&mut first)).await {
            Start::Head(length) => {
                let plan = prepare(&client.buffer.filled()[..length], connection);
                if !matches!(plan, Plan::HandOver) {
                    client.buffer.consume(length);
                    client.buffer.release();
                }
                plan
            }
            Start::Refused(problem) => Plan::Refuse(Box::new(unreadable(connection, problem))),
            Start::Http2 => return End::Onward(Onward::Http2),
            Start::Over => return End::Over,
        };
        // Boxed, so that a connection that waits for a request does not keep the memory that one needs.
        let after = match plan {
            Plan::Serve(prepared) => Box::pin(exchange::serve(client, *prepared)).await,
            Plan::Refuse(refused) => Box::pin(refuse(client, *refused, true)).await,
            Plan::HandOver => return End::Onward(Onward::Http1),
        };
        match after {
            After::Next if client.buffer.is_empty() => {}
            After::Next => client.watch.head_begins(),
            After::End => return End::Over,
            After::Linger => return End::Linger,
        }
    }
}
