//! The older text format, 0.0.4, for scrapers that ask for it: the same lines, with what it does not know written as it does.

/// Makes it of a page in the `OpenMetrics` format.
///
/// The differences: a counter's family has the name of its samples, with `_total`; there is no type `info`, no unit and no end mark.
pub(super) fn plain(page: &str) -> String {
    let mut out = String::with_capacity(page.len());
    let mut help = None;
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                kind => ("", kind),
            };
            if let Some((_, text)) = help.take() {
                push(&mut out, &["# HELP ", name, suffix, " ", text]);
            }
            push(&mut out, &["# TYPE ", name, suffix, " ", kind]);
        } else if !line.starts_with("# ") {
            push(&mut out, &[line]);
        }
    }
    out
}

fn push(out: &mut String, parts: &[&str]) {
    for part in parts {
        out.push_str(part);
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_older_format_does_not_know_is_written_as_it_does() {
        let page = "# HELP a Some text.\n# TYPE a counter\na_total 1\n\
                    # HELP b_seconds Time.\n# TYPE b_seconds gauge\n# UNIT b_seconds seconds\nb_seconds{x=\"# TYPE\"} 0.5\n\
                    # HELP c What runs.\n# TYPE c info\nc_info{version=\"1\"} 1\n# EOF\n";
        let expected = "# HELP a_total Some text.\n# TYPE a_total counter\na_total 1\n\
                        # HELP b_seconds Time.\n# TYPE b_seconds gauge\nb_seconds{x=\"# TYPE\"} 0.5\n\
                        # HELP c_info What runs.\n# TYPE c_info gauge\nc_info{version=\"1\"} 1\n";
        assert_eq!(plain(page), expected);
    }
}
