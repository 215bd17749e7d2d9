//! How the claim templates that are wanted differ from those that a StatefulSet was made with: they can never be changed in
//! it, and a volume can only grow.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;

use crate::k8s::labels::CLAIMS;

/// The resource that a volume's size is asked for under.
const STORAGE: &str = "storage";

/// How wanted claim templates differ from those of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claims {
    /// Not at all, as far as volumes are concerned.
    Same,
    /// Volumes are to be larger, nothing else.
    Grown,
    /// A volume is to be smaller, which none can become.
    Shrunk,
    /// In something else: names, classes, access modes, how many.
    Other,
}

/// One kind of claim that is to grow.
#[derive(Clone, Debug, PartialEq)]
pub struct Growth {
    /// The claim template's name.
    pub claim: String,
    /// The size it is to have.
    pub size: Quantity,
}

/// Compares the claim templates of `desired` with those that `live` was made with.
#[must_use]
pub fn compare(desired: &StatefulSet, live: &StatefulSet) -> Claims {
    let noted = |set: &StatefulSet| set.annotations().get(CLAIMS).cloned();
    if let (Some(desired), Some(live)) = (noted(desired), noted(live))
        && desired == live
    {
        return Claims::Same;
    }
    let (wanted, have) = (templates(desired), templates(live));
    if wanted.len() != have.len() || wanted.iter().zip(have).any(|(a, b)| bare(a) != bare(b)) {
        return Claims::Other;
    }
    let mut all = Claims::Same;
    for (wanted, have) in wanted.iter().zip(have) {
        match (size(wanted).map(amount), size(have).map(amount)) {
            (Some(Some(wanted)), Some(Some(have))) if wanted < have => return Claims::Shrunk,
            (Some(Some(wanted)), Some(Some(have))) if wanted > have => all = Claims::Grown,
            (None, None) | (Some(Some(_)), Some(Some(_))) => {}
            _ => return Claims::Other,
        }
    }
    all
}

/// What is to grow so that the claims of `live` are as `desired` says.
#[must_use]
pub fn growths(desired: &StatefulSet, live: &StatefulSet) -> Vec<Growth> {
    let pairs = templates(desired).iter().zip(templates(live));
    let grows = pairs.filter(|(wanted, have)| size(wanted).and_then(amount) > size(have).and_then(amount));
    grows
        .filter_map(|(wanted, _)| {
            Some(Growth {
                claim: wanted.name_any(),
                size: size(wanted)?.clone(),
            })
        })
        .collect()
}

/// The claim templates of `desired` with the sizes of `live`.
#[must_use]
pub fn with_sizes_of(desired: &StatefulSet, live: &StatefulSet) -> Option<Vec<PersistentVolumeClaim>> {
    let mut wanted = desired.spec.as_ref()?.volume_claim_templates.clone()?;
    for (claim, have) in wanted.iter_mut().zip(templates(live)) {
        let requests = claim.spec.as_mut()?.resources.as_mut()?.requests.as_mut()?;
        requests.insert(STORAGE.to_owned(), size(have)?.clone());
    }
    Some(wanted)
}

/// Writes the sizes of `desired` as `live` has them, where they are the same in other words: a template cannot be changed.
pub fn keep_words(desired: &mut StatefulSet, live: &StatefulSet) {
    if compare(desired, live) != Claims::Same {
        return;
    }
    let kept = with_sizes_of(desired, live);
    if let (Some(spec), Some(kept)) = (&mut desired.spec, kept) {
        spec.volume_claim_templates = Some(kept);
    }
}

/// Whether a claim asks for at least that much already.
#[must_use]
pub fn has(claim: &PersistentVolumeClaim, wanted: &Quantity) -> bool {
    match (size(claim).and_then(amount), amount(wanted)) {
        (Some(now), Some(wanted)) => now >= wanted,
        _ => false,
    }
}

fn templates(set: &StatefulSet) -> &[PersistentVolumeClaim] {
    let spec = set.spec.as_ref();
    spec.and_then(|spec| spec.volume_claim_templates.as_deref())
        .unwrap_or_default()
}

fn size(claim: &PersistentVolumeClaim) -> Option<&Quantity> {
    let resources = claim.spec.as_ref()?.resources.as_ref()?;
    resources.requests.as_ref()?.get(STORAGE)
}

