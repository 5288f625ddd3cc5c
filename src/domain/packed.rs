//! What `build.rs` has packed into the program: large, and rarely looked at.

use miniz_oxide::inflate::decompress_to_vec_with_limit;

/// Most that is unpacked, bytes; the largest, the time zones, has a quarter of it.
const UNPACKED_MAX: usize = 1024 * 1024;

/// The bytes.
///
/// # Panics
/// When this is nothing that the build has packed; tests unpack all that there is.
pub fn bytes(packed: &[u8]) -> Vec<u8> {
    decompress_to_vec_with_limit(packed, UNPACKED_MAX).expect("the build has packed it")
}

/// The text.
///
/// # Panics
/// As [`bytes`], or when it is no text.
pub fn text(packed: &[u8]) -> String {
    String::from_utf8(bytes(packed)).expect("the build has packed a text")
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::compress_to_vec;

    use super::*;

    #[test]
    fn what_was_packed_comes_back() {
        for text in ["", "a", &"ab".repeat(100_000)] {
            assert_eq!(super::text(&compress_to_vec(text.as_bytes(), 10)), text);
        }
    }

    #[test]
    fn so_much_is_unpacked_and_no_more() {
        let largest = vec![b'a'; UNPACKED_MAX];
        assert_eq!(bytes(&compress_to_vec(&largest, 10)), largest);
        let larger = compress_to_vec(&vec![b'a'; UNPACKED_MAX + 1], 10);
        assert!(std::panic::catch_unwind(|| bytes(&larger)).is_err());
    }
}
