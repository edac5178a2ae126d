//! Pages read by an independent parser: the crate `prometheus-parse`.
//!
//! It supports only part of the format: it splits labels at every `,` and `=`, ends them at the first
//! `}`, keeps escapes, strips quotes at both ends, and trims help texts. So this test uses texts without
//! `\`, `"`, newline, `,`, `=` and `}`, and help texts that are not empty and have no white space at
//! their ends. `properties` (our reader) and `promtool` test all other texts.

use std::collections::BTreeMap;

use exposition::{Settings, render};
use model::{Identity, Kind, Value};
use prometheus_parse::{Scrape, Value as Parsed};
use proptest::collection::vec;
use proptest::prelude::*;
use testkit::page::{FamilyKind, Page};

use crate::arbitrary::any_snapshot;
use crate::machine::{identity, int, settings, snapshot, up, watch};

fn tame_text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..12)
        .prop_map(|chars| chars.into_iter().filter(|char| !"\\\"\n,=}".contains(*char)).collect())
}

fn read(page: &str) -> Scrape {
    Scrape::parse(page.split('\n').map(|line| Ok(line.to_owned()))).expect("lines from memory")
}

proptest! {
    #[test]
    fn simple_texts_read_back_unchanged(
        help in tame_text(),
        label in tame_text(),
        model_name in tame_text(),
        hostname in tame_text(),
    ) {
        let help = format!("H{help}.");
        let watches =
            vec![watch(1, "L", Kind::Label, ""), watch(150, "T", Kind::Gauge, &help)];
        let identity = Identity { model_name: Some(model_name.clone()), ..identity(0, "GPU-aaaa") };
        let gpu = up(identity, vec![Ok(Value::Text(label.as_str().into())), int(61)]);
        let settings = Settings { hostname: Some(hostname.as_str().into()), ..settings() };

        let scrape = read(&render(&snapshot(watches, vec![gpu]), None, &settings));

        prop_assert_eq!(scrape.docs.get("T"), Some(&help));
        let sample = scrape.samples.iter().find(|sample| sample.metric == "T").unwrap();
        prop_assert_eq!(sample.labels.get("L"), Some(&*label));
        prop_assert_eq!(sample.labels.get("modelName"), Some(&*model_name));
        prop_assert_eq!(sample.labels.get("hostname"), Some(&*hostname));
        prop_assert_eq!(&sample.value, &Parsed::Gauge(61.0));
    }

    #[test]
    fn both_parsers_read_the_same_page(snapshot in any_snapshot()) {
        let text = render(&snapshot, None, &settings());
        let ours = Page::parse(&text).unwrap();
        let theirs = read(&text);
        prop_assert_eq!(theirs.samples.len(), ours.all_samples().count());
        let ours = ours.families.iter().flat_map(|family| {
            family.samples.iter().map(move |sample| (family.kind, sample))
        });
        for ((kind, ours), theirs) in ours.zip(&theirs.samples) {
            prop_assert_eq!(&ours.name, &theirs.metric);
            let value = match kind {
                FamilyKind::Counter => Parsed::Counter(ours.value),
                FamilyKind::Gauge => Parsed::Gauge(ours.value),
                _ => Parsed::Untyped(ours.value),
            };
            prop_assert_eq!(&value, &theirs.value);
            let labels: BTreeMap<_, _> = ours.labels.iter().map(|(n, v)| (n, v)).collect();
            let their_labels: BTreeMap<_, _> = theirs.labels.iter().collect();
            prop_assert_eq!(labels, their_labels);
        }
    }
}
