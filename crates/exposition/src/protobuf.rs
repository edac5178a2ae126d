//! Prometheus' protobuf format: messages of the package `io.prometheus.client`, each after its length.
//!
//! A family is first written as text, and its lines are read back here: so the values and labels of
//! both formats are the same, and the text format costs nothing for the other one.

use std::time::{SystemTime, UNIX_EPOCH};

use model::{Kind, Watch};
use prost::Message;

/// A family. Only the fields that are used; the numbers are those of the package.
#[derive(Message)]
struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    help: Option<String>,
    #[prost(enumeration = "MetricType", optional, tag = "3")]
    r#type: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, prost::Enumeration)]
#[repr(i32)]
enum MetricType {
    Counter = 0,
    Gauge = 1,
    Untyped = 3,
}

/// A sample: one of the three values is set.
#[derive(Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Counter>,
    #[prost(message, optional, tag = "5")]
    untyped: Option<Number>,
}

#[derive(Message)]
struct LabelPair {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

/// The value of a gauge, or one without a type.
#[derive(Clone, Copy, Message)]
struct Number {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

#[derive(Clone, Copy, Message)]
struct Counter {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    created_timestamp: Option<Timestamp>,
}

/// A time since 1970.
#[derive(Clone, Copy, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// Appends the message of a family to `bytes`. `lines` are its sample lines in the text format;
/// `births` are the births of series, by the place of their line, ascending.
pub(crate) fn encode(
    watch: &Watch,
    lines: &str,
    births: &[(usize, SystemTime)],
    bytes: &mut Vec<u8>,
) {
    let mut births = births.iter().peekable();
    let mut begin = 0;
    let mut metrics = Vec::new();
    for line in lines.split_inclusive('\n') {
        let birth = births.next_if(|(at, _)| *at == begin).map(|(_, birth)| *birth);
        metrics.extend(metric(watch.kind, line, birth));
        begin += line.len();
    }
    if metrics.is_empty() {
        return;
    }
    let kind = match watch.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Untyped | Kind::Label | Kind::Hidden => MetricType::Untyped,
    };
    let family = MetricFamily {
        name: Some(watch.name.to_string()),
        help: Some(watch.help.to_string()),
        r#type: Some(kind.into()),
        metric: metrics,
    };
    // Fails only if there is no room, and a vector grows.
    let _ = family.encode_length_delimited(bytes);
}

/// The message of a sample line.
fn metric(kind: Kind, line: &str, birth: Option<SystemTime>) -> Option<Metric> {
    let (series, value) = line.trim_end_matches('\n').rsplit_once(' ')?;
    let value = Some(value.parse().ok()?);
    let mut label = Vec::new();
    if let Some((_, labels)) = series.split_once('{') {
        let mut rest = labels;
        while let Some((pair, after)) = label_pair(rest) {
            label.push(pair);
            rest = after;
        }
    }
    let (mut gauge, mut counter, mut untyped) = (None, None, None);
    match kind {
        Kind::Counter => {
            counter = Some(Counter { value, created_timestamp: birth.and_then(timestamp) });
        }
        Kind::Gauge => gauge = Some(Number { value }),
        Kind::Untyped | Kind::Label | Kind::Hidden => untyped = Some(Number { value }),
    }
    Some(Metric { label, gauge, counter, untyped })
}

/// The first label of `a="1",b="2"}`, and what comes after its comma or brace.
fn label_pair(labels: &str) -> Option<(LabelPair, &str)> {
    let (name, mut rest) = labels.split_once("=\"")?;
    let mut value = String::new();
    loop {
        let at = memchr::memchr2(b'"', b'\\', rest.as_bytes())?;
        value.push_str(&rest[..at]);
        let special = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        if special == b'"' {
            break;
        }
        let escaped = rest.chars().next()?;
        value.push(if escaped == 'n' { '\n' } else { escaped });
        rest = &rest[escaped.len_utf8()..];
    }
    let pair = LabelPair { name: Some(name.to_owned()), value: Some(value) };
    Some((pair, rest.get(1..).unwrap_or_default()))
}

/// `None` for a time before 1970, which comes from a clock that was not set.
fn timestamp(time: SystemTime) -> Option<Timestamp> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    let seconds = i64::try_from(since.as_secs()).ok()?;
    Some(Timestamp { seconds, nanos: i32::try_from(since.subsec_nanos()).ok()? })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{FieldId, Pace};

    use super::*;

    fn watch(kind: Kind) -> Watch {
        let (name, help) = ("f".into(), "A \"help\".".into());
        Watch { field: FieldId(1), name, kind, help, pace: Pace::Every, cumulative: false }
    }

    fn decoded(kind: Kind, lines: &str, births: &[(usize, SystemTime)]) -> MetricFamily {
        let mut bytes = Vec::new();
        encode(&watch(kind), lines, births, &mut bytes);
        MetricFamily::decode_length_delimited(&*bytes).expect("a message")
    }

    fn labels(metric: &Metric) -> Vec<(&str, &str)> {
        let pair = |pair: &'_ LabelPair| (pair.name.is_some(), pair.value.is_some());
        assert!(metric.label.iter().map(pair).all(|set| set == (true, true)));
        metric.label.iter().map(|pair| (pair.name(), pair.value())).collect()
    }

    #[test]
    fn lines_become_metrics_with_their_labels_and_values() {
        let lines = "f{a=\"q\\\" {,=}\\\\ b\\n\",b=\"\"} 1e-15\nf -0\n";
        let family = decoded(Kind::Gauge, lines, &[]);
        assert_eq!((family.name(), family.help()), ("f", "A \"help\"."));
        assert_eq!(family.r#type(), MetricType::Gauge);
        let [first, second] = &family.metric[..] else { panic!("two metrics") };
        assert_eq!(labels(first), [("a", "q\" {,=}\\ b\n"), ("b", "")]);
        let value = |metric: &Metric| metric.gauge.and_then(|gauge| gauge.value).map(f64::to_bits);
        assert_eq!(value(first), Some(1e-15_f64.to_bits()));
        assert_eq!((labels(second), value(second)), (vec![], Some((-0.0_f64).to_bits())));
    }

    #[test]
    fn a_counter_has_the_birth_of_its_line() {
        let birth = UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
        let lines = "f{a=\"1\"} 0\nf{a=\"2\"} 1\nf 2\n";
        let births = [(11, birth), (22, UNIX_EPOCH - Duration::from_secs(1))];
        let family = decoded(Kind::Counter, lines, &births);
        let counters: Vec<Counter> = family.metric.iter().filter_map(|it| it.counter).collect();
        assert_eq!(counters.iter().map(|it| it.value()).collect::<Vec<_>>(), [0.0, 1.0, 2.0]);
        let created = |place: usize| counters[place].created_timestamp;
        let expected = Timestamp { seconds: 1_700_000_000, nanos: 250_000_000 };
        assert_eq!([created(0), created(1), created(2)], [None, Some(expected), None]);
        let other = decoded(Kind::Untyped, lines, &births);
        assert!(other.metric.iter().all(|it| it.untyped.is_some() && it.counter.is_none()));
    }

    #[test]
    fn a_family_without_samples_leaves_nothing() {
        let mut bytes = Vec::new();
        encode(&watch(Kind::Gauge), "", &[], &mut bytes);
        assert!(bytes.is_empty());
    }
}
