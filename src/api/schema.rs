//! What is done to the generated schemas so that the definitions stay small, structural and compatible.

use schemars::Schema;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Map, Value, json};

/// Drops Kubernetes' own prose below an embedded field; the field's own doc comment stays. Without it the
/// definitions are too large for plain `kubectl apply`.
pub(super) fn brief(schema: &mut Schema) {
    struct Strip;
    impl Transform for Strip {
        fn transform(&mut self, schema: &mut Schema) {
            schema.remove("description");
            transform_subschemas(self, schema);
        }
    }
    transform_subschemas(&mut Strip, schema);
}

/// Bounds the name of each claim template: rules compare the names, and the API server wants to know beforehand
/// what that costs.
pub(super) fn short_claim_names(schema: &mut Schema) {
    if let Some(Value::Object(name)) = schema.pointer_mut("/items/properties/metadata/properties/name") {
        name.insert("maxLength".to_owned(), json!(253));
    }
}

/// Bounds the names in a list, which a rule compares.
pub(super) fn short_names(schema: &mut Schema) {
    if let Some(Value::Object(name)) = schema.get_mut("items") {
        name.insert("minLength".to_owned(), json!(1));
        name.insert("maxLength".to_owned(), json!(255));
    }
}

/// Turns a Rust enum of plain variants into a string with an `enum` list, without the variants' prose, which
/// Kubernetes cannot show.
pub(super) fn plain_enum(schema: &mut Schema) {
    let mut values = Vec::new();
    collect(schema.as_value(), &mut values);
    let description = schema.get("description").cloned();
    *schema = Schema::try_from(json!({"type": "string", "enum": values})).unwrap_or_default();
    if let Some(description) = description {
        schema.insert("description".to_owned(), description);
    }
}

/// Like [`plain_enum`], and the empty string is accepted too: the Go operator's schema had no enums, and `""`
/// meant the default.
pub(super) fn plain_enum_or_blank(schema: &mut Schema) {
    plain_enum(schema);
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::String(String::new()));
    }
}

fn collect(schema: &Value, into: &mut Vec<Value>) {
    if let Some(value) = schema.get("const") {
        into.push(value.clone());
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        into.extend(values.iter().cloned());
    }
    if let Some(Value::Array(variants)) = schema.get("oneOf") {
        for variant in variants {
            collect(variant, into);
        }
    }
}

/// Takes `null` out of every type below. The API server drops a `null` where the schema does not know it, so it
/// means "not given"; where the schema does, the `null` is kept, and an `enum` refuses it even if it lists it.
pub(super) fn no_nulls(schema: &mut Schema) {
    struct Strip;
    impl Transform for Strip {
        fn transform(&mut self, schema: &mut Schema) {
            if let Some(schema) = schema.as_object_mut() {
                not_null(schema);
            }
            transform_subschemas(self, schema);
        }
    }
    Strip.transform(schema);
}

fn not_null(schema: &mut Map<String, Value>) {
    schema.remove("nullable");
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(variants)) = schema.get_mut("anyOf") {
        variants.retain(|variant| variant["type"] != "null" && variant["enum"] != json!([null]));
        if let [Value::Object(only)] = variants.as_slice() {
            let only = only.clone();
            schema.remove("anyOf");
            for (keyword, value) in only {
                schema.entry(keyword).or_insert(value);
            }
        }
    }
}

/// Makes fields of an object required, although Rust reads their absence (see `lenient`): the API server is
/// the one who refuses.
fn require(schema: &mut Schema, fields: &[&str]) {
    for field in fields {
        if let Some(Value::Object(property)) = schema.pointer_mut(&format!("/properties/{field}")) {
            property.remove("default");
        }
    }
    schema.insert("required".to_owned(), json!(fields));
}

/// What a Broker's spec cannot do without, and no `null`.
pub(super) fn broker_spec(schema: &mut Schema) {
    no_nulls(schema);
    require(schema, &["size", "brokerImage", "storageMode"]);
}

/// What a `NameService`'s spec cannot do without, and no `null`.
pub(super) fn name_service_spec(schema: &mut Schema) {
    no_nulls(schema);
    require(schema, &["size", "nameServiceImage", "storageMode"]);
}

/// What a `TopicTransfer`'s spec cannot do without, and no `null`.
pub(super) fn topic_transfer_spec(schema: &mut Schema) {
    no_nulls(schema);
    require(schema, &["topic", "sourceCluster", "targetCluster"]);
}
