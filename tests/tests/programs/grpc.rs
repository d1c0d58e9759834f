//! A gRPC health server by hand: it answers every call over HTTP/2 as `grpc.health.v1.Health/Check` does, and knows no more
//! of the protocol than that takes. It is SERVING unless a file `not-serving` lies in its folder.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
};

/// What a client says first (RFC 9113, 3.4).
const PREFACE: usize = 24;
/// Kinds of frames, and their flags (RFC 9113, 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Serves at `port` until the process ends.
pub(crate) fn serve(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || talk(stream).ok());
    }
    Ok(())
}

fn talk(mut stream: TcpStream) -> io::Result<()> {
    stream.read_exact(&mut [0; PREFACE])?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags, id) = (head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload)?;
        match kind {
            SETTINGS if flags & ACK == 0 => stream.write_all(&frame(SETTINGS, ACK, 0, &[]))?,
            PING if flags & ACK == 0 => stream.write_all(&frame(PING, ACK, 0, &payload))?,
            DATA | HEADERS if flags & END_STREAM != 0 => stream.write_all(&answer(id))?,
            _ => {}
        }
    }
}

/// Head, message and trailers of one answer.
fn answer(id: u32) -> Vec<u8> {
    let serving = u8::from(!Path::new("not-serving").exists());
    // `:status: 200` by its number in HPACK's table; `content-type` by its name's number, 31; then literals.
    let head = [&[0x88, 0x0f, 0x10, 16][..], b"application/grpc"].concat();
    // Not compressed, two bytes: field 1, SERVING (1) or NOT_SERVING (2).
    let message = [0, 0, 0, 0, 2, 0x08, 2 - serving];
    let trailers = [&[0, 11][..], b"grpc-status", &[1], b"0"].concat();
    [
        frame(HEADERS, END_HEADERS, id, &head),
        frame(DATA, 0, id, &message),
        frame(HEADERS, END_HEADERS | END_STREAM, id, &trailers),
    ]
    .concat()
}

fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    [&length[1..], &[kind, flags], &id.to_be_bytes(), payload].concat()
}
