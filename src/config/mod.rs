//! Configuration: the environment in, checked [`settings::Settings`] out.
//!
//! [`table`] is the one list of variables. [`load()`] reads them; [`document`] writes them down for `--help` and the README. Nothing
//! here connects to anything.

pub mod api_keys;
pub mod command_line;
pub mod document;
pub mod handler;
pub mod handler_url;
mod load;
mod problems;
mod reader;
mod redis_link;
pub mod rules;
mod schedules;
pub mod settings;
mod suggest;
pub mod table;
#[cfg(test)]
mod test_support;
mod tls_files;
pub mod variable;

pub use document::markdown_table;
pub use load::{Loaded, load, load_http, load_keys};
pub use problems::{ConfigErrors, Fault, Problem, Warning};
pub use reader::{Effective, Origin};
pub use suggest::closest;
