//! What ledgers found, a row a story: `make e2e` prints them as a table when the last story has ended.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use super::books::{Books, Produced};

/// Adds the row of the story that this thread tells.
pub fn record(books: &Books) {
    // libtest names the thread after the test.
    let thread = std::thread::current();
    let story = thread
        .name()
        .unwrap_or("main")
        .replace("::", ": ")
        .replace('_', " ");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("figures.md");
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(row(&story, books).as_bytes()).unwrap();
}

fn row(story: &str, books: &Books) -> String {
    let Produced {
        acknowledged,
        per_second,
        longest_gap_ms,
        refused,
        ..
    } = &books.produced;
    let duplicates: u64 = books.groups.values().map(|group| group.duplicates).sum();
    let refused: u64 = refused.values().sum();
    let lost = books.lost();
    format!(
        "| {story} | {acknowledged} | {per_second} | {lost} | {duplicates} | {refused} | {longest_gap_ms} ms |\n"
    )
}

#[test]
fn a_row_has_a_cell_for_each_figure() {
    let books = serde_json::json!({
        "groups": {
            "audit": { "distinct": 9, "duplicates": 1, "missing": 2, "missingSample": [] },
            "billing": { "distinct": 9, "duplicates": 3, "missing": 0, "missingSample": [] },
        },
        "produced": {
            "acknowledged": 11, "refused": { "timeout": 5, "busy": 2 }, "longestGapMs": 600, "perSecond": 240, "queues": {},
        },
    });
    let row = row("a story", &serde_json::from_value(books).unwrap());
    assert_eq!(row, "| a story | 11 | 240 | 2 | 4 | 7 | 600 ms |\n");
}
