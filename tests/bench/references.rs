//! The references: what weir is compared with, each the least that does the work.

mod drain;
mod limit;
mod publish;
mod smallest;
mod target;

use std::net::SocketAddr;

/// Runs the reference that the words name.
pub fn serve(words: &[String]) {
    let word = |place: usize| words.get(place).map_or("", String::as_str);
    let number = |place: usize| -> usize { word(place).parse().expect("a number") };
    let port = |place: usize| -> u16 { word(place).parse().expect("a port") };
    let address = |place: usize| -> SocketAddr { word(place).parse().expect("an address") };
    match word(0) {
        "drain" => drain::run(address(1), word(2), false),
        "tell" => drain::run(address(1), word(2), true),
        "smallest" => smallest::run(address(1), port(2), "bench"),
        "limit" => limit::run(address(1), word(2)),
        "ureq" => target::post(word(1), number(2), number(3)),
        "spawn" => target::spawn(word(1), number(2), number(3)),
        "target" => target::answer(port(1)),
        "http" => target::tiny(port(1)),
        "xadd" => publish::run(address(1), number(2)),
        other => panic!("no such reference: {other}"),
    }
}
