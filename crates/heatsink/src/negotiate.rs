//! Which format and which encoding of the metrics page a client prefers, from the headers of its request.

use exposition::Format;
use hyper::header::{self, HeaderMap};

/// A format, and the `Content-Type` that it is sent with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Offer {
    pub(crate) format: Format,
    pub(crate) content_type: &'static str,
}

/// The text format with its version, which Prometheus 3 requires. A client that accepts nothing else of
/// what there is gets it too.
const TEXT: Offer =
    Offer { format: Format::Text, content_type: "text/plain; version=0.0.4; charset=utf-8" };

const OPENMETRICS: Offer = Offer {
    format: Format::OpenMetrics,
    content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/// The draft that OpenMetrics 1.0 was made from. The pages are the same.
const OPENMETRICS_DRAFT: Offer = Offer {
    format: Format::OpenMetrics,
    content_type: "application/openmetrics-text; version=0.0.1; charset=utf-8",
};

const PROTOBUF: Offer = Offer {
    format: Format::Protobuf,
    content_type: "application/vnd.google.protobuf; \
                   proto=io.prometheus.client.MetricFamily; encoding=delimited",
};

/// The offer that the header `Accept` prefers: the one with the highest weight, of equals the first. What
/// is malformed or not known is skipped.
pub(crate) fn offer(headers: &HeaderMap) -> Offer {
    let mut best = (0.0, TEXT);
    for item in items(headers, header::ACCEPT) {
        if let Some(offer) = offer_for(&item)
            && item.weight > best.0
        {
            best = (item.weight, offer);
        }
    }
    best.1
}

fn offer_for(item: &Item<'_>) -> Option<Offer> {
    let is =
        |name, value: &str| item.parameter(name).is_some_and(|of| of.eq_ignore_ascii_case(value));
    let name = item.name.to_ascii_lowercase();
    match &*name {
        // All versions: who asks for 1.0.0, which only adds names that do not occur here, reads 0.0.4.
        "text/plain" | "text/*" | "*/*" => Some(TEXT),
        "application/openmetrics-text" => match item.parameter("version") {
            None | Some("1.0.0") => Some(OPENMETRICS),
            Some("0.0.1") => Some(OPENMETRICS_DRAFT),
            Some(_) => None,
        },
        "application/vnd.google.protobuf" => (is("proto", "io.prometheus.client.MetricFamily")
            && is("encoding", "delimited"))
        .then_some(PROTOBUF),
        _ => None,
    }
}

/// Whether the client accepts gzip: named, or by `*`, and not with a weight of 0.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut by_wildcard = false;
    for item in items(headers, header::ACCEPT_ENCODING) {
        if item.name.eq_ignore_ascii_case("gzip") {
            return item.weight > 0.0;
        }
        if item.name == "*" {
            by_wildcard = item.weight > 0.0;
        }
    }
    by_wildcard
}

/// One item of a header such as `Accept`: `text/plain;version=0.0.4;q=0.5`.
struct Item<'a> {
    name: &'a str,
    /// Between the semicolons.
    parameters: &'a str,
    /// From 0 to 1.
    weight: f32,
}

impl<'a> Item<'a> {
    /// `None` if its weight is malformed.
    fn parse(item: &'a str) -> Option<Self> {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let mut item = Self { name: name.trim(), parameters, weight: 1.0 };
        if let Some(weight) = item.parameter("q") {
            item.weight = weight.parse().ok().filter(|weight| (0.0..=1.0).contains(weight))?;
        }
        Some(item)
    }

    /// The value of a parameter, without quotes.
    fn parameter(&self, name: &str) -> Option<&'a str> {
        let mut parameters = self.parameters.split(';').filter_map(|one| one.split_once('='));
        let (_, value) = parameters.find(|(of, _)| of.trim().eq_ignore_ascii_case(name))?;
        Some(value.trim().trim_matches('"'))
    }
}

