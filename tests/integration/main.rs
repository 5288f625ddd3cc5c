//! Tests of the running binary against a real redis-server.
#![allow(missing_docs)]
