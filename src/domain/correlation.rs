//! Correlation ids: which ones a client may choose.

/// The longest correlation id we take over, bytes (contract).
pub const CORRELATION_ID_BYTES_MAX: usize = 128;

/// Whether `id` may be taken over: `[A-Za-z0-9._-]{1,128}`.
pub fn is_valid(id: &str) -> bool {
    (1..=CORRELATION_ID_BYTES_MAX).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// A fresh id, `req_<unix ms>_<random>`; time and randomness are the caller's.
pub fn fresh(unix_ms: u64, random: &str) -> String {
    format!("req_{unix_ms}_{random}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_plain_ids_are_taken_over() {
        for (id, good) in [
            ("a", true),
            ("test-123", true),
            ("A.b_c-9", true),
            (&*"x".repeat(128), true),
            (&*"x".repeat(129), false),
            ("", false),
            ("a b", false),
            ("a\r\nb", false),
            ("é", false),
            ("a/b", false),
        ] {
            assert_eq!(is_valid(id), good, "{id}");
        }
        assert!(is_valid(&fresh(1_234_567_890, "abc123")));
    }
}
