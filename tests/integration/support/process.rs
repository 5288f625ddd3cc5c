//! A child process: signals, what /proc says of it, and its end in every case.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A child that is killed and waited for when it is dropped.
pub struct Process {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Process {
    pub fn new(child: Child) -> Self {
        Self { child, ended: None }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal; an ended process is left alone, since its id may be somebody else's by now.
    pub fn signal(&mut self, signal: Signal) {
        if self.status().is_none() {
            let pid = i32::try_from(self.child.id()).expect("process ids are positive i32");
            kill_process(Pid::from_raw(pid).expect("not zero"), signal)
                .expect("send a signal to a child");
        }
    }

    /// The exit status, once there is one.
    pub fn status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("look at a child");
        }
        self.ended
    }

    /// Waits for the end; `None` when `limit` passes first.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.status() {
                return Some(status);
            }
            if begin.elapsed() >= limit {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        if self.status().is_none() {
            // Fails only when it has just ended, and then there is nothing left to do.
            let _ = self.child.kill();
            self.ended = self.child.wait().ok();
        }
    }

    /// Threads alive in the process.
    pub fn threads(&self) -> usize {
        self.count("task")
    }

    /// Names of the threads alive in the process.
    pub fn thread_names(&self) -> Vec<String> {
        let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", self.id())) else {
            return Vec::new();
        };
        tasks
            .flatten()
            .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
            .map(|name| name.trim_end().to_owned())
            .collect()
    }

    /// Open file descriptors.
    pub fn open_files(&self) -> usize {
        self.count("fd")
    }

    /// Resident memory, KiB.
    pub fn rss_kib(&self) -> u64 {
        self.status_number("VmRSS:")
    }

    /// Times a thread of it went to sleep by itself, so far, by the thread's name.
    pub fn sleeps(&self) -> BTreeMap<String, u64> {
        let mut sleeps = BTreeMap::new();
        let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", self.id())) else {
            return sleeps;
        };
        for task in tasks.flatten() {
            let read = |file| fs::read_to_string(task.path().join(file)).unwrap_or_default();
            let name = read("comm").trim_end().to_owned();
            let count = number_behind(&read("status"), "voluntary_ctxt_switches:");
            *sleeps.entry(name).or_default() += count;
        }
        sleeps
    }

    fn count(&self, folder: &str) -> usize {
        fs::read_dir(format!("/proc/{}/{folder}", self.id())).map_or(0, Iterator::count)
    }

    fn status_number(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()));
        number_behind(&status.unwrap_or_default(), name)
    }
}

/// The number behind a name in a file of names and numbers; 0 without it.
fn number_behind(status: &str, name: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
