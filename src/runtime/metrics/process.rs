//! What the kernel knows of this process, under the names Prometheus' own libraries use. Reads `/proc/self` alone, so that it works where
//! nothing else of `/proc` is shown.

use std::fs;

use rustix::process::{Resource, getrlimit};

/// The process as it is now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ProcessFigures {
    /// Processor time used, seconds.
    pub(super) cpu_seconds: f64,
    /// Address space, bytes.
    pub(super) virtual_bytes: u64,
    /// Memory, bytes.
    pub(super) resident_bytes: u64,
    /// Threads.
    pub(super) threads: u64,
    /// When it began, seconds since 1970.
    pub(super) start_seconds: f64,
    /// Open descriptors; `None` where they cannot be listed.
    pub(super) open_fds: Option<u64>,
    /// As many as may be open; `None` where there is no limit.
    pub(super) max_fds: Option<u64>,
}

/// Reads them; `None` without `/proc`. `boot_unix_ms` is when the boot-time clock began, milliseconds since 1970.
pub(super) fn figures(boot_unix_ms: u64) -> Option<ProcessFigures> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let ticks = rustix::param::clock_ticks_per_second();
    let page = rustix::param::page_size() as u64;
    let open_fds = fs::read_dir("/proc/self/fd")
        .ok()
        // The listing itself needs one.
        .map(|listing| (listing.count() as u64).saturating_sub(1));
    Some(ProcessFigures {
        open_fds,
        max_fds: getrlimit(Resource::Nofile).current,
        ..parse(&stat, ticks, page, boot_unix_ms)?
    })
}

/// The fields of `/proc/self/stat`, counted as proc(5) does, which begins with 1.
#[expect(
    clippy::cast_precision_loss,
    reason = "ticks of a processor's life are far below 2^52"
)]
fn parse(stat: &str, ticks: u64, page: u64, boot_unix_ms: u64) -> Option<ProcessFigures> {
    // The second field is the name in parentheses, which may hold anything.
    let rest: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| rest.get(number - 3)?.parse::<u64>().ok();
    let seconds = |count: u64| count as f64 / ticks.max(1) as f64;
    Some(ProcessFigures {
        cpu_seconds: seconds(field(14)? + field(15)?),
        threads: field(20)?,
        start_seconds: boot_unix_ms as f64 / 1e3 + seconds(field(22)?),
        virtual_bytes: field(23)?,
        resident_bytes: field(24)? * page,
        open_fds: None,
        max_fds: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_kernel_is_understood() {
        let line = "42 (we) ir) S 1 42 42 0 -1 4194560 900 0 0 0 150 50 7 8 20 0 12 0 3000 123456789 1000 18446744073709551615 1 1";
        let figures = parse(line, 100, 4096, 1_000_000).unwrap();
        assert_eq!(
            figures,
            ProcessFigures {
                cpu_seconds: 2.0,
                virtual_bytes: 123_456_789,
                resident_bytes: 4_096_000,
                threads: 12,
                start_seconds: 1_030.0,
                open_fds: None,
                max_fds: None,
            }
        );
        for broken in ["", "42 (weir", "42 (weir) S 1 2 3", "42 (weir) S x"] {
            assert_eq!(parse(broken, 100, 4096, 0), None, "{broken}");
        }
    }

    #[test]
    fn this_process_has_figures() {
        let figures = figures(0).expect("/proc");
        assert!(figures.resident_bytes > 100_000 && figures.threads > 0);
        assert!(figures.open_fds.is_some_and(|open| open >= 3));
    }
}
