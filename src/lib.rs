//! weir works a Redis Stream: it reads it through a consumer group, hands each event to a handler, acknowledges what was done, and
//! publishes test events. This page is the guided tour; the README tells how it is run.
//!
//! # One event's way
//!
//! ```text
//! Redis ─▶ [reader] ──batch──▶ [dispatcher] ──job──▶ [worker-0..N] ─▶ handler
//!             ▲                 │  ▲  ▲ lanes          │
//!             └──── permit ─────┘  │  └─── outcome ────┘
//!                        order ▼   └ confirmed, renewed, counted, ...
//!                            [settler] ─▶ Redis
//! client ─▶ [gate] ─▶ [http-0..2] ─▶ [publisher] ─▶ Redis ◀─ [monitor] ─▶ health board
//! ```
//!
//! 1. The [reader](threads::reader) may read as many entries as it has permits. It makes an event of each ([`domain::wire`],
//!    [`domain::entry_codec`]) and sends them on at once; it holds nothing.
//! 2. The [dispatcher](threads::dispatcher) owns the [lanes](domain::lanes): events of one aggregate stand in one lane and are
//!    handled one after another. It never waits for anybody, which is what keeps the three circles through it open.
//! 3. A [worker](threads::worker) takes a job and calls the [handler](handlers::Handler). It never talks to Redis.
//! 4. What became of a call is decided by plain functions ([`domain::disposition`]): acknowledge, call again later, or give up.
//! 5. The [settler](threads::settler) writes that to the group's pending list, and the dead letters. Every such write but the
//!    acknowledgement of what was done is a script that first checks that the consumer's name and the entry are still ours
//!    ([`redis_io::settle`]).
//! 6. When Redis has confirmed it, the entry's place is free, and the reader gets a permit for another.
//!
//! # What holds
//!
//! - **Acknowledged means done**: after the handler succeeded, or by the script that has just written the dead letter. Two cases are
//!   left: entries that were trimmed before anybody held them are acknowledged as lost, and entries settled here come back after a
//!   repair of the group and are acknowledged again.
//! - **A held entry has a live lease**: it is renewed every third of `CLAIM_IDLE_MS`, so a slow handler is never run twice for being slow.
//! - **Attempts live in Redis**: the delivery count is written before a call begins, so a crash loop ends in the dead-letter stream.
//! - **Everything is bounded**: each bound has a name and a reason where it is defined.
//! - **A dead thread is never silent**: [`service`] hears of every end, and starts anew or stops the process.
//!
//! # In reading order
//!
//! [`domain`] holds the rules, without IO, clock, threads or log: begin with [`domain::event`], then [`domain::lanes`] and
//! [`domain::health`]. [`config`] is one table of variables that feeds parser, help and README. [`threads`] has one file a thread.
//! [`redis_io`] alone names the redis crate; its scripts lie beside it. [`http`] takes requests in through a gate that checks them
//! whole before a worker sees them. [`handlers`] is the folder to extend; what the webhook sends and what answers mean is in
//! [`domain::webhook`]. [`runtime`] has the small tools: shutdown, named threads, the health board, the metrics, the log. [`service`] wires all
//! of it and knows the order of stopping; [`cli`] and [`exit_status`] are what the shell sees.
//!
//! Imports go one way: `main` → [`cli`], [`service`] → [`threads`] → [`handlers`], [`redis_io`], [`http`], [`runtime`] →
//! [`domain`], [`config`]. A test reads the `use` lines and keeps it so.
//!
//! # A handler of one's own
//!
//! ```no_run
//! use weir::{Call, Event, Handler, HandlerError, HandlerResult, Service};
//!
//! struct Invoices;
//!
//! impl Handler for Invoices {
//!     fn handle(&self, event: &Event, _call: Call) -> HandlerResult {
//!         match event.name() {
//!             "order.created" => Ok(()),
//!             _ => Err(HandlerError::Reject { reason: "not an order".to_owned() }),
//!         }
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     weir::cli::main(|loaded| Service::new(loaded).handler(Invoices).run())
//! }
//! ```
//!
//! What it needs is re-exported here; [`handlers::Handler`] says when its other methods are of use.

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

pub use domain::event::Event;
pub use handlers::{Call, Handler, HandlerError, HandlerResult};
pub use service::Service;
