//! Series without their values: those of the page.

use exposition::{Format, Layout, past, render};
use proptest::prelude::*;

use crate::arbitrary::any_snapshot;
use crate::machine::settings;
use crate::promtool::{holders, worst};

fn lines(page: &str) -> Vec<&str> {
    let samples = page.split('\n').filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect()
}

#[test]
fn series_are_those_of_the_page_by_family() {
    let (snapshot, holders) = (worst(), holders());
    let page = render(&snapshot, Some(&holders), &settings());
    let layout = Layout::new(&snapshot.watches, Format::OpenMetrics);
    let found = past::series(&snapshot, Some(&holders), &settings(), &layout, &[]);
    assert!(found.len() > 20, "{}", found.len());
    for (name, series) in &found {
        for one in series {
            assert_eq!(one.split('{').next(), Some(&**name));
        }
    }
    let series: Vec<&str> = found.iter().flat_map(|(_, series)| series).map(|s| &**s).collect();
    assert_eq!(series, lines(&page));
    let heads: Vec<&str> = layout.heads().map(|(watch, _)| &*watch.name).collect();
    assert!(found.iter().all(|(name, _)| heads.contains(&&**name)));
    assert!(layout.heads().all(|(_, head)| head.contains("\n# TYPE ")));
}

proptest! {
    #[test]
    fn any_page_has_the_same_series_without_values(snapshot in any_snapshot()) {
        let page = render(&snapshot, None, &settings());
        let layout = Layout::new(&snapshot.watches, Format::OpenMetrics);
        let found = past::series(&snapshot, None, &settings(), &layout, &[]);
        let series: Vec<String> = found.into_iter().flat_map(|(_, series)| series).collect();
        prop_assert_eq!(series, lines(&page));
    }
}
