//! Tells a target that was not reached from one that was: whatever fails before the first byte of the request carries a mark.

use std::error::Error;
use std::fmt;

use ureq::unversioned::transport::{ConnectionDetails, Connector};

/// The mark: name, connection or TLS failed, so nothing was sent.
#[derive(Debug)]
pub(super) struct NotReached(pub(super) String);

impl fmt::Display for NotReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for NotReached {}

impl From<NotReached> for ureq::Error {
    fn from(mark: NotReached) -> Self {
        Self::Other(Box::new(mark))
    }
}

/// A chain of connectors whose failures are marked.
#[derive(Debug)]
pub(super) struct Reaching<C>(pub(super) C);

impl<C: Connector> Connector for Reaching<C> {
    type Out = C::Out;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        self.0.connect(details, chained).map_err(|error| {
            let why = match error {
                ureq::Error::Timeout(_) => "no connection in time".to_owned(),
                ureq::Error::Io(error) => error.to_string(),
                other => other.to_string(),
            };
            NotReached(why).into()
        })
    }
}
