//! What a program writes becomes lines for the log: bounded in length and number, and the rest counted.
//!
//! Pure but for the sink it is given. Lines are longer here than the log shows them, because masking needs a secret's end to know it.

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Source {
    /// As the log names it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The bounds of one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Kept of one line, bytes; the log shows 2 KiB of it, after masking.
    pub(super) line_bytes: usize,
    /// Lines of both sources together.
    pub(super) lines: usize,
    /// Bytes of both sources together.
    pub(super) bytes: usize,
}

impl Default for Limits {
    /// Enough for a stack trace; a program that has more to say has a log of its own.
    fn default() -> Self {
        Self {
            line_bytes: 8 * 1024,
            lines: 200,
            bytes: 64 * 1024,
        }
    }
}

/// What was not logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LeftOut {
    /// Bytes, line ends included.
    pub(super) bytes: u64,
}

/// Cuts two streams of bytes into lines.
pub(super) struct Captured<S> {
    sink: S,
    limits: Limits,
    lines: usize,
    bytes: usize,
    left_out: u64,
    begun: [Begun; 2],
}

/// A line that has not ended.
#[derive(Default)]
struct Begun {
    bytes: Vec<u8>,
    /// Whether the source's last line has no end yet, even when nothing of it is kept.
    open: bool,
}

impl<S: FnMut(Source, &str)> Captured<S> {
    pub(super) fn new(limits: Limits, sink: S) -> Self {
        Self {
            sink,
            limits,
            lines: 0,
            bytes: 0,
            left_out: 0,
            begun: Default::default(),
        }
    }

    /// Takes what was read from a source.
    pub(super) fn take(&mut self, source: Source, read: &[u8]) {
        for piece in read.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            let room = if self.lines < self.limits.lines {
                self.limits.bytes - self.bytes
            } else {
                0
            };
            let begun = &mut self.begun[source as usize];
            let kept = text
                .len()
                .min(room)
                .min(self.limits.line_bytes - begun.bytes.len());
            begun.bytes.extend_from_slice(&text[..kept]);
            begun.open = !ends;
            self.bytes += kept;
            self.left_out += (text.len() - kept) as u64;
            if ends {
                if room == 0 {
                    self.left_out += 1;
                }
                self.end_line(source);
            }
        }
    }

    /// Logs what has no line end, and says what was left out.
    pub(super) fn finish(mut self) -> LeftOut {
        for source in [Source::Stdout, Source::Stderr] {
            if self.begun[source as usize].open {
                self.end_line(source);
            }
        }
        LeftOut {
            bytes: self.left_out,
        }
    }

    fn end_line(&mut self, source: Source) {
        let bytes = std::mem::take(&mut self.begun[source as usize].bytes);
        let text = bytes.strip_suffix(b"\r").unwrap_or(&bytes);
        // Empty lines say nothing in a log.
        if text.is_empty() {
            return;
        }
        if self.lines >= self.limits.lines {
            self.left_out += bytes.len() as u64;
            return;
        }
        self.lines += 1;
        (self.sink)(source, &String::from_utf8_lossy(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        line_bytes: 6,
        lines: 4,
        bytes: 16,
    };

    /// The lines logged, and the bytes left out.
    fn captured(limits: Limits, reads: &[(Source, &[u8])]) -> (Vec<String>, u64) {
        let mut lines = Vec::new();
        let mut captured = Captured::new(limits, |source: Source, line: &str| {
            lines.push(format!("{}:{line}", source.name()));
        });
        for (source, read) in reads {
            captured.take(*source, read);
        }
        let left_out = captured.finish().bytes;
        (lines, left_out)
    }

    #[test]
    fn bytes_become_lines_however_they_come() {
        use Source::{Stderr, Stdout};
        for (reads, lines) in [
            (
                vec![(Stdout, b"a\nb\n".as_slice())],
                vec!["stdout:a", "stdout:b"],
            ),
            (
                vec![(Stdout, b"a"), (Stdout, b"b\nc")],
                vec!["stdout:ab", "stdout:c"],
            ),
            (
                vec![(Stdout, b"a"), (Stderr, b"x\n"), (Stdout, b"b")],
                vec!["stderr:x", "stdout:ab"],
            ),
            (
                vec![(Stdout, b"a\r\n\r\n\nb\n")],
                vec!["stdout:a", "stdout:b"],
            ),
            (
                vec![(Stderr, b"\xff\x00\x1b[")],
                vec!["stderr:\u{fffd}\0\u{1b}["],
            ),
            (vec![], vec![]),
        ] {
            assert_eq!(
                captured(LIMITS, &reads),
                (lines.into_iter().map(str::to_owned).collect(), 0),
                "{reads:?}"
            );
        }
    }

    #[test]
    fn both_sides_of_every_bound() {
        use Source::{Stderr, Stdout};
        for (reads, lines, left_out) in [
            (
                vec![(Stdout, b"123456\n".as_slice())],
                vec!["stdout:123456"],
                0,
            ),
            (
                vec![(Stdout, b"1234567\n8\n")],
                vec!["stdout:123456", "stdout:8"],
                1,
            ),
            (
                vec![(Stdout, b"1234567"), (Stdout, b"89\n")],
                vec!["stdout:123456"],
                3,
            ),
            (
                vec![(Stdout, b"1\n2\n3\n4\n")],
                vec!["stdout:1", "stdout:2", "stdout:3", "stdout:4"],
                0,
            ),
            (
                vec![(Stdout, b"1\n2\n3\n"), (Stderr, b"4\n5\n"), (Stdout, b"6")],
                vec!["stdout:1", "stdout:2", "stdout:3", "stderr:4"],
                3,
            ),
            (
                vec![(Stdout, b"123456\n123456\n1234\n")],
                vec!["stdout:123456", "stdout:123456", "stdout:1234"],
                0,
            ),
            (
                vec![(Stdout, b"123456\n123456\n12345\nx\n")],
                vec!["stdout:123456", "stdout:123456", "stdout:1234"],
                3,
            ),
            (
                vec![(Stderr, b"5"), (Stdout, b"1\n2\n3\n4\n"), (Stderr, b"6\n")],
                vec!["stdout:1", "stdout:2", "stdout:3", "stdout:4"],
                3,
            ),
        ] {
            let lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
            assert_eq!(captured(LIMITS, &reads), (lines, left_out), "{reads:?}");
        }
    }

    #[test]
    fn a_flood_takes_no_memory() {
        let mut lines = 0;
        let mut captured = Captured::new(Limits::default(), |_: Source, _: &str| lines += 1);
        for _ in 0..4_000 {
            captured.take(Source::Stdout, &[b'x'; 16 * 1024]);
            captured.take(Source::Stderr, &[b'\n'; 16 * 1024]);
        }
        assert!(
            captured
                .begun
                .iter()
                .all(|begun| begun.bytes.capacity() <= 64 * 1024)
        );
        assert!(captured.finish().bytes > 60_000_000);
        assert!(lines <= Limits::default().lines);
    }
}
