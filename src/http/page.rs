//! `GET /`: the page, for those who ask for HTML; name, version and paths as JSON for everybody else.
//!
//! The page is one file, `page/page.html`, filled in here, so that it tells all without a script; its script then keeps it fresh from
//! `GET /overview`. Whatever is filled in is escaped on the way ([`Html`]), and the browser is told to run nothing but this one script and
//! style, by their hashes.

mod accept;
mod chart;
mod fill;
mod words;

use std::sync::LazyLock;

use super::app::{App, Moment};
use super::exchange::Request;
use super::overview::{Overview, overview};
use super::respond::Reply;
use crate::domain::base64;
use crate::domain::digest::sha256;
use crate::domain::packed;

/// The file, unpacked when somebody first asks for it.
static SOURCE: LazyLock<String> = LazyLock::new(|| {
    packed::text(include_bytes!(concat!(
        env!("OUT_DIR"),
        "/page.html.packed"
    )))
});

/// Room for what is filled in, bytes, so that the page is mostly written in one go.
const ROOM_BYTES: usize = 16 * 1024;

/// What the page is made of: text as it stands in the file, and the names of what is filled in between.
static PIECES: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| pieces(&SOURCE));

/// What the browser may do: run this script, apply this style, ask this server. No form is sent anywhere, no text ever becomes markup.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |element| {
        let digest = sha256(inline(element).as_bytes());
        format!("'sha256-{}'", base64::encode(&digest))
    };
    format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        hash("script"),
        hash("style"),
    )
});

/// Whether this request is answered with the page.
pub(super) fn is_wanted(request: &Request) -> bool {
    accept::prefers_html(request.header("accept").unwrap_or_default())
}

/// The page.
pub(super) fn answer(app: &App, at: Moment) -> Reply {
    let html = render(&overview(app, at));
    Reply {
        content_type: "text/html; charset=utf-8",
        ..Reply::text(200, &html)
    }
    .with_header("Vary", "Accept")
    .with_header("Content-Security-Policy", POLICY.as_str())
    .with_header("Cross-Origin-Opener-Policy", "same-origin")
    .with_header("Cross-Origin-Resource-Policy", "same-origin")
    .with_header(
        "Permissions-Policy",
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    )
}

fn render(seen: &Overview) -> String {
    let charts = fill::charts(seen);
    let mut html = Html(String::with_capacity(SOURCE.len() + ROOM_BYTES));
    for (text, name) in PIECES.iter() {
        html.markup(text);
        fill::fill(&mut html, seen, &charts, name);
    }
    html.0
}

/// The text of the one inline element of that name, as the browser hashes it.
fn inline(element: &str) -> &'static str {
    SOURCE
        .split_once(&format!("<{element}>"))
        .and_then(|(_, rest)| rest.split_once(&format!("</{element}>")))
        .map_or("", |(text, _)| text)
}

/// Text and the name behind it, in turn; the last name is empty.
fn pieces(source: &str) -> Vec<(&str, &str)> {
    let mut pieces = Vec::new();
    let mut rest = source;
    while let Some((text, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        pieces.push((text, name));
        rest = after;
    }
    pieces.push((rest, ""));
    pieces
}

/// HTML in the making. Text comes in through [`Html::text`] alone.
#[derive(Debug, Default)]
struct Html(String);

impl Html {
    /// Text, escaped so that it is text in an element and in a quoted attribute.
    fn text(&mut self, text: &str) -> &mut Self {
        for letter in text.chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                other => self.0.push(other),
            }
        }
        self
    }

    /// Markup of our own.
    fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }
}

#[cfg(test)]
mod tests;
