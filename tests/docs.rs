//! `docs/fields.md` is made from the custom resource definitions, and this keeps it so.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test: a failure is a panic"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

const HEAD: &str = "\
# Every field

Made from `crds/`; `UPDATE_DOCS=1 cargo test --test docs` writes it anew. `kubectl explain broker.spec` tells the same on a cluster.
**Bold**: the field must be given. A field that is marked as embedded has the shape it has in Kubernetes' own PodSpec or container.
";

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The definitions in `crds/`, in the order of their file names.
fn definitions() -> Vec<Value> {
    let mut files: Vec<_> = std::fs::read_dir(repository().join("crds"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let read = |file: &PathBuf| serde_yaml_ng::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    files.iter().map(read).collect()
}

fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Whether the operator defines this object itself: then its fields have words of their own.
fn is_ours(schema: &Value) -> bool {
    let fields = schema.get("properties").and_then(Value::as_object);
    fields.is_some_and(|fields| fields.values().any(|field| field.get("description").is_some()))
}

fn type_of(schema: &Value) -> String {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<_> = values
            .iter()
            .filter_map(Value::as_str)
            .filter(|value| !value.is_empty())
            .map(|value| format!("`{value}`"))
            .collect();
        return values.join(", ");
    }
    match text(schema, "type") {
        "array" => format!(
            "list of {}",
            schema.get("items").map_or_else(String::new, type_of)
        ),
        "object" if schema.get("additionalProperties").is_some() => "map".to_owned(),
        "object" if is_ours(schema) => "object".to_owned(),
        "object" | "" => "embedded".to_owned(),
        plain => plain.to_owned(),
    }
}

/// One line for each field of an object, and below it those of objects of our own.
fn rows(into: &mut String, schema: &Value, path: &str) {
    let required: Vec<_> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, field) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let full = format!("{path}{name}");
        let shown = if required.contains(&name.as_str()) {
            format!("**`{full}`**")
        } else {
            format!("`{full}`")
        };
        let meaning = text(field, "description")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace('|', "\\|");
        let default = field
            .get("default")
            .map_or_else(String::new, |default| format!(" In the definition: `{default}`."));
        writeln!(into, "| {shown} | {} | {meaning}{default} |", type_of(field)).unwrap();
        if is_ours(field) {
            rows(into, field, &format!("{full}."));
        }
    }
}

fn table(into: &mut String, kind: &Value, part: &str) {
    let schema = kind
        .pointer(&format!(
            "/spec/versions/0/schema/openAPIV3Schema/properties/{part}"
        ))
        .unwrap();
    writeln!(
        into,
        "\n### {}.{part}\n\n| Field | Type | Meaning |\n|---|---|---|",
        text(&kind["spec"]["names"], "kind")
    )
    .unwrap();
    rows(into, schema, "");
}

fn fields() -> String {
    let mut page = HEAD.to_owned();
    for kind in definitions() {
        let names = &kind["spec"]["names"];
        write!(page, "\n## {}\n\n", text(names, "kind")).unwrap();
        let short: Vec<_> = names["shortNames"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        writeln!(
            page,
            "`{}` `{}`; for kubectl also `{}`.",
            text(&kind["spec"], "group"),
            text(&kind["spec"]["versions"][0], "name"),
            short.join("`, `")
        )
        .unwrap();
        table(&mut page, &kind, "spec");
        table(&mut page, &kind, "status");
    }
    page
}

fn read(file: impl AsRef<Path>) -> String {
    std::fs::read_to_string(repository().join(file)).unwrap()
}

#[test]
fn the_page_of_fields_says_what_the_definitions_say() {
    let page = fields();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(repository().join("docs/fields.md"), &page).unwrap();
    }
    assert!(
        page == read("docs/fields.md"),
        "docs/fields.md is out of date: UPDATE_DOCS=1 cargo test --test docs writes it anew"
    );
}

#[test]
fn every_field_has_a_meaning() {
    for line in fields()
        .lines()
        .filter(|line| line.starts_with("| `") || line.starts_with("| **`"))
    {
        assert!(!line.ends_with("|  |"), "no words: {line}");
    }
}

#[test]
fn the_diagram_of_a_transfer_shows_every_change_of_phase_and_no_other() {
    use rocketmq_operator::api::TransferPhase;
    use rocketmq_operator::topic_transfer::machine::TRANSITIONS;
    let page = read("docs/transfer.md");
    let diagram = page
        .split("```mermaid")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let arrows = diagram.lines().filter_map(|line| line.trim().split_once(" --> "));
    let mut drawn: Vec<_> = arrows
        .map(|(from, to)| (from.to_owned(), to.split(':').next().unwrap().to_owned()))
        .collect();
    let arrow = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let mut expected: Vec<_> = TRANSITIONS
        .iter()
        .map(|(from, to)| arrow(from.as_str(), to.as_str()))
        .collect();
    expected.push(arrow("[*]", "Pending"));
    let ends = TransferPhase::ALL.into_iter().filter(|phase| phase.is_final());
    expected.extend(ends.map(|phase| arrow(phase.as_str(), "[*]")));
    drawn.sort();
    expected.sort();
    assert_eq!(drawn, expected);
}
