//! HTTP: the gate that admits only complete, checked requests, and the routes that answer them.
//!
//! The gate (one thread) owns every socket; workers own none. They meet in [`exchange`].

pub mod exchange;
