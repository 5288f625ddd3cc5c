//! Small tools every thread uses. Knows nothing of streams, handlers or HTTP.

pub mod bell;
pub mod board;
pub mod calls;
pub mod clock;
pub mod container_name;
pub mod logging;
pub mod metrics;
pub mod post;
pub mod service_manager;
pub mod shutdown;
pub mod thread;