/// The items of all headers of this name.
fn items(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = Item<'_>> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(Item::parse)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(name: header::HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    fn accepted(value: &'static str) -> Offer {
        offer(&headers(header::ACCEPT, &[value]))
    }

    #[test]
    fn prometheus_gets_the_format_that_it_asks_for_first() {
        for (version, accept, expected) in [
            (
                "2.42",
                "application/openmetrics-text;version=1.0.0,\
                 application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OPENMETRICS,
            ),
            (
                "2.42 with native histograms",
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,\
                 application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                PROTOBUF,
            ),
            (
                "2.53",
                "application/openmetrics-text;version=1.0.0;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OPENMETRICS,
            ),
            (
                "2.53 with created timestamps",
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4,\
                 application/openmetrics-text;version=0.0.1;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                PROTOBUF,
            ),
            (
                "3",
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OPENMETRICS,
            ),
            (
                "3 with created timestamps",
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                PROTOBUF,
            ),
            (
                "3 that prefers text",
                "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 text/plain;version=0.0.4;q=0.5,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.4,*/*;q=0.1",
                TEXT,
            ),
        ] {
            assert_eq!(accepted(accept), expected, "{version}");
        }
    }

    #[test]
    fn text_is_for_all_who_ask_for_nothing_else() {
        assert_eq!(offer(&HeaderMap::new()), TEXT);
        for accept in [
            "",
            "*/*",
            "text/*;q=0.1",
            "text/plain",
            "text/plain;version=1.0.0;escaping=allow-utf-8",
            "TEXT/PLAIN; Version=0.0.4",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/json",
            "application/*",
            "text/plain;q=0",
        ] {
            assert_eq!(accepted(accept), TEXT, "{accept}");
        }
    }

    #[test]
    fn weights_decide_before_the_order() {
        let cases = [
            ("text/plain;q=0.5,application/openmetrics-text", OPENMETRICS),
            ("text/plain,application/openmetrics-text", TEXT),
            (
                "*/*;q=0.9, Application/OpenMetrics-Text; q=1.0; Version=\"0.0.1\"",
                OPENMETRICS_DRAFT,
            ),
            ("application/openmetrics-text;q=0.3,*/*;q=0.2", OPENMETRICS),
            ("application/openmetrics-text;q=0,*/*;q=0.2", TEXT),
            ("application/openmetrics-text; q = 0.001", OPENMETRICS),
        ];
        for (accept, expected) in cases {
            assert_eq!(accepted(accept), expected, "{accept}");
        }
        let several = ["text/plain;q=0.5", "application/openmetrics-text;version=1.0.0;q=0.6"];
        assert_eq!(offer(&headers(header::ACCEPT, &several)), OPENMETRICS);
    }

    #[test]
    fn what_is_malformed_or_not_known_is_skipped() {
        for accept in [
            "application/openmetrics-text;q=x",
            "application/openmetrics-text;q=2",
            "application/openmetrics-text;q=-1",
            "application/openmetrics-text;q=nan",
            "application/openmetrics-text;q=",
            "application/openmetrics-text;version=2.0.0",
            "application/vnd.google.protobuf",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
            "application/vnd.google.protobuf;proto=other;encoding=delimited",
            ",,;;,=;q,/",
        ] {
            assert_eq!(accepted(accept), TEXT, "{accept}");
        }
        let mut headers = headers(header::ACCEPT, &["application/openmetrics-text"]);
        headers.insert(header::ACCEPT, HeaderValue::from_bytes(b"\xff").expect("a value"));
        assert_eq!(offer(&headers), TEXT);
    }

    #[test]
    fn gzip_is_sent_to_clients_that_accept_it() {
        let accepts = |value| accepts_gzip(&headers(header::ACCEPT_ENCODING, &[value]));
        assert!(accepts("gzip"));
        assert!(accepts("deflate, GZIP;q=0.5"));
        assert!(accepts("*"));
        assert!(!accepts("gzip;q=0, *"));
        assert!(!accepts("identity"));
        assert!(!accepts(""));
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
