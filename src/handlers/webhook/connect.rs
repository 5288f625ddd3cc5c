//! Tells a target that was not reached from one that was: whatever fails before the first byte of the request carries a mark.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

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

/// A chain of connectors whose failures are marked. Its clones are the same chain.
#[derive(Debug)]
pub(super) struct Reaching<C>(Arc<C>);

impl<C> Reaching<C> {
    pub(super) fn new(connector: C) -> Self {
        Self(Arc::new(connector))
    }
}

impl<C> Clone for Reaching<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Connector> Connector for Reaching<C> {
    type Out = C::Out;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        self.0.connect(details, chained).map_err(|error| {
            let why = match error {
                // The name's part is marked already.
                ureq::Error::Other(other) if other.is::<NotReached>() => {
                    return ureq::Error::Other(other);
                }
                ureq::Error::Timeout(_) => "no connection in time".to_owned(),
                ureq::Error::Io(error) => error.to_string(),
                other => other.to_string(),
            };
            NotReached(why).into()
        })
    }
}
