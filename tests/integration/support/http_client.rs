//! A client that keeps its connection, reads one answer after another, and notices how the connection ends.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::http::{Answer, Connection, LIMIT, NoAnswer};

/// A kept connection.
pub struct Client(Connection);

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self(Connection::open(address.port()))
    }

    /// Sends exactly these bytes; the server may have stopped listening.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.send(bytes);
    }

    /// The next answer; `None` when the connection has ended before it. `head_only`: it has no body whatever its length says.
    #[track_caller]
    pub fn next_answer(&mut self, head_only: bool) -> Option<Answer> {
        let answer = if head_only {
            self.0.answer_to_head(LIMIT)
        } else {
            self.0.answer(LIMIT)
        };
        match answer {
            Ok(answer) => Some(answer),
            Err(NoAnswer::Closed(rest)) if rest.is_empty() => None,
            Err(NoAnswer::Io(error)) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// The next answer, which must come.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        self.next_answer(false).expect("an answer, not the end")
    }

    /// Sends and reads one answer.
    #[track_caller]
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request);
        self.answer()
    }

    /// Every answer until the server ends the connection.
    #[track_caller]
    pub fn answers_to_the_end(&mut self) -> Vec<Answer> {
        std::iter::from_fn(|| self.next_answer(false)).collect()
    }

    /// Nothing more comes, and the server has ended the connection.
    #[track_caller]
    pub fn expect_end(&mut self, what: &str) {
        assert!(self.next_answer(false).is_none(), "{what}: more has come");
    }

    /// The socket, for what only a rude client does to it.
    pub fn socket(&self) -> &TcpStream {
        self.0.socket()
    }

    /// Ends with a reset instead of an orderly end.
    pub fn reset(self) {
        socket2::SockRef::from(self.socket())
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
}
