//! Whether the reader may read: not before it is known, and not while the group is paused.

use std::time::Duration;

use crossbeam_channel::select;

use super::Reader;
use crate::domain::health::{Activity, Reason};
use crate::runtime::bell::Bell;
use crate::threads::shared::Reading;

/// While it waits for what others decide, the reader gives a sign of life this often.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

impl Reader {
    /// Asked before each round; waits a moment when the answer is no.
    pub(super) fn may_read(&self) -> bool {
        match self.parts.line.reading() {
            Reading::Allowed => true,
            Reading::Paused => {
                self.beat(Activity::Paused, None);
                self.wait_for(self.parts.line.changed());
                false
            }
            // A replica that starts must not read what a pause was to keep. What keeps the monitor from looking is the monitor's to tell.
            Reading::Unknown => {
                self.beat(Activity::WaitingForRedis, Some(Reason::Starting));
                self.wait_for(self.parts.line.changed());
                false
            }
        }
    }

    /// Waits a while for somebody else's news, or for the stop.
    pub(super) fn wait_for(&self, news: &Bell) {
        select! {
            recv(news.rung()) -> _ => {}
            recv(self.parts.stop.wake()) -> _ => {}
            default(SIGN_OF_LIFE) => {}
        }
    }

    /// Asked within a round, before its blocking read.
    pub(super) fn pause_begun(&self) -> bool {
        self.parts.line.reading() != Reading::Allowed
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::time::Instant;

    use crossbeam_channel::bounded;

    use super::*;
    use crate::domain::health::Loop;
    use crate::redis_io::keys::Keys;
    use crate::redis_io::lease::Membership;
    use crate::runtime::board::Board;
    use crate::runtime::post::Post;
    use crate::runtime::shutdown::shutdown_pair;
    use crate::runtime::thread::{Ending, spawn};
    use crate::threads::reader::{ReaderParts, run};
    use crate::threads::shared::{GroupMemory, ReaderLine};

    /// The longest wait of this test for anything.
    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn it_does_not_even_connect_before_it_is_known_that_it_may_read() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        server.set_nonblocking(true).unwrap();
        let port = server.local_addr().unwrap().port().to_string();
        let variables = [
            ("REDIS_HOST", "127.0.0.1"),
            ("REDIS_PORT", &port),
            ("REDIS_REPLY_TIMEOUT_MS", "100"),
            ("SERVICE_NAME", "test"),
        ];
        let variables = variables.map(|(name, value)| (OsString::from(name), value.into()));
        let settings = Arc::new(crate::config::load(variables).unwrap().settings);
        let memory = GroupMemory::default();
        memory.set_membership(Some(Membership {
            name: "me".to_owned(),
            token: "token".to_owned(),
            generation: 1,
            first: true,
        }));
        let (permits, granted) = bounded(1);
        permits.send(10).unwrap();
        let (dispatcher, _messages) = bounded(10);
        let (stopper, stop) = shutdown_pair();
        let (line, board) = (ReaderLine::default(), Board::default());
        let parts = ReaderParts {
            settings,
            keys: Arc::new(Keys::new("stream", "test")),
            memory,
            line: line.clone(),
            permits: granted,
            dispatcher: Post::new(dispatcher, &Bell::default()),
            board: board.clone(),
            stop,
        };
        let (reports, ended) = bounded(1);
        spawn("reader", reports, move || run(parts)).unwrap();
        let wait_for = |what: &str, condition: &mut dyn FnMut() -> bool| {
            let begun = Instant::now();
            while !condition() {
                assert!(begun.elapsed() < SOON, "{what}");
                std::thread::park_timeout(Duration::from_millis(5));
            }
        };
        for (reading, activity) in [
            (Reading::Unknown, Activity::WaitingForRedis),
            (Reading::Paused, Activity::Paused),
        ] {
            line.set_reading(reading);
            let shown = || {
                let reader = board.snapshot().loops.get(&Loop::Reader).copied();
                reader.filter(|reader| reader.activity == activity)
            };
            wait_for("its activity", &mut || shown().is_some());
            let beat = shown().unwrap().beat;
            wait_for("some rounds more", &mut || {
                shown().is_some_and(|reader| reader.beat > beat)
            });
            assert!(server.accept().is_err(), "{reading:?}");
        }
        line.set_reading(Reading::Allowed);
        wait_for("a connection", &mut || server.accept().is_ok());
        stopper.request();
        let report = ended.recv_timeout(SOON).unwrap();
        assert!(matches!(report.ending, Ending::Returned), "{report}");
    }
}
