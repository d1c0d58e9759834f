//! What notifications are sent to: a mail relay and a webhook, on ports of the kernel's choice.

use http::HeaderMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A relay that takes mail over SMTP, keeps it, and says what a test wants it to say.
#[derive(Clone)]
pub(crate) struct Relay {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    mails: Vec<Received>,
    /// What it answers to the next mails instead of taking them; an empty answer is none at all.
    answers: Vec<&'static str>,
    refused: usize,
}

/// A mail as it was taken.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) to: String,
    /// Head and body as they came, dots no more doubled.
    pub(crate) text: String,
}

impl Received {
    pub(crate) fn message_id(&self) -> &str {
        self.text.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap()
    }
}

impl Relay {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Self { address: listener.local_addr().unwrap(), shared: Arc::default() };
        let shared = Arc::clone(&relay.shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                // A client that goes away in the middle is none of a test's concern.
                std::thread::spawn(move || converse(stream, &shared));
            }
        });
        relay
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn answer_first(&self, answers: &[&'static str]) {
        self.shared.lock().unwrap().answers = answers.iter().rev().copied().collect();
    }

    pub(crate) fn mails(&self) -> Vec<Received> {
        self.shared.lock().unwrap().mails.clone()
    }

    /// Mails that it did not take.
    pub(crate) fn refused(&self) -> usize {
        self.shared.lock().unwrap().refused
    }

    /// Waits for so many mails.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Received> {
        until("mails", || self.mails().len() >= count).await;
        self.mails()
    }
}

fn converse(stream: TcpStream, shared: &Mutex<Shared>) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    writer.write_all(b"220 relay.test ESMTP\r\n")?;
    let (mut to, mut line) = (String::new(), String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(address) = line.strip_prefix("RCPT TO:") {
            to = address.trim().trim_matches(['<', '>']).to_owned();
        }
        let word = line.split_whitespace().next().unwrap_or_default();
        let answer = match word {
            "EHLO" => "250-relay.test\r\n250 8BITMIME",
            "MAIL" | "RCPT" => "250 fine",
            "DATA" => "354 go on",
            "QUIT" => "221 goodbye",
            _ => "500 what?",
        };
        writer.write_all(format!("{answer}\r\n").as_bytes())?;
        if word != "DATA" {
            continue;
        }
        let text = message(&mut reader)?;
        let answer = take(shared, Received { to: to.clone(), text });
        if answer.is_empty() {
            // Waits for the client to go.
            while reader.read_line(&mut line)? > 0 {}
            return Ok(());
        }
        writer.write_all(format!("{answer}\r\n").as_bytes())?;
    }
}

fn message(reader: &mut impl BufRead) -> std::io::Result<String> {
    let (mut text, mut line) = (String::new(), String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 || line == ".\r\n" {
            return Ok(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}

fn take(shared: &Mutex<Shared>, mail: Received) -> &'static str {
    let mut shared = shared.lock().unwrap();
    match shared.answers.pop() {
        Some(answer) => {
            shared.refused += 1;
            answer
        }
        None => {
            shared.mails.push(mail);
            "250 taken"
        }
    }
}

/// A program that is told by webhook.
pub(crate) struct Hook {
    address: SocketAddr,
    told: Arc<Mutex<Vec<(HeaderMap, String)>>>,
}

impl Hook {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let told = Arc::<Mutex<Vec<(HeaderMap, String)>>>::default();
        let sink = Arc::clone(&told);
        let take = move |headers: HeaderMap, body: String| async move { sink.lock().unwrap().push((headers, body)) };
        let routes = axum::Router::new().route("/told", axum::routing::post(take));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, told }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/told", self.address)
    }

    pub(crate) fn told(&self) -> Vec<(HeaderMap, String)> {
        self.told.lock().unwrap().clone()
    }

    /// Waits for so many.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<(HeaderMap, String)> {
        until("calls of the webhook", || self.told().len() >= count).await;
        self.told()
    }
}

/// Waits until something is so; generous, for these machines are shared.
pub(crate) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never came: {what}");
}
