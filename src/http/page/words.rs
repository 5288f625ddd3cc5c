//! Figures as people read them. The page's script has a twin of each function.

/// A number with its thousands apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number that has little room: from ten million on in millions or thousand millions, cut after one decimal.
pub(super) fn short(number: u64) -> String {
    if number < 10_000_000 {
        return count(number);
    }
    let (unit, name) = if number < 10_000_000_000 {
        (1_000_000, "M")
    } else {
        (1_000_000_000, "B")
    };
    format!(
        "{}.{} {name}",
        count(number / unit),
        number / (unit / 10) % 10
    )
}

/// A rate: with one decimal below ten, whole from there on.
pub(super) fn rate(number: f64) -> String {
    if number < 10.0 {
        format!("{number:.1}")
    } else {
        count(rounded(number))
    }
}

/// Milliseconds: with two decimals below ten, whole from there on.
pub(super) fn latency(ms: f64) -> String {
    if ms < 10.0 {
        format!("{ms:.2} ms")
    } else {
        format!("{} ms", count(rounded(ms)))
    }
}

/// A length of time in its two largest units.
pub(super) fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match (seconds, minutes, hours) {
        (..60, ..) => format!("{seconds} s"),
        (_, ..60, _) => format!("{minutes} min"),
        (_, _, ..48) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}

/// The time of day of a timestamp as answers carry it; with its date instead of seconds when it is not of this day.
pub(super) fn clock(timestamp: &str, with_date: bool) -> String {
    let part = |from, to| timestamp.get(from..to).unwrap_or_default();
    if with_date {
        format!("{} {}", part(0, 10), part(11, 16))
    } else {
        part(11, 19).to_owned()
    }
}

/// The nearest whole number of one that is not negative.
pub(super) fn rounded(number: f64) -> u64 {
    // As text, because no conversion of the language says what becomes of the rest.
    format!("{:.0}", number.max(0.0).round())
        .parse()
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well_on_both_sides_of_each_limit() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (999_999, "999,999"),
            (1_000_000, "1,000,000"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(count(number), text);
        }
        for (number, text) in [
            (9_999_999, "9,999,999"),
            (10_000_000, "10.0 M"),
            (9_999_999_999, "9,999.9 M"),
            (10_000_000_000, "10.0 B"),
        ] {
            assert_eq!(short(number), text);
        }
        for (number, text) in [(0.0, "0.0"), (9.9, "9.9"), (10.0, "10"), (1234.5, "1,235")] {
            assert_eq!(rate(number), text);
        }
        for (ms, text) in [
            (0.0, "0.00 ms"),
            (9.99, "9.99 ms"),
            (10.0, "10 ms"),
            (2500.0, "2,500 ms"),
        ] {
            assert_eq!(latency(ms), text);
        }
        for (ms, text) in [
            (0, "0 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (3_599_999, "59 min"),
            (3_600_000, "1 h 0 min"),
            (172_799_999, "47 h 59 min"),
            (172_800_000, "2 d 0 h"),
        ] {
            assert_eq!(span(ms), text);
        }
    }

    #[test]
    fn a_time_of_another_day_has_its_date() {
        let stamp = "2025-06-28T19:40:13.653-04:00";
        assert_eq!(clock(stamp, false), "19:40:13");
        assert_eq!(clock(stamp, true), "2025-06-28 19:40");
        assert_eq!(clock("", true), " ");
    }
}
