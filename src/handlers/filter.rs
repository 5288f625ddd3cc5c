//! Keeps from a handler what is not for it: event names that `EVENTS` leaves out, and test events from programs outside.

use std::sync::Arc;
use std::time::Duration;

use super::{Call, Handler, HandlerResult};
use crate::domain::event::Event;
use crate::domain::globs::Globs;
use crate::domain::test_event::TEST_HEADER;

/// A handler behind a filter.
pub struct Filtered {
    inner: Arc<dyn Handler>,
    events: Option<Globs>,
    /// Test events are weir's own: they come every ten seconds, and a program that bills or ships must not see them by accident.
    test_events: bool,
}

impl Filtered {
    /// `inner` gets what `events` matches, or everything. Events with the header `weir-test` it gets like others when
    /// `test_events` is set, and otherwise only when `events` names them, for which stars alone are not enough.
    pub fn new(inner: Arc<dyn Handler>, events: Option<Globs>, test_events: bool) -> Self {
        Self {
            inner,
            events,
            test_events,
        }
    }
}

impl Handler for Filtered {
    fn handle(&self, event: &Event, call: Call) -> HandlerResult {
        self.inner.handle(event, call)
    }

    fn wants(&self, event: &Event) -> bool {
        let name = event.name();
        let wanted = if self.test_events || event.header(TEST_HEADER).is_none() {
            self.events
                .as_ref()
                .is_none_or(|events| events.matches(name))
        } else {
            self.events
                .as_ref()
                .is_some_and(|events| events.names(name))
        };
        wanted && self.inner.wants(event)
    }

    fn is_quick(&self) -> bool {
        self.inner.is_quick()
    }

    fn interrupt(&self) {
        self.inner.interrupt();
    }

    fn tend(&self) -> Option<Duration> {
        self.inner.tend()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entry_codec::decode;
    use crate::handlers::log::LogHandler;

    fn event(name: &str, test: bool) -> Event {
        let mut fields = vec![
            (b"event".to_vec(), name.as_bytes().to_vec()),
            (b"aggregateId".to_vec(), b"a".to_vec()),
        ];
        if test {
            fields.push((b"headers".to_vec(), br#"{"weir-test":"http"}"#.to_vec()));
        }
        decode("1-0".parse().unwrap(), fields, 1_000).unwrap()
    }

    #[test]
    fn who_gets_what() {
        for (events, test_events, name, test, wanted) in [
            (None, true, "order.created", false, true),
            (None, true, "test-event", true, true),
            (None, false, "order.created", false, true),
            (None, false, "test-event", true, false),
            (None, false, "test-event", false, true),
            (Some("order.*"), false, "order.created", false, true),
            (Some("order.*"), false, "order.created", true, true),
            (Some("order.*"), false, "invoice.paid", false, false),
            (Some("order.*"), true, "test-event", true, false),
            (Some("*"), true, "test-event", true, true),
            (Some("*"), false, "test-event", true, false),
            (Some("*"), false, "invoice.paid", false, true),
            (Some("*,test-event"), false, "test-event", true, true),
            (Some("test-*"), false, "test-event", true, true),
        ] {
            let globs = events.map(|text| Globs::parse(text).unwrap());
            let filter = Filtered::new(Arc::new(LogHandler), globs, test_events);
            assert_eq!(
                filter.wants(&event(name, test)),
                wanted,
                "{events:?} {test_events} {name} {test}"
            );
        }
    }

    #[test]
    fn whether_calls_are_quick_is_the_handlers_own_matter() {
        assert!(Filtered::new(Arc::new(LogHandler), None, true).is_quick());
    }

    #[test]
    fn what_main_says_goes_through() {
        #[derive(Default)]
        struct Inner(std::sync::atomic::AtomicBool);

        impl Handler for Inner {
            fn handle(&self, _: &Event, _: Call) -> HandlerResult {
                Ok(())
            }

            fn interrupt(&self) {
                self.0.store(true, std::sync::atomic::Ordering::SeqCst);
            }

            fn tend(&self) -> Option<Duration> {
                Some(Duration::from_millis(7))
            }
        }

        let inner = Arc::new(Inner::default());
        let filter = Arc::new(Filtered::new(inner.clone(), None, true));
        filter.interrupt();
        assert!(inner.0.load(std::sync::atomic::Ordering::SeqCst));
        assert_eq!(filter.tend(), Some(Duration::from_millis(7)));
    }
}
