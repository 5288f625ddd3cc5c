//! HTTP: the gate that admits only complete, checked requests, and the routes that answer them.
//!
//! The gate (one thread) owns every socket; workers own none. They meet in [`exchange`].

mod accept;
pub mod access;
mod answer;
pub mod app;
mod common;
mod connection;
mod count;
mod dead_letters;
mod delayed;
mod events;
pub mod exchange;
pub mod gate;
mod handle;
mod head;
mod health_pages;
pub mod limits;
mod metrics_page;
mod openapi;
pub mod overview;
mod page;
mod places;
pub mod respond;
pub mod route;
mod scan;
pub mod status;
#[cfg(test)]
mod test_app;
mod trigger;
mod turns;
mod verdict;
