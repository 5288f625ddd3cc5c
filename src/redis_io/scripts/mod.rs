//! The scripts: each is one decision and one write that must not be separated. Plain commands of Redis 6.2 only.

use std::sync::LazyLock;

use redis::Script;

/// A script with its text, for servers that do not know its hash yet.
pub(super) struct Text {
    /// The whole script.
    pub(super) body: &'static str,
    /// The crate's handle, which knows the hash.
    pub(super) script: Script,
}

macro_rules! script {
    ($name:ident, $operation:literal, $($file:literal),+) => {
        #[doc = concat!("`", $operation, "`.")]
        pub(super) static $name: LazyLock<Text> = LazyLock::new(|| {
            const BODY: &str = concat!($(include_str!($file)),+);
            Text { body: BODY, script: Script::new(BODY) }
        });
    };
}

script!(RENEW, "renew", "fence.lua", "renew.lua");
script!(COUNT, "count", "fence.lua", "count.lua");
script!(FETCH, "fetch", "fence.lua", "bytes.lua", "fetch.lua");
script!(RELEASE, "release", "fence.lua", "release.lua");
script!(DEAD_LETTER, "dead letter", "fence.lua", "dead_letter.lua");
script!(
    RECLAIM,
    "reclaim",
    "fence.lua",
    "ids.lua",
    "bytes.lua",
    "reclaim.lua"
);
script!(
    REPAIR,
    "repair",
    "ids.lua",
    "bytes.lua",
    "pages.lua",
    "repair.lua"
);
script!(
    CURSOR,
    "cursor",
    "ids.lua",
    "cursor_value.lua",
    "cursor.lua"
);
script!(
    MOVE_GROUP,
    "move of the group",
    "ids.lua",
    "cursor_value.lua",
    "move_group.lua"
);
script!(
    COUNT_RANGE,
    "count of entries",
    "bytes.lua",
    "pages.lua",
    "count_range.lua"
);
script!(
    LOOK,
    "look",
    "ids.lua",
    "bytes.lua",
    "pages.lua",
    "look.lua"
);
script!(TRIM, "trim", "ids.lua", "trim.lua");
script!(PUBLISH, "publish", "publish.lua");
script!(TICK, "tick", "tick.lua");
script!(DELAY, "delay", "delay.lua");
script!(
    DELAYED_LIST,
    "list of delayed",
    "seek.lua",
    "delayed_list.lua"
);
script!(
    DELAYED_CANCEL,
    "cancel of delayed",
    "seek.lua",
    "delayed_cancel.lua"
);
script!(DELAYED_MOVE, "move of delayed", "delayed_move.lua");
script!(
    LETTERS_LIST,
    "list of dead letters",
    "letters.lua",
    "letters_list.lua"
);
script!(
    LETTERS_SHOW,
    "show of a dead letter",
    "letters.lua",
    "letters_show.lua"
);
script!(
    LETTERS_RETRY,
    "retry of a dead letter",
    "letters.lua",
    "letters_back.lua",
    "letters_retry.lua"
);
script!(
    LETTERS_SWEEP,
    "retry or drop of dead letters",
    "letters.lua",
    "letters_back.lua",
    "letters_sweep.lua"
);
script!(JOIN, "join", "join.lua");
script!(STAY, "stay", "stay.lua");
script!(LEAVE, "leave", "leave.lua");
