//! Whether a client wants HTML: browsers say so, programs do not.

/// Whether the `Accept` of a request names HTML, and does not like JSON better. `*/*` alone names nothing: that is what curl sends.
pub(super) fn prefers_html(accept: &str) -> bool {
    let mut html = 0;
    let mut json = 0;
    for range in accept.split(',') {
        let mut parts = range.split(';');
        let name = parts.next().unwrap_or_default().trim();
        let quality = parts
            .find_map(|parameter| {
                let (name, value) = parameter.split_once('=')?;
                name.trim()
                    .eq_ignore_ascii_case("q")
                    .then(|| thousandths(value.trim()))
            })
            .unwrap_or(1000);
        if name.eq_ignore_ascii_case("text/html")
            || name.eq_ignore_ascii_case("application/xhtml+xml")
        {
            html = html.max(quality);
        } else if name.eq_ignore_ascii_case("application/json") {
            json = json.max(quality);
        }
    }
    html > 0 && html >= json
}

/// A quality (RFC 9110, 12.4.2) in thousandths; what is none counts as 0.
fn thousandths(text: &str) -> u32 {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    match whole {
        "1" if digits && decimals.bytes().all(|byte| byte == b'0') => 1000,
        "0" if digits => format!("{decimals:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_html_and_programs_json() {
        for (accept, html) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
                true,
            ),
            ("text/html", true),
            ("TEXT/HTML; charset=utf-8", true),
            ("text/html;q=0.001", true),
            ("text/html;q=0.5, application/json;q=0.5", true),
            ("application/json, text/html;q=0.9", false),
            ("text/html;q=0.9, application/json;q=0.91", false),
            ("text/html;q=0", false),
            ("text/html;q=0.000", false),
            ("text/html;q=nonsense", false),
            ("text/html;q=2", false),
            ("text/html;q=1.0", true),
            ("text/htmlx", false),
            ("*/*", false),
            ("text/*", false),
            ("application/json", false),
            ("", false),
            (",;,=;q", false),
        ] {
            assert_eq!(prefers_html(accept), html, "{accept}");
        }
    }
}
