//! Prometheus' protobuf format, as its readers see it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::Message;

#[derive(Message)]
pub(crate) struct Family {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(crate) help: Option<String>,
    /// 0 is a counter, 1 a gauge, 3 has no type.
    #[prost(int32, optional, tag = "3")]
    pub(crate) kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) metrics: Vec<Metric>,
}

#[derive(Message)]
pub(crate) struct Metric {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Number>,
    #[prost(message, optional, tag = "5")]
    untyped: Option<Number>,
    #[prost(int64, optional, tag = "6")]
    timestamp: Option<i64>,
}

#[derive(Message)]
struct Label {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

#[derive(Message)]
struct Number {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    created: Option<Time>,
}

#[derive(Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl Metric {
    pub(crate) fn labels(&self) -> Vec<(String, String)> {
        let pair = |label: &Label| {
            (label.name.clone().expect("a name"), label.value.clone().expect("a value"))
        };
        self.labels.iter().map(pair).collect()
    }

    /// The value for this type of family: the only one that is set.
    pub(crate) fn value(&self, kind: i32) -> f64 {
        assert_eq!(self.timestamp, None);
        let values = [(0, &self.counter), (1, &self.gauge), (3, &self.untyped)];
        let mut set = values.into_iter().filter_map(|(of, number)| Some((of, number.as_ref()?)));
        let (of, number) = set.next().expect("a value");
        assert!(of == kind && set.next().is_none(), "{self:?}");
        number.value.expect("a number")
    }

    /// The birth of the series.
    pub(crate) fn created(&self) -> Option<SystemTime> {
        let created = self.counter.as_ref()?.created.as_ref()?;
        let seconds = u64::try_from(created.seconds).expect("after 1970");
        let nanos = u32::try_from(created.nanos).expect("nanoseconds");
        Some(UNIX_EPOCH + Duration::new(seconds, nanos))
    }
}

/// All families of a page.
pub(crate) fn families(mut page: &[u8]) -> Vec<Family> {
    let mut families = Vec::new();
    while !page.is_empty() {
        families.push(Family::decode_length_delimited(&mut page).expect("a family"));
    }
    families
}
