//! The webhook's rules: what is asked of the target, and what its answer means. No connection here.

pub mod answer;
pub mod cloudevents;
pub mod request;
pub mod retry_after;
