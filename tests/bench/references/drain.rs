//! The obvious loop on the redis crate: a hundred entries a read, every payload parsed, one acknowledgement a read.

use std::net::SocketAddr;

use redis::Commands as _;
use redis::streams::{StreamReadOptions, StreamReadReply};

use crate::handlers::{output, tell};
use crate::support::redis_client::STREAM;

/// Entries of one read.
const COUNT: usize = 100;

/// Reads and acknowledges for ever; `tells` has it write a line for each entry, as the handler does that it is compared with.
pub fn run(address: SocketAddr, group: &str, tells: bool) {
    let output = tells.then(output);
    let client = redis::Client::open(format!("redis://{address}")).expect("an address");
    let mut connection = client.get_connection().expect("connect");
    let options = StreamReadOptions::default()
        .group(group, "bare")
        .count(COUNT)
        .block(5_000);
    loop {
        let reply: Option<StreamReadReply> = connection
            .xread_options(&[STREAM], &[">"], &options)
            .expect("read");
        let Some(stream) = reply.and_then(|reply| reply.keys.into_iter().next()) else {
            continue;
        };
        for entry in &stream.ids {
            for name in ["payload", "headers"] {
                let text: String = entry.get(name).expect("a text");
                let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                std::hint::black_box(value);
            }
            if let Some(output) = &output {
                tell(output);
            }
        }
        let ids: Vec<&str> = stream.ids.iter().map(|entry| entry.id.as_str()).collect();
        let _: usize = connection.xack(STREAM, group, &ids).expect("acknowledge");
    }
}
