//! The name lease: two live processes never use one consumer name, and a dead one's name is free at once on its own machine.

use std::fs;
use std::time::Duration;

use redis::Value;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::connection::Link;
use super::errors::RedisIoError;
use super::keys::Keys;
use super::scripts;
use super::values;

/// Lifetime of a name lease (design).
pub const LEASE_LIFETIME: Duration = Duration::from_secs(10);

/// A name lease is renewed this often (design).
pub const LEASE_RENEWAL: Duration = Duration::from_secs(3);

/// Names that are tried: `name`, `name-2`, ... A group with more living replicas of one name than this is a mistake.
pub const NAMES_MAX: usize = 1_000;

/// Member of the registry that tells that weir has joined the group before.
pub(super) const JOINED_MARK: &str = "@joined";

/// Member of the registry that keeps the highest id that was pending when weir first joined the group; the reclaim script reads it.
const BEFORE_MARK: &str = "@before";

/// A consumer name we hold, and the value that proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The consumer name.
    pub name: String,
    /// The value of the lease key.
    pub token: String,
    /// Counts our memberships: what was read under an earlier one is not ours to begin.
    pub generation: u64,
    /// Nobody of weir had joined this group before.
    pub first: bool,
}

/// Who a process is on its machine: `boot id|pid namespace|pid|start time`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessIdentity {
    boot_id: String,
    pid_namespace: String,
    pid: u32,
    start_time: String,
}

impl ProcessIdentity {
    /// This process. What `/proc` does not tell stays empty; such an identity never matches another.
    pub fn current() -> Self {
        let pid = std::process::id();
        Self {
            boot_id: boot_id(&read_line("/proc/sys/kernel/random/boot_id"), || {
                std::env::var(BOOT_ID_VARIABLE).ok()
            }),
            pid_namespace: fs::read_link("/proc/self/ns/pid")
                .map(|link| link.display().to_string())
                .unwrap_or_default(),
            pid,
            start_time: start_time(pid).unwrap_or_default(),
        }
    }

    /// The lease value of this process with a random part.
    pub fn token(&self) -> String {
        let Self {
            boot_id,
            pid_namespace,
            pid,
            start_time,
        } = self;
        format!(
            "{}|{boot_id}|{pid_namespace}|{pid}|{start_time}",
            nanoid::nanoid!()
        )
    }

    /// Whether `token` names a process of our own boot and namespace that no longer runs.
    fn knows_dead(&self, token: &str) -> bool {
        let parts: Vec<&str> = token.split('|').collect();
        let [_, boot_id, pid_namespace, pid, started] = parts[..] else {
            return false;
        };
        if boot_id.is_empty()
            || boot_id != self.boot_id
            || pid_namespace.is_empty()
            || pid_namespace != self.pid_namespace
        {
            return false;
        }
        let Ok(pid) = pid.parse() else {
            return false;
        };
        match start_time(pid) {
            Some(now) => now != started,
            None => is_gone(pid),
        }
    }
}

/// What systemd units set to `%b`: in a sandbox `/proc` shows processes only, and would not tell.
const BOOT_ID_VARIABLE: &str = "WEIR_BOOT_ID";

/// The id of this boot in plain hexadecimal digits; empty when nobody tells it.
fn boot_id(told: &str, variable: impl FnOnce() -> Option<String>) -> String {
    let found = if told.is_empty() {
        variable().unwrap_or_default()
    } else {
        told.to_owned()
    };
    let id = found.replace('-', "");
    let good = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if good {
        id.to_lowercase()
    } else {
        String::new()
    }
}

/// Whether there is no such process, asked of the kernel: `/proc` may hide those of other users (`hidepid`, `ProtectProc`).
fn is_gone(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    test_kill_process(pid) == Err(Errno::SRCH)
}

/// When a process started, in ticks since boot: field 22 of `/proc/<pid>/stat`, counted behind the name, which may hold anything.
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let behind_name = stat.rsplit_once(')')?.1;
    behind_name.split_whitespace().nth(19).map(str::to_owned)
}

