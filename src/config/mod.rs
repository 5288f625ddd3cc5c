//! Configuration: the environment in, checked [`settings::Settings`] out.

pub mod settings;
