//! The bytes of an answer: checks a worker's, and says `Connection: close` when the gate closes.
//!
//! Used by one connection's state machine. Pure.

/// What every answer begins with.
const VERSION: &[u8] = b"HTTP/1.1 ";

/// Interim answer to `Expect: 100-continue`.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Whether a worker's answer has a status line of a final answer and an end of its head. Its headers are the workers' own code.
pub(super) fn is_well_formed(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(VERSION) else {
        return false;
    };
    matches!(rest, [b'2'..=b'5', tens, ones, b' ' | b'\r', ..] if tens.is_ascii_digit() && ones.is_ascii_digit())
        && rest.windows(4).any(|window| window == b"\r\n\r\n")
}

/// Puts `Connection: close` behind the status line.
pub(super) fn add_close(mut bytes: Vec<u8>) -> Vec<u8> {
    let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
        return bytes;
    };
    bytes.splice(end + 1..=end, *b"Connection: close\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_final_answers_with_a_whole_head_are_well_formed() {
        for (bytes, good) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..], true),
            (b"HTTP/1.1 599 x\r\n\r\n", true),
            (b"HTTP/1.1 200\r\n\r\nbody", true),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", false),
            (b"HTTP/1.1 100 Continue\r\n\r\n", false),
            (b"HTTP/1.1 600 x\r\n\r\n", false),
            (b"HTTP/1.1 20x x\r\n\r\n", false),
            (b"HTTP/1.0 200 OK\r\n\r\n", false),
            (b"junk", false),
            (b"", false),
        ] {
            assert_eq!(
                is_well_formed(bytes),
                good,
                "{}",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    #[test]
    fn close_is_said_behind_the_status_line() {
        assert_eq!(
            add_close(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody".to_vec()),
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nA: b\r\n\r\nbody"
        );
        assert_eq!(add_close(b"junk".to_vec()), b"junk");
    }
}
