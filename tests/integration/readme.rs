//! The README's table of settings is the one the parser reads.

use std::fs;
use std::path::Path;

use weir::config::document::compare_with_readme;

#[test]
fn the_settings_in_the_readme_are_those_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).expect("README.md stands at the top of the repository");
    if let Err(difference) = compare_with_readme(&readme) {
        panic!("{difference}");
    }
}
