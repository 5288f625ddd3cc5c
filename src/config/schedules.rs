//! Reads `SCHEDULES_FILE`. What may stand in it is [`crate::domain::schedule::document`]'s affair.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::problems::Fault;
use super::reader::{Reader, Refused};
use super::redis_link::check_file;
use super::table;
use crate::domain::schedule::Schedule;
use crate::domain::schedule::document::parse;

/// The largest file, bytes: a thousand schedules with a kilobyte each.
const FILE_BYTES_MAX: u64 = 1_048_576;

/// Problems of one file that are reported; what comes beyond is often a consequence of them.
const PROBLEMS_SHOWN: usize = 20;

/// Every schedule of the file, the disabled ones too; none without a file. `event_max_bytes` is `None` when that setting is refused.
pub(super) fn schedules(
    reader: &mut Reader,
    event_max_bytes: Option<usize>,
) -> Result<Vec<Schedule>, Refused> {
    let Some(path) = reader.optional(&table::SCHEDULES_FILE)? else {
        return Ok(Vec::new());
    };
    let text = read(&path).map_err(|why| {
        let fault = Fault::File(format!("it {why}"));
        reader.refuse(&table::SCHEDULES_FILE, fault)
    })?;
    // Without a bound that is good the payloads cannot be judged, and the start is refused anyway.
    let problems = match parse(&text, event_max_bytes.unwrap_or(usize::MAX)) {
        Ok(schedules) => return Ok(schedules),
        Err(problems) => problems,
    };
    for problem in problems.iter().take(PROBLEMS_SHOWN) {
        let why = problem.to_string();
        reader.contradiction(&table::SCHEDULES_FILE, why);
    }
    if let Some(more) = problems
        .len()
        .checked_sub(PROBLEMS_SHOWN)
        .filter(|more| *more > 0)
    {
        let why = format!("there are {more} problems more");
        reader.contradiction(&table::SCHEDULES_FILE, why);
    }
    Err(Refused)
}

fn read(path: &Path) -> Result<String, String> {
    check_file(path)?;
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut bytes = Vec::new();
    // One byte more shows that there is more.
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("is larger than {FILE_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::config::test_support::load_with;

    /// What loading says of a file with this content.
    fn said_of(content: &[u8]) -> Result<usize, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schedules.json");
        fs::write(&path, content).unwrap();
        load_with(&[("SCHEDULES_FILE", path.to_str().unwrap())])
            .map(|loaded| loaded.settings.schedules.len())
            .map_err(|errors| errors.to_string().replace(path.to_str().unwrap(), "FILE"))
    }

    #[test]
    fn a_good_file_becomes_schedules_and_no_file_none() {
        assert!(load_with(&[]).unwrap().settings.schedules.is_empty());
        let good = br#"[{"name":"a","every":"10s","event":"tick","aggregateId":"1"}]"#;
        assert_eq!(said_of(good), Ok(1));
        assert_eq!(said_of(b"[]"), Ok(0));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_a_problem_of_the_variable() {
        let missing = load_with(&[("SCHEDULES_FILE", "/nowhere/schedules.json")]).unwrap_err();
        let text = missing.to_string();
        assert!(
            text.contains("SCHEDULES_FILE is \"/nowhere/schedules.json\": it cannot be read"),
            "{text}"
        );
        let folder = load_with(&[("SCHEDULES_FILE", "/")]).unwrap_err();
        assert!(folder.to_string().contains("it is not a file"));
        for (content, says) in [
            (&b"\xff"[..], "it is not UTF-8"),
            (b"[", "it is not JSON"),
            (b"{}", "it is not an array of schedules (line 1, column 0)"),
        ] {
            let text = said_of(content).unwrap_err();
            assert!(text.contains(says), "{text}");
        }
        let padded = |length: usize| [b"[]".to_vec(), vec![b' '; length - 2]].concat();
        assert_eq!(said_of(&padded(1_048_576)), Ok(0));
        let text = said_of(&padded(1_048_577)).unwrap_err();
        assert!(text.contains("it is larger than 1048576 bytes"), "{text}");
    }

    #[test]
    fn every_problem_of_the_file_is_reported_up_to_a_bound() {
        let two = br#"[{"name":"a","event":"tick","aggregateId":"1"},{"name":"b","every":"1s","event":"","aggregateId":"1"}]"#;
        let text = said_of(two).unwrap_err();
        assert!(text.starts_with("2 problems"), "{text}");
        assert!(
            text.contains("SCHEDULES_FILE is \"FILE\": schedule \"a\": cron or every is required"),
            "{text}"
        );
        assert!(text.contains("schedule \"b\": event"), "{text}");
        let many = format!("[{}]", vec!["1"; 30].join(","));
        let text = said_of(many.as_bytes()).unwrap_err();
        assert!(text.starts_with("21 problems"), "{text}");
        assert!(text.contains("there are 10 problems more"), "{text}");
    }
}
