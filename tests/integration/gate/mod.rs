//! The gate alone, with workers of the test's own: protocol, deadlines, siege, stop.

mod deadlines;
mod protocol;
mod siege;
mod stop;
