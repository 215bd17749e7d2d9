//! Signing requests for brokers that ask for it: ACL 1.0 (RocketMQ 4.4.0 to 5.3.2) and 2.0 (5.3.0 and later) alike.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;

/// As whom requests to brokers are made. Its secrets are neither printed nor sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key: String,
    secret_key: String,
    security_token: Option<String>,
}

impl Credentials {
    /// An account's name and its secret.
    #[must_use]
    pub fn new(access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        Self {
            access_key: access_key.into(),
            secret_key: secret_key.into(),
            security_token: None,
        }
    }

    /// With a `SecurityToken`.
    #[must_use]
    pub fn with_security_token(mut self, token: impl Into<String>) -> Self {
        self.security_token = Some(token.into());
        self
    }

    /// The account's name.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// Adds `AccessKey`, `SecurityToken` and `Signature`: Base64 of HMAC-SHA1 of all values in the order of their keys,
    /// and the body. Source: RocketMQ 4.5.0 `AclClientRPCHook`, `AclUtils.combineRequestContent`, `AclSigner`.
    pub(super) fn sign(&self, fields: &mut BTreeMap<String, String>, body: &[u8]) {
        fields.remove("Signature");
        fields.insert("AccessKey".to_owned(), self.access_key.clone());
        if let Some(token) = &self.security_token {
            fields.insert("SecurityToken".to_owned(), token.clone());
        }
        // HMAC takes keys of any length.
        if let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(self.secret_key.as_bytes()) {
            for value in fields.values() {
                mac.update(value.as_bytes());
            }
            mac.update(body);
            let signature = STANDARD.encode(mac.finalize().into_bytes());
            fields.insert("Signature".to_owned(), signature);
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(credentials: &Credentials, fields: &[(&str, &str)], body: &[u8]) -> String {
        let fields = fields.iter();
        let mut fields = fields
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        credentials.sign(&mut fields, body);
        assert_eq!(fields["AccessKey"], "rocketmq2");
        fields["Signature"].clone()
    }

    /// Made with RocketMQ's own signer.
    #[test]
    fn signatures_are_those_of_rocketmq() {
        let account = Credentials::new("rocketmq2", "12345678");
        let fields = [("topic", "T1"), ("brokerName", "broker-a")];
        assert_eq!(signature(&account, &fields, b""), "y7txg0SbAfVNyggzDYf55m6Rv8A=");
        assert_eq!(
            signature(&account, &[], b"brokerPermission=4\n"),
            "RuOVGGssBEQeQgQaXQLyQ/8xjC4="
        );
        let with_token = account.with_security_token("tok");
        assert_eq!(signature(&with_token, &[], b""), "qJ/70mvIiy02Ii0VsCegsMJMg+U=");
    }

    #[test]
    fn what_is_signed_again_has_the_same_signature() {
        let account = Credentials::new("rocketmq2", "12345678");
        let mut fields = BTreeMap::new();
        account.sign(&mut fields, b"");
        let once = fields.clone();
        account.sign(&mut fields, b"");
        assert_eq!(fields, once);
    }

    #[test]
    fn no_secret_is_printed() {
        let account = Credentials::new("operator", "hush-hush").with_security_token("tick-tock");
        let printed = format!("{account:?} {account:#?}");
        assert!(printed.contains("operator"));
        assert!(
            !printed.contains("hush-hush") && !printed.contains("tick-tock"),
            "{printed}"
        );
    }
}