/// A template without its size and without what the API server adds.
fn bare(claim: &PersistentVolumeClaim) -> PersistentVolumeClaim {
    let mut bare = PersistentVolumeClaim::default();
    bare.metadata.name.clone_from(&claim.metadata.name);
    bare.metadata.labels.clone_from(&claim.metadata.labels);
    bare.metadata.annotations.clone_from(&claim.metadata.annotations);
    let mut spec = claim.spec.clone().unwrap_or_default();
    spec.volume_mode.get_or_insert_with(|| "Filesystem".to_owned());
    if let Some(requests) = spec.resources.as_mut().and_then(|asked| asked.requests.as_mut()) {
        requests.remove(STORAGE);
    }
    bare.spec = Some(spec);
    bare
}

/// A quantity in thousandths, so that `1.5Gi`, `1536Mi` and `1610612736` are the same; `None` if it cannot be read.
fn amount(quantity: &Quantity) -> Option<i128> {
    const SUFFIXES: [(&str, i128); 14] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("Ei", 1 << 60),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("E", 1_000_000_000_000_000_000),
        ("", 1),
        ("m", 0),
    ];
    let text = quantity.0.trim();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let suffix = text.strip_prefix(digits)?;
    let (number, exponent) = match digits.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<u32>().ok()?),
        None => (digits, 0),
    };
    let unit = SUFFIXES.iter().find(|(name, _)| *name == suffix)?.1;
    // Thousandths of the unit; `m` is a thousandth itself.
    let unit = if suffix == "m" { 1 } else { unit.checked_mul(1000)? };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let places = u32::try_from(fraction.len()).ok()?;
    let scaled: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scaled = scaled.checked_mul(10i128.checked_pow(exponent)?)?;
    Some(scaled.checked_mul(unit)? / 10i128.checked_pow(places)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(claims: &serde_json::Value) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": {"name": "b"}, "spec": {"selector": {}, "template": {}, "volumeClaimTemplates": claims}}))
        .unwrap()
    }

    fn one(class: &str, size: &str) -> StatefulSet {
        set(&json!([{"metadata": {"name": "data"},
            "spec": {"storageClassName": class, "resources": {"requests": {"storage": size}}}}]))
    }

    #[test]
    fn quantities_are_compared_by_what_they_mean() {
        let of = |text: &str| amount(&Quantity(text.to_owned()));
        assert_eq!(of("1.5Gi"), of("1536Mi"));
        assert_eq!(of("1Gi"), of("1073741824"));
        assert_eq!(of("1e3"), of("1k"));
        assert_eq!(of("2000m"), of("2"));
        assert!(of("10G") < of("10Gi"));
        for odd in [
            "",
            "Gi",
            "1Xi",
            "1.2.3Gi",
            "99999999999999999999999999999999999999Ei",
        ] {
            assert_eq!(of(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_larger_size_is_growth_a_smaller_one_is_not_and_anything_else_is_another_claim() {
        let live = one("a", "8Gi");
        for (wanted, is) in [
            (one("a", "8192Mi"), Claims::Same),
            (one("a", "9Gi"), Claims::Grown),
            (one("a", "7Gi"), Claims::Shrunk),
            (one("b", "9Gi"), Claims::Other),
            (one("a", "lots"), Claims::Other),
            (set(&json!([])), Claims::Other),
        ] {
            assert_eq!(compare(&wanted, &live), is, "{wanted:?}");
        }
    }

    #[test]
    fn what_the_api_server_adds_to_a_template_is_no_difference() {
        let stored = set(
            &json!([{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
            "spec": {"storageClassName": "a", "volumeMode": "Filesystem", "resources": {"requests": {"storage": "8Gi"}}},
            "status": {"phase": "Pending"}}]),
        );
        assert_eq!(compare(&one("a", "8Gi"), &stored), Claims::Same);
    }

    #[test]
    fn what_grows_is_named_with_its_new_size_and_the_rest_of_the_templates_stays() {
        let (wanted, live) = (one("a", "9Gi"), one("a", "8Gi"));
        let growth = Growth {
            claim: "data".to_owned(),
            size: Quantity("9Gi".to_owned()),
        };
        assert_eq!(growths(&wanted, &live), [growth]);
        assert_eq!(
            with_sizes_of(&wanted, &live),
            live.spec.unwrap().volume_claim_templates
        );
    }
}
