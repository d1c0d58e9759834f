//! Requests with random damage. Whatever a replica takes for a request, the gateway has taken for one too.
//!
//! `PLIMSOLL_SOAK=N` sends N times as many (`scripts/soak`), `PLIMSOLL_SEED` others.

use super::{NEXT, Recorder, SMUGGLED};
use crate::{
    client::{Client, get},
    world::{Start, serving_with, times, until},
};
use std::collections::BTreeMap;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }
}

/// Pieces that matter to who reads HTTP/1.1.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"0",
    b"5",
    b"a",
    b"\x0b",
    b"\xff",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"chunked",
    b"Connection: close\r\n",
    b"HTTP/1.1",
    b"GET /p",
];

/// A good request of its own number, with up to three damages.
fn request(random: &mut Random, number: usize) -> Vec<u8> {
    let body = format!("{SMUGGLED}{number}");
    let framed = match random.below(3) {
        0 => format!("Content-Length: {}\r\n\r\n{body}", body.len()),
        1 => format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
        _ => "\r\n".to_owned(),
    };
    let method = ["GET", "POST", "PUT", "HEAD"][random.below(4)];
    let mut bytes = format!("{method} /{number} HTTP/1.1\r\nHost: a\r\nX-Kept: 1\r\n{framed}").into_bytes();
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len());
        let piece = PIECES[random.below(PIECES.len())];
        match random.below(4) {
            0 => bytes[at] = piece[0],
            1 => drop(bytes.splice(at..at, piece.iter().copied())),
            2 => drop(bytes.remove(at)),
            _ => {
                let end = (at + random.below(20)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    bytes
}

#[tokio::test]
async fn a_replica_sees_no_request_that_the_gateway_does_not() {
    let seed = std::env::var("PLIMSOLL_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut random = Random(seed);
    let recorder = Recorder::start().await;
    let rate = ("PLIMSOLL_ACCESS_LOG_RATE", "100000000".to_owned());
    let start = Start { environment: vec![rate], ..Start::default() };
    let (world, address) = serving_with(start, &recorder.backend).await;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for number in 0..times(300) {
        let mut bytes = request(&mut random, number);
        bytes.extend_from_slice(NEXT.as_bytes());
        let mut client = Client::connect(address).await;
        // It may hang up before all of it is written, or before it is told that nothing more comes.
        let _ = client.write(&bytes).await;
        let _ = rustix::net::shutdown(&client.stream, rustix::net::Shutdown::Write);
        let _ = client.rest().await;
    }
    assert_eq!(get(address, "/last").await.status(), 200);
    for asked in recorder.take() {
        *seen.entry(asked).or_default() += 1;
    }
    // Each worker writes its lines when it comes to it.
    let all = format!("seed {seed}: the gateway knows of all that the replica got: {seen:?}");
    until(&all, || {
        let mut logged: BTreeMap<String, usize> = BTreeMap::new();
        for line in world.log().iter().filter(|line| line["path"].is_string()) {
            let asked = format!("{} {}", line["method"].as_str().unwrap(), line["path"].as_str().unwrap());
            *logged.entry(asked).or_default() += 1;
        }
        seen.iter().all(|(asked, times)| logged.get(asked).is_some_and(|known| times <= known))
    })
    .await;
}
