//! Two counters files together.

use crate::watch::{Kind, Watch};

use super::limits::MAX_WATCHES;

/// The watches of two files, where the second adds to the first.
///
/// A watch of `extra` takes the place of the one in `main` with its name: type, help and interval
/// are its own. The others follow at the end, up to [`MAX_WATCHES`] in all. A field that both make
/// a label, under two names, has the label of `extra` only.
pub fn merge(main: Vec<Watch>, extra: Vec<Watch>) -> Vec<Watch> {
    let mut merged = main;
    merged.truncate(MAX_WATCHES);
    for watch in extra {
        if watch.kind == Kind::Label {
            let same = |old: &Watch| old.kind == Kind::Label && old.field == watch.field;
            merged.retain(|old| !same(old) || old.name == watch.name);
        }
        match merged.iter().position(|old| old.name == watch.name) {
            Some(place) => merged[place] = watch,
            None if merged.len() < MAX_WATCHES => merged.push(watch),
            None => {}
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::watch::Pace;

    use super::*;
    use crate::catalog::counters::parse;

    fn merged(main: &str, extra: &str) -> Vec<String> {
        let watches = |text: &str| parse(text.as_bytes()).watches;
        merge(watches(main), watches(extra))
            .iter()
            .map(|watch| format!("{} {} {}", watch.name, watch.kind.as_str(), watch.help))
            .collect()
    }

    #[test]
    fn a_row_with_the_same_name_replaces_and_others_are_added() {
        let main = "DCGM_FI_DEV_SM_CLOCK, gauge, one\nDCGM_FI_DEV_GPU_TEMP, gauge, two, 5s\n";
        let extra = "DCGM_FI_DEV_POWER_USAGE, gauge, three\nDCGM_FI_DEV_SM_CLOCK, untyped, four\n\
                     DCGM_FI_DEV_GPU_TEMP_CELSIUS, gauge, another name is another row\n";
        assert_eq!(
            merged(main, extra),
            [
                "DCGM_FI_DEV_SM_CLOCK untyped four",
                "DCGM_FI_DEV_GPU_TEMP gauge two",
                "DCGM_FI_DEV_POWER_USAGE gauge three",
                "DCGM_FI_DEV_GPU_TEMP_CELSIUS gauge another name is another row",
            ]
        );
        assert_eq!(merged(main, ""), merged("", main));
    }

    #[test]
    fn a_row_that_replaces_brings_its_interval() {
        let of = |text: &str| parse(text.as_bytes()).watches;
        let main = of("DCGM_FI_DEV_SM_CLOCK, gauge, h, 5s\n");
        let slow = of("DCGM_FI_DEV_SM_CLOCK, gauge, h, 1m\n");
        let plain = of("DCGM_FI_DEV_SM_CLOCK, gauge, h\n");
        assert_eq!(merge(main.clone(), slow)[0].pace, Pace::At(Duration::from_secs(60)));
        assert_eq!(merge(main, plain)[0].pace, Pace::Every);
    }

    #[test]
    fn a_field_has_one_label() {
        let main = "DCGM_FI_DRIVER_VERSION, label, one\nDCGM_FI_DEV_PCIE_LINK_GEN, label, two\n";
        assert_eq!(
            merged(main, "DCGM_FI_SYSTEM_DRIVER_VERSION, label, three\n"),
            ["DCGM_FI_DEV_PCIE_LINK_GEN label two", "DCGM_FI_SYSTEM_DRIVER_VERSION label three"]
        );
        assert_eq!(
            merged(main, "DCGM_FI_DEV_PCIE_LINK_GEN, gauge, three\n"),
            ["DCGM_FI_DRIVER_VERSION label one", "DCGM_FI_DEV_PCIE_LINK_GEN gauge three"]
        );
    }

    #[test]
    fn the_number_of_watches_is_limited() {
        let watch = parse(b"DCGM_FI_DEV_SM_CLOCK, gauge, h").watches.remove(0);
        let named = |name: String| Watch { name: name.into(), ..watch.clone() };
        let main: Vec<Watch> = (0..MAX_WATCHES).map(|n| named(n.to_string())).collect();
        let late = Watch { help: "new".into(), ..named("7".to_owned()) };
        let merged = merge(main, vec![named("more".to_owned()), late]);
        assert_eq!(merged.len(), MAX_WATCHES);
        assert_eq!(&*merged[7].help, "new");
    }
}
