//! XADD through the redis crate, a hundred in one write.

use std::net::SocketAddr;

use crate::lab::add;

/// Commands of one write.
const PIPELINE: usize = 100;

/// Adds so many events.
pub fn run(address: SocketAddr, events: usize) {
    let client = redis::Client::open(format!("redis://{address}")).expect("an address");
    let mut connection = client.get_connection().expect("connect");
    for begin in (0..events).step_by(PIPELINE) {
        let mut pipeline = redis::pipe();
        for number in begin..begin + PIPELINE {
            add(&mut pipeline, number, usize::MAX);
        }
        pipeline.query::<()>(&mut connection).expect("add");
    }
}
