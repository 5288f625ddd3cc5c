//! `GET /metrics`: a sound page with every series from the start, counts that are what happened, and a lag that is right whatever Redis says.

mod counts;
mod lag;
mod page;

use std::time::Duration;

use crate::support::exposition::{Exposition, scrape};
use crate::support::wait_until;

const SOON: Duration = Duration::from_secs(20);

/// Waits until the page is so, and answers it.
#[track_caller]
fn wait_page(port: u16, what: &str, holds: impl Fn(&Exposition) -> bool) -> Exposition {
    let mut page = scrape(port);
    wait_until(what, SOON, || {
        page = scrape(port);
        holds(&page)
    });
    page
}

/// Values are whole numbers here, and exact.
fn is(value: f64, expected: u32) -> bool {
    (value - f64::from(expected)).abs() < 1e-9
}
