//! HTTP: the gate that admits only complete, checked requests, and the routes that answer them.
//!
//! The gate (one thread) owns every socket; workers own none. They meet in [`exchange`].

pub mod app;
pub mod exchange;
mod health_pages;
pub mod respond;
pub mod route;
#[cfg(test)]
mod test_app;
mod trigger;
mod accept;
mod answer;
mod common;
mod connection;
pub mod exchange;
pub mod gate;
mod head;
pub mod limits;
mod places;
mod scan;
