//! Mail, handed to a relay over SMTP (RFC 5321), in the clear and unauthenticated: the relay is our own, and near.
//!
//! Invariant: nothing that somebody wrote ends a line, a header or a mail: addresses are checked when people sign up
//! ([`crate::people::plain_email`]), everything else stands in the body, which is quoted-printable (RFC 2045 §6.7).

mod post;

pub use post::{Post, wait_after};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

/// Longest line of a reply that is read, in bytes (RFC 5321 §4.5.3.1.5 says 512).
const REPLY_BYTES_MAX: u64 = 2048;
/// Lines of one reply at most.
const REPLY_LINES_MAX: usize = 64;

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Without the angle brackets; the same whenever the mail is sent again.
    pub message_id: String,
    /// Whom it is from: an address.
    pub from: String,
    /// Whom it is for: an address.
    pub to: String,
    /// ASCII, on one line.
    pub subject: &'static str,
    /// Any text; lines end in `\n`.
    pub text: String,
}

/// Why a mail was not taken.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// Nobody there, or not in time; whether it was taken is unknown.
    #[error("the relay did not answer")]
    Connection(#[from] io::Error),
    /// Try again later (4yz, or 5yz to what isn't about this mail).
    #[error("the relay says: {0}")]
    Later(String),
    /// It will never be taken (5yz to whom it is for, or to what it says).
    #[error("the relay refuses: {0}")]
    Never(String),
}

impl MailError {
    fn for_now(self) -> Self {
        match self {
            Self::Never(said) => Self::Later(said),
            other => other,
        }
    }
}

/// Hands a mail to the relay at `address` (`host:port`). When this returns, the relay answers for it.
///
/// # Errors
/// It was not taken, or that is unknown.
pub async fn send(address: &str, mail: &Mail, patience: Duration) -> Result<(), MailError> {
    tokio::time::timeout(patience, converse(address, mail))
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

async fn converse(address: &str, mail: &Mail) -> Result<(), MailError> {
    let mut stream = BufStream::new(TcpStream::connect(address).await?);
    // What is refused until here is not about this mail: somebody will mend the relay, or our settings.
    expect(&mut stream, '2').await.map_err(MailError::for_now)?;
    say(&mut stream, "EHLO plimsoll.localhost", '2').await.map_err(MailError::for_now)?;
    say(&mut stream, &format!("MAIL FROM:<{}>", mail.from), '2').await.map_err(MailError::for_now)?;
    say(&mut stream, &format!("RCPT TO:<{}>", mail.to), '2').await?;
    say(&mut stream, "DATA", '3').await?;
    stream.write_all(mail.written().as_bytes()).await?;
    stream.write_all(b".\r\n").await?;
    stream.flush().await?;
    expect(&mut stream, '2').await?;
    // It is the relay's now; whether it says goodbye does not matter.
    let _ = say(&mut stream, "QUIT", '2').await;
    Ok(())
}

async fn say(stream: &mut BufStream<TcpStream>, line: &str, wanted: char) -> Result<(), MailError> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.flush().await?;
    expect(stream, wanted).await
}

/// Reads a reply, of one line or more (RFC 5321 §4.2).
async fn expect(stream: &mut BufStream<TcpStream>, wanted: char) -> Result<(), MailError> {
    let mut line = String::new();
    for _ in 0..REPLY_LINES_MAX {
        line.clear();
        if (&mut *stream).take(REPLY_BYTES_MAX).read_line(&mut line).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if line.as_bytes().get(3) == Some(&b'-') {
            continue;
        }
        let said = line.trim_end().to_owned();
        return match line.chars().next() {
            Some(first) if first == wanted => Ok(()),
            Some('5') => Err(MailError::Never(said)),
            _ => Err(MailError::Later(said)),
        };
    }
    Err(MailError::Later("a reply that does not end".into()))
}

impl Mail {
    /// As it is sent (RFC 5322), dots doubled (RFC 5321 §4.5.2).
    fn written(&self) -> String {
        let date = DateTimePrinter::new().timestamp_to_string(&Timestamp::now()).unwrap_or_default();
        let body = self.text.lines().map(quoted).map(|line| match line.strip_prefix('.') {
            Some(rest) => format!("..{rest}\r\n"),
            None => format!("{line}\r\n"),
        });
        format!(
            "Message-ID: <{}>\r\nDate: {date}\r\nFrom: <{}>\r\nTo: <{}>\r\nSubject: {}\r\nAuto-Submitted: auto-generated\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}",
            self.message_id,
            self.from,
            self.to,
            self.subject,
            body.collect::<String>()
        )
    }
}

/// One line as quoted-printable, broken softly so that none is longer than 76.
fn quoted(line: &str) -> String {
    let (mut written, mut column) = (String::new(), 0);
    let last = line.len().saturating_sub(1);
    for (at, byte) in line.bytes().enumerate() {
        // A space at the end of a line would be lost; a dot at its beginning may be added by a soft break.
        let plain = matches!(byte, b'!'..=b'<' | b'>'..=b'~') || (byte == b' ' && at != last);
        let plain = plain && !(byte == b'.' && column == 0 && at > 0);
        let piece = if plain { char::from(byte).to_string() } else { format!("={byte:02X}") };
        if column + piece.len() > 75 {
            written.push_str("=\r\n");
            column = 0;
        }
        let piece = if column == 0 && at > 0 && byte == b'.' { "=2E".to_owned() } else { piece };
        column += piece.len();
        written.push_str(&piece);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_kept_in_its_bounds() {
        assert_eq!(quoted("Caulk the hull = 1 "), "Caulk the hull =3D 1=20");
        assert_eq!(quoted("é"), "=C3=A9");
        let long = quoted(&format!("{}.{}", "x".repeat(75), "y".repeat(100)));
        for line in long.split("\r\n") {
            assert!(line.len() <= 76 && !line.starts_with('.'), "{line}");
        }
        let mail = Mail {
            message_id: "1@x".into(),
            from: "a@x.y".into(),
            to: "b@x.y".into(),
            subject: "S",
            text: ".\r\n.two\nthree".into(),
        };
        let written = mail.written();
        let (head, body) = written.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("Message-ID: <1@x>\r\nDate: "), "{head}");
        assert_eq!(body, "..\r\n..two\r\nthree\r\n");
    }
}
