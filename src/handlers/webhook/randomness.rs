//! Random bytes for the ids of traces, fetched from the kernel by the block: a system call for each event would be a tenth of what weir
//! itself adds to a call.

use std::cell::RefCell;

use ring::rand::{SecureRandom as _, SystemRandom};

use crate::domain::trace_context::RANDOM_BYTES;

/// Events that one block is for.
const EVENTS: usize = 32;

thread_local! {
    static BLOCK: RefCell<Vec<[u8; RANDOM_BYTES]>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that nobody has got before. Without randomness (early at boot) they are zeros: ids become valid all the same, and are no secret.
pub(super) fn random(source: &SystemRandom) -> [u8; RANDOM_BYTES] {
    BLOCK.with_borrow_mut(|block| {
        if block.is_empty() {
            let mut bytes = [0; RANDOM_BYTES * EVENTS];
            let _ = source.fill(&mut bytes);
            block.extend(bytes.as_chunks().0);
        }
        block.pop().unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_are_alike() {
        let source = SystemRandom::new();
        let all: HashSet<_> = (0..3 * EVENTS).map(|_| random(&source)).collect();
        assert_eq!(all.len(), 3 * EVENTS);
    }
}
