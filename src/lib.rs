//! weir puts a Redis Stream to work: it publishes events, consumes them through a consumer group, hands each one to a handler,
//! and never loses one.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod cli;
pub mod config;
pub mod domain;
pub mod exit_status;
pub mod handlers;
pub mod http;
pub mod redis_io;
pub mod runtime;
pub mod service;
pub mod threads;
