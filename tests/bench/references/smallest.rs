//! The smallest service there can be: it has asked Redis, a thread waits for entries, and it says that it is ready.

use std::net::SocketAddr;
use std::thread;

/// Serves `/health/ready` until it is ended.
pub fn run(address: SocketAddr, port: u16, group: &'static str) {
    let client = redis::Client::open(format!("redis://{address}")).expect("an address");
    let mut connection = client.get_connection().expect("connect");
    let _: String = redis::cmd("PING")
        .query(&mut connection)
        .expect("Redis answers");
    thread::spawn(move || super::drain::run(address, group, false));
    let server = tiny_http::Server::http(("127.0.0.1", port)).expect("a port");
    for request in server.incoming_requests() {
        let status = if request.url() == "/health/ready" {
            200
        } else {
            404
        };
        let _ = request.respond(tiny_http::Response::empty(status));
    }
}
