//! The only place that names the redis crate: connections, errors sorted by their code, and every command weir sends.

pub mod connection;
pub mod errors;
pub mod follow;
pub mod group;
pub mod inspect;
pub mod keys;
pub mod lease;
mod letters;
pub mod pause;
pub mod publish;
pub mod pulse;
mod resp;
pub mod rights;
mod scripts;
pub mod seek;
pub mod server;
pub mod settle;
mod socket;
mod timed;
mod transport;
pub mod trim;
mod values;