fn read_line(path: &str) -> String {
    fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// Takes `name`, or the lowest free `name-2`, `name-3`, ...
///
/// # Errors
/// As sorted by [`super::errors::ErrorClass`]; `Repair` when the group is missing.
pub fn join(
    link: &mut Link,
    keys: &Keys,
    name: &str,
    process: &ProcessIdentity,
    generation: u64,
) -> Result<Membership, RedisIoError> {
    let token = process.token();
    let lifetime = LEASE_LIFETIME.as_millis().to_string();
    for number in 1..=NAMES_MAX {
        let candidate = if number == 1 {
            name.to_owned()
        } else {
            format!("{name}-{number}")
        };
        let lease = keys.lease(&candidate);
        let mut replaceable = String::new();
        // Twice: once to learn who holds the name, once to replace a dead holder.
        for _ in 0..2 {
            let answer = link.script(
                "join",
                &scripts::JOIN.script,
                scripts::JOIN.body,
                &[&lease, &keys.registry, &keys.stream],
                &[
                    token.as_bytes(),
                    lifetime.as_bytes(),
                    replaceable.as_bytes(),
                    candidate.as_bytes(),
                    keys.group.as_bytes(),
                    JOINED_MARK.as_bytes(),
                    BEFORE_MARK.as_bytes(),
                ],
            )?;
            let mut parts = values::array(answer).unwrap_or_default().into_iter();
            let state = parts.next().and_then(values::text);
            let second = parts.next();
            match (state.as_deref(), second) {
                (Some("joined"), Some(first)) => {
                    let first = values::number(&first) == Some(1);
                    return Ok(Membership {
                        name: candidate,
                        token,
                        generation,
                        first,
                    });
                }
                (Some("held"), Some(holder)) => {
                    let holder = values::text(holder).unwrap_or_default();
                    if !process.knows_dead(&holder) {
                        break;
                    }
                    replaceable = holder;
                }
                _ => return Err(RedisIoError::unexpected("join", &lease)),
            }
        }
    }
    Err(RedisIoError::unexpected("join", &keys.lease(name)))
}

/// Renews the lease; `false` when it is no longer ours.
///
/// # Errors
/// As sorted by [`super::errors::ErrorClass`].
pub fn stay(link: &mut Link, keys: &Keys, membership: &Membership) -> Result<bool, RedisIoError> {
    let lease = keys.lease(&membership.name);
    let lifetime = LEASE_LIFETIME.as_millis().to_string();
    let answer = link.script(
        "stay",
        &scripts::STAY.script,
        scripts::STAY.body,
        &[&lease],
        &[membership.token.as_bytes(), lifetime.as_bytes()],
    )?;
    Ok(answer == Value::Int(1))
}

/// Gives the name back; answers how many entries stay pending under it (what was handed over), `None` when it was not ours.
///
/// # Errors
/// As sorted by [`super::errors::ErrorClass`].
pub fn leave(
    link: &mut Link,
    keys: &Keys,
    membership: &Membership,
) -> Result<Option<u64>, RedisIoError> {
    let lease = keys.lease(&membership.name);
    let answer = link.script(
        "leave",
        &scripts::LEAVE.script,
        scripts::LEAVE.body,
        &[&lease, &keys.registry, &keys.stream],
        &[
            membership.token.as_bytes(),
            keys.group.as_bytes(),
            membership.name.as_bytes(),
        ],
    )?;
    Ok(values::number(&answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_of_our_machine_that_ended_is_known_dead() {
        let me = ProcessIdentity::current();
        assert!(!me.knows_dead(&me.token()), "we run");
        let ended = ProcessIdentity {
            start_time: "1".to_owned(),
            ..me.clone()
        };
        assert!(
            me.knows_dead(&ended.token()),
            "the pid is another process now"
        );
        let elsewhere = ProcessIdentity {
            boot_id: "other".to_owned(),
            ..ended.clone()
        };
        assert!(!me.knows_dead(&elsewhere.token()));
        let namespace = ProcessIdentity {
            pid_namespace: "pid:[1]".to_owned(),
            ..ended
        };
        assert!(!me.knows_dead(&namespace.token()));
        // Gone altogether: a child that has been waited for.
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        let gone = ProcessIdentity { pid, ..me.clone() };
        assert!(me.knows_dead(&gone.token()));
        for token in ["", "x", "a|b|c|d", "a|b|c|d|e|f"] {
            assert!(!me.knows_dead(token));
        }
    }

    #[test]
    fn the_boot_id_is_told_by_the_kernel_or_by_the_unit() {
        let kernel = "0d3b1d8e-6f0a-4c35-9f0b-2a4d5e6f7a8b";
        let unit = || Some("0D3B1D8E6F0A4C359F0B2A4D5E6F7A8B".to_owned());
        let plain = "0d3b1d8e6f0a4c359f0b2a4d5e6f7a8b";
        assert_eq!(boot_id(kernel, || None), plain);
        assert_eq!(boot_id("", unit), plain);
        assert_eq!(boot_id(kernel, || Some("f".repeat(32))), plain);
        for useless in [
            None,
            Some(String::new()),
            Some("%b".to_owned()),
            Some("g".repeat(32)),
        ] {
            assert_eq!(boot_id("", || useless), "");
        }
    }

    #[test]
    fn a_process_that_proc_hides_is_not_gone() {
        // Init belongs to root and is there in every namespace: other users get EPERM, root an answer.
        assert!(!is_gone(1));
        assert!(!is_gone(std::process::id()));
        assert!(!is_gone(0));
        assert!(!is_gone(u32::MAX));
    }
}
