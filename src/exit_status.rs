//! Every exit status of the process and what it asks of the operator.
//!
//! The command line ends with one of these and nothing else; supervisors (systemd's `RestartPreventExitStatus=`, scripts) act on
//! the number. The numbers above 63 are those of BSD's sysexits, so that other tools read them the same way.

use std::fmt;
use std::process::ExitCode;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Stopped cleanly after SIGTERM or SIGINT, or the command did what was asked.
    Success = 0,
    /// A question was asked and the answer is no.
    No = 1,
    /// The arguments are not understood.
    Usage = 64,
    /// Redis did not answer during the attempts at start.
    Unavailable = 69,
    /// A failure inside the program.
    Internal = 70,
    /// The drain deadline passed.
    DrainDeadline = 75,
    /// Redis refused the credentials or a needed command at start.
    Refused = 77,
    /// The configuration is wrong.
    Configuration = 78,
    /// A second signal, SIGINT, ended the process at once (128 + 2).
    Interrupted = 130,
    /// A second signal, SIGTERM, ended the process at once (128 + 15).
    Terminated = 143,
}

impl ExitStatus {
    /// All of them, ascending.
    pub const ALL: [Self; 10] = [
        Self::Success,
        Self::No,
        Self::Usage,
        Self::Unavailable,
        Self::Internal,
        Self::DrainDeadline,
        Self::Refused,
        Self::Configuration,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number the parent process sees.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What happened and what the operator does about it, in one line.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "stopped cleanly, or done; nothing to do",
            Self::No => {
                "the answer is no: not ready, not alive, something to mend on the way to Redis, an event refused, a dead letter not there or not to be touched unasked"
            }
            Self::Usage => "the arguments are not understood: see weir --help",
            Self::Unavailable => {
                "Redis was not reachable during all attempts at start: start Redis, or raise MAX_RETRY_ATTEMPTS"
            }
            Self::Internal => "a failure inside weir: read the last log lines, restart",
            Self::DrainDeadline => {
                "not everything ended within SHUTDOWN_TIMEOUT_MS: what was unsettled will be delivered again"
            }
            Self::Refused => {
                "Redis refuses the credentials or a needed command: correct them, restarting does not help"
            }
            Self::Configuration => {
                "the configuration is wrong: correct it, restarting does not help"
            }
            Self::Interrupted => {
                "a second SIGINT ended it at once: what was unsettled will be delivered again"
            }
            Self::Terminated => {
                "a second SIGTERM ended it at once: what was unsettled will be delivered again"
            }
        }
    }

    /// Whether a restart without any change has a chance to go better.
    pub const fn restart_helps(self) -> bool {
        matches!(
            self,
            Self::Unavailable
                | Self::Internal
                | Self::DrainDeadline
                | Self::Interrupted
                | Self::Terminated
        )
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

impl From<ExitStatus> for i32 {
    /// For `process::exit`, which only the second-signal path calls.
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.code(), self.meaning())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_contract() {
        let codes: Vec<u8> = ExitStatus::ALL.iter().map(|status| status.code()).collect();
        assert_eq!(codes, [0, 1, 64, 69, 70, 75, 77, 78, 130, 143]);
    }

    #[test]
    fn every_status_has_a_meaning_of_its_own_in_one_line() {
        for status in ExitStatus::ALL {
            assert!(!status.meaning().is_empty());
            assert!(!status.meaning().contains('\n'));
            let same = ExitStatus::ALL
                .iter()
                .filter(|other| other.meaning() == status.meaning())
                .count();
            assert_eq!(same, 1, "{status:?}");
        }
    }

    #[test]
    fn a_forced_end_says_which_signal_by_the_shells_convention() {
        assert_eq!(i32::from(ExitStatus::Interrupted), 128 + 2);
        assert_eq!(i32::from(ExitStatus::Terminated), 128 + 15);
    }

    #[test]
    fn restarting_does_not_help_against_what_only_a_person_can_mend() {
        for status in [
            ExitStatus::Usage,
            ExitStatus::Refused,
            ExitStatus::Configuration,
        ] {
            assert!(!status.restart_helps(), "{status:?}");
        }
        assert!(ExitStatus::Unavailable.restart_helps());
    }
}
