//! Headers that every response has.

use std::sync::Arc;

use http::header::{self, HeaderName, HeaderValue};

use crate::file::{Map, Mistake};

/// A name, the header, and the values that it may have; none for any value.
type Row = (&'static str, HeaderName, &'static [&'static str]);

/// The headers that exporter-toolkit lets users set.
const HEADERS: &[Row] = &[
    ("Content-Security-Policy", header::CONTENT_SECURITY_POLICY, &[]),
    ("Strict-Transport-Security", header::STRICT_TRANSPORT_SECURITY, &[]),
    ("X-Content-Type-Options", header::X_CONTENT_TYPE_OPTIONS, &["nosniff"]),
    ("X-Frame-Options", header::X_FRAME_OPTIONS, &["deny", "sameorigin"]),
    ("X-XSS-Protection", header::X_XSS_PROTECTION, &[]),
];

/// The headers of the file; one with a blank value is left out.
pub(crate) fn read(map: &Map) -> Result<Arc<[(HeaderName, HeaderValue)]>, Mistake> {
    let mut headers = Vec::new();
    for (key, text) in map {
        let Some((_, name, values)) = HEADERS.iter().find(|(name, ..)| name == key) else {
            let names: Vec<&str> = HEADERS.iter().map(|(name, ..)| *name).collect();
            let what = format!("this header cannot be set; write one of {}", names.join(", "));
            return Err(Mistake::new(text, key, what));
        };
        let value = text.value.as_deref().unwrap_or_default();
        if !values.is_empty() && !values.contains(&value) {
            let what = format!("`{value}` is not supported; write {}", values.join(" or "));
            return Err(Mistake::new(text, key, what));
        }
        let value = value.trim();
        if value.is_empty() {
            continue;
        }
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
            Mistake::new(text, key, "a line break or control character; write it on one line")
        })?;
        headers.push((name.clone(), value));
    }
    Ok(headers.into())
}
