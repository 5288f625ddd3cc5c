//! How fast Redis itself can be: bytes on a socket, a reader that looks for nothing but ids, the acknowledgement in the write that
//! carries the next read, and two of these under way, so that neither side waits for the other.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;

use crate::support::redis_client::STREAM;

/// Entries of one read.
const COUNT: usize = 100;
/// Reads under way.
const UNDER_WAY: usize = 2;
/// Bytes of one read from the socket.
const CHUNK: usize = 256 * 1024;

/// Reads and acknowledges for ever.
pub fn run(address: SocketAddr, group: &str) {
    let mut socket = TcpStream::connect(address).expect("connect");
    socket.set_nodelay(true).expect("nodelay");
    let mut input = Input::default();
    // For each write under way: whether an acknowledgement is answered before the read.
    let mut acknowledges = [false; UNDER_WAY];
    for _ in 0..UNDER_WAY {
        send(&mut socket, group, &[]);
    }
    for turn in (0..UNDER_WAY).cycle() {
        if acknowledges[turn] {
            input.value(&mut socket);
        }
        let ids = input.value(&mut socket);
        acknowledges[turn] = !ids.is_empty();
        send(&mut socket, group, &ids);
        if ids.is_empty() {
            // Nothing left: what is acknowledged is on its way.
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

fn send(socket: &mut TcpStream, group: &str, ids: &[Vec<u8>]) {
    let mut bytes = Vec::with_capacity(COUNT * 32);
    if !ids.is_empty() {
        let mut words: Vec<&[u8]> = vec![b"XACK", STREAM.as_bytes(), group.as_bytes()];
        words.extend(ids.iter().map(Vec::as_slice));
        command(&mut bytes, &words);
    }
    let count = COUNT.to_string();
    command(
        &mut bytes,
        &[
            b"XREADGROUP",
            b"GROUP",
            group.as_bytes(),
            b"limit",
            b"COUNT",
            count.as_bytes(),
            b"STREAMS",
            STREAM.as_bytes(),
            b">",
        ],
    );
    socket.write_all(&bytes).expect("write");
}

fn command(bytes: &mut Vec<u8>, words: &[&[u8]]) {
    bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
}

/// What has come and is not looked at yet.
#[derive(Default)]
struct Input {
    bytes: Vec<u8>,
    at: usize,
}

impl Input {
    /// The next answer: the ids of the entries in it.
    fn value(&mut self, socket: &mut TcpStream) -> Vec<Vec<u8>> {
        loop {
            let mut ids = Vec::new();
            if let Some(end) = skip(&self.bytes, self.at, 0, &mut ids) {
                let found = ids.into_iter().map(|id| self.bytes[id].to_vec()).collect();
                self.at = end;
                if self.at == self.bytes.len() {
                    self.bytes.clear();
                    self.at = 0;
                }
                return found;
            }
            self.bytes.drain(..self.at);
            self.at = 0;
            let length = self.bytes.len();
            self.bytes.resize(length + CHUNK, 0);
            let read = socket.read(&mut self.bytes[length..]).expect("read");
            assert!(read > 0, "Redis has closed the connection");
            self.bytes.truncate(length + read);
        }
    }
}

/// The end of the value that begins at `at`; `None` when not all of it is here. Ids are what stands first in a list of depth 3: in a
/// stream's list of entries.
fn skip(bytes: &[u8], at: usize, depth: usize, ids: &mut Vec<Range<usize>>) -> Option<usize> {
    let line = bytes.get(at + 1..)?;
    let length = line.iter().position(|byte| *byte == b'\r')?;
    let after = at + 1 + length + 2;
    if after > bytes.len() {
        return None;
    }
    let number = || -> i64 {
        let text = std::str::from_utf8(&line[..length]).expect("a length");
        text.parse().expect("a number")
    };
    match bytes[at] {
        b'+' | b':' => Some(after),
        b'$' => match usize::try_from(number()) {
            Ok(length) => (after + length + 2 <= bytes.len()).then_some(after + length + 2),
            Err(_) => Some(after),
        },
        b'*' => {
            let mut next = after;
            for place in 0..number().max(0) {
                let begin = next;
                next = skip(bytes, next, depth + 1, ids)?;
                if depth == 3 && place == 0 {
                    let line = bytes[begin..next].iter().position(|byte| *byte == b'\n')?;
                    ids.push(begin + line + 1..next - 2);
                }
            }
            Some(next)
        }
        other => panic!("Redis says {:?}", other as char),
    }
}
