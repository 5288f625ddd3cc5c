//! The names of the keys beside the stream. One function each; format number 1 is in the prefix.

/// Keys that belong to one stream and group, all in the stream's cluster slot.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The stream.
    pub stream: String,
    /// The consumer group.
    pub group: String,
    /// The dead-letter stream.
    pub dead_letter: String,
    /// The lowest id the group still needs.
    pub cursor: String,
    /// Hash: names that weir consumers have registered in this group.
    pub registry: String,
    /// While it exists nobody of the group reads; says who wants that.
    pub paused: String,
    /// The last move of the group, for its replicas; see [`super::seek`].
    pub moved: String,
    /// What a consumer's lease key begins with; the name follows.
    pub lease_prefix: String,
    /// What the key of a remembered idempotency key begins with; a digest follows.
    pub idempotency_prefix: String,
    /// Hash: the last published tick of each schedule. The stream's, not the group's: whoever publishes a schedule publishes it once.
    pub schedules: String,
    /// Sorted set: the stream's delayed events by when they are due.
    pub delayed: String,
}

impl Keys {
    /// The keys of `group` on `stream`.
    pub fn new(stream: &str, group: &str) -> Self {
        let of_stream = format!("weir:1:{}", tagged(stream));
        let beside = format!("{of_stream}:{group}");
        Self {
            stream: stream.to_owned(),
            group: group.to_owned(),
            dead_letter: format!("{stream}:dead-letter"),
            cursor: format!("{beside}:cursor"),
            registry: format!("{beside}:consumers"),
            paused: format!("{beside}:paused"),
            moved: format!("{beside}:moved"),
            lease_prefix: format!("{beside}:consumer:"),
            idempotency_prefix: format!("{beside}:idempotency:"),
            // No key of a group ends here: each has something behind the group's name.
            schedules: format!("{of_stream}:schedules"),
            delayed: format!("{of_stream}:delayed"),
        }
    }

    /// The lease key of the consumer `name`.
    pub fn lease(&self, name: &str) -> String {
        format!("{}{name}", self.lease_prefix)
    }

    /// The key under which the first answer to an idempotency key is remembered.
    pub fn idempotency(&self, name: &str) -> String {
        format!("{}{name}", self.idempotency_prefix)
    }
}

/// The stream's name as a part of a key in the same slot: a non-empty hash tag of its own lends it, else the whole name is the tag.
fn tagged(stream: &str) -> String {
    let has_tag = stream.find('{').is_some_and(|open| {
        stream[open + 1..]
            .find('}')
            .is_some_and(|length| length > 0)
    });
    if has_tag {
        stream.to_owned()
    } else {
        format!("{{{stream}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_in_the_slot_of_the_stream() {
        let keys = Keys::new("orders", "billing");
        assert_eq!(keys.dead_letter, "orders:dead-letter");
        assert_eq!(keys.lease("a"), "weir:1:{orders}:billing:consumer:a");
        assert_eq!(keys.cursor, "weir:1:{orders}:billing:cursor");
        assert_eq!(keys.paused, "weir:1:{orders}:billing:paused");
        assert_eq!(keys.moved, "weir:1:{orders}:billing:moved");
        assert_eq!(keys.schedules, "weir:1:{orders}:schedules");
        assert_eq!(keys.delayed, "weir:1:{orders}:delayed");
        assert_eq!(
            keys.idempotency("5f"),
            "weir:1:{orders}:billing:idempotency:5f"
        );
        assert_eq!(
            Keys::new("{eu}orders", "g").cursor,
            "weir:1:{eu}orders:g:cursor"
        );
    }
}
