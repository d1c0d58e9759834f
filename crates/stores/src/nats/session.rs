//! Signing in at a NATS server, as a client does.

use crate::text;
use serde_json::json;
use std::{future::Future, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

/// How long a server may take to answer: longer is no answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Its port where a URL names none.
const PORT: u16 = 4222;

/// Who signs in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Login {
    pub user: String,
    /// Empty: `user` is a token.
    pub password: String,
}

/// Whether a server lets us in. The error is for a person, and holds no password.
///
/// A server that wants TLS is not signed in at: that it answers is enough.
pub(crate) async fn sign_in(address: &str, login: Option<&Login>) -> Result<(), String> {
    within(async {
        let mut stream = BufReader::new(TcpStream::connect(address).await.map_err(|error| error.to_string())?);
        let hello = line(&mut stream).await?;
        let Some(info) = hello.strip_prefix("INFO ") else { return Err("it is no NATS server".to_owned()) };
        let info: serde_json::Value = serde_json::from_str(info).unwrap_or_default();
        if info["tls_required"] == true {
            return Ok(());
        }
        let mut about =
            json!({ "verbose": false, "pedantic": false, "lang": "rust", "version": "0", "name": "plimsoll" });
        match login {
            Some(login) if login.password.is_empty() => about["auth_token"] = json!(login.user),
            Some(login) => (about["user"], about["pass"]) = (json!(login.user), json!(login.password)),
            None => {}
        }
        let words = format!("CONNECT {about}\r\nPING\r\n");
        stream.write_all(words.as_bytes()).await.map_err(|error| error.to_string())?;
        loop {
            match line(&mut stream).await?.as_str() {
                "PONG" => return Ok(()),
                error if error.starts_with("-ERR") => return Err(format!("it says {}", error[4..].trim())),
                _ => {}
            }
        }
    })
    .await
}

/// Whether the first that answers of an external URL's servers lets us in.
pub(crate) async fn external(url: &str) -> Result<(), String> {
    let (login, addresses) = parse(url).ok_or("its URL is not one of NATS'")?;
    let mut why = "its URL names no server".to_owned();
    for address in addresses {
        match sign_in(&address, login.as_ref()).await {
            Ok(()) => return Ok(()),
            Err(reason) => why = reason,
        }
    }
    Err(why)
}

/// Who and where of `nats://user:pass@host:port,host:port`.
fn parse(url: &str) -> Option<(Option<Login>, Vec<String>)> {
    let rest = url.strip_prefix("nats://").or_else(|| url.strip_prefix("tls://"))?;
    let (login, addresses) = match rest.rsplit_once('@') {
        Some((login, addresses)) => (Some(login), addresses),
        None => (None, rest),
    };
    let login = login.map(|login| {
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        Login { user: text::unpercent(user), password: text::unpercent(password) }
    });
    let addresses = addresses.split(['/', '?']).next().unwrap_or_default();
    let with_port = |address: &str| {
        let has = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if has { address.to_owned() } else { format!("{address}:{PORT}") }
    };
    Some((login, addresses.split(',').filter(|address| !address.is_empty()).map(with_port).collect()))
}

async fn line(stream: &mut BufReader<TcpStream>) -> Result<String, String> {
    let mut text = String::new();
    match stream.read_line(&mut text).await {
        Ok(0) => Err("it hangs up".to_owned()),
        Ok(_) => Ok(text.trim_end().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The outcome of `work`, if it comes in time. The error is for a person.
pub(super) async fn within<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    match timeout(PATIENCE, work).await {
        Ok(result) => result,
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_who_and_where() {
        let login = |user: &str, password: &str| Some(Login { user: user.into(), password: password.into() });
        assert_eq!(parse("nats://u:p%40@h:1,i"), Some((login("u", "p@"), vec!["h:1".into(), "i:4222".into()])));
        assert_eq!(parse("nats://token@h:1/x"), Some((login("token", ""), vec!["h:1".into()])));
        assert_eq!(parse("tls://h"), Some((None, vec!["h:4222".into()])));
        assert_eq!(parse("redis://h"), None);
    }
}
