//! How the API server in memory answers: in what shape, and to whom a watch tells what.

use axum::body::Body;
use http::Response;
use serde_json::{Value, json};

use super::merge::{fields_match, labels_match};
use super::objects::Change;
use super::request::Request;
use super::validate::Refusal;

/// A change as a watch tells it, if it concerns the watch.
pub fn event(change: &Change, request: &Request) -> Option<Value> {
    let key = &change.key;
    if key.group != request.group || key.resource != request.resource {
        return None;
    }
    if !request.namespace.is_empty() && key.namespace != request.namespace {
        return None;
    }
    let before = change.before.as_ref().filter(|object| selected(object, request));
    let after = change.after.as_ref().filter(|object| selected(object, request));
    let (word, object) = match (before, after) {
        (None, Some(after)) => ("ADDED", after),
        (Some(_), Some(after)) => ("MODIFIED", after),
        (Some(before), None) => ("DELETED", before),
        (None, None) => return None,
    };
    let mut object = shown(object.clone(), request);
    object["metadata"]["resourceVersion"] = json!(change.version.to_string());
    Some(json!({"type": word, "object": object}))
}

pub fn selected(object: &Value, request: &Request) -> bool {
    labels_match(object, request.parameter("labelSelector"))
        && fields_match(object, request.parameter("fieldSelector"))
}

/// The object, or its metadata if no more was asked for.
pub fn shown(object: Value, request: &Request) -> Value {
    if request.metadata_only {
        json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]})
    } else {
        object
    }
}

/// The object with its type, which clients leave out of what they create.
pub fn typed(object: &Value, request: &Request) -> Value {
    let mut object = object.clone();
    if !request.group.is_empty() {
        object["apiVersion"] = json!(format!("{}/{}", request.group, request.version));
    }
    object
}

pub fn respond(answer: Result<Value, Refusal>) -> Response<Body> {
    let (code, body) = match answer {
        Ok(body) => (200, body),
        Err(refusal) => {
            let (code, reason) = refusal.code();
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
                "message": refusal.message(), "code": code,
            });
            (code, status)
        }
    };
    Response::builder()
        .status(code)
        .body(Body::from(body.to_string()))
        .unwrap()
}
