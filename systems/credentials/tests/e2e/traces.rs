//! Spans leave over OTLP: a collector that is asked for by `OTEL_EXPORTER_OTLP_ENDPOINT` gets the caller's trace.

use crate::world::World;
use http::Method;
use plimsoll_kit::testing::client::More;
use plimsoll_kit::testing::process::PATIENCE;
use plimsoll_kit::testing::stores::Redis;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;

const TRACE: [u8; 16] =
    [0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36];

/// One request as it came, answered.
fn taken(mut stream: TcpStream) -> Option<(String, Vec<u8>)> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let (mut bytes, mut piece) = (Vec::new(), [0; 8192]);
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse::<usize>().ok()?;
            if bytes.len() >= end + length {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()?;
                return Some((head, bytes.split_off(end)));
            }
        }
        match stream.read(&mut piece).ok()? {
            0 => return None,
            count => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

#[tokio::test]
async fn a_collector_gets_the_span_in_the_callers_trace() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let (sender, exported) = channel();
    std::thread::spawn(move || {
        for stream in collector.incoming().map_while(Result::ok) {
            if taken(stream).is_some_and(|export| sender.send(export).is_err()) {
                return;
            }
        }
    });
    let world = World::start_with(
        Redis::single(),
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "50")],
    );
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let more = More::default().with("traceparent", parent);
    world.client.send(Method::GET, "/openapi.json", more).await.expect(200);
    loop {
        let (head, body) = exported.recv_timeout(PATIENCE).expect("an export with the caller's trace");
        assert!(head.starts_with("post /v1/traces "), "{head}");
        let has = |bytes: &[u8]| body.windows(bytes.len()).any(|window| window == bytes);
        if has(&TRACE) {
            assert!(has(b"credentials-api"), "it says which service it is of");
            return;
        }
    }
}
