//! The generations of dcgm-exporter's names, and how a set of watches gets from one to another.
//!
//! Version 4.9 renamed 23 rows of the default set, and changed the unit of 11 of them. What a
//! dashboard asks for is one or the other, and while it is rebuilt, both.

use std::collections::HashSet;
use std::sync::Arc;

use crate::field;
use crate::watch::{FieldId, Kind, Watch};

use super::fields::{FIELDS, by_id};

/// The names, types and units that a page has.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash, Debug)]
pub enum Generation {
    /// As up to 4.8.2: the label is `Hostname`, and states and rates of the built-in sets are typed
    /// counters.
    V4_8_2,
    /// As 4.8.3 and 4.8.4: the same names.
    #[default]
    V4_8,
    /// As 4.9: 23 other names, 11 of them with another unit.
    V4_9,
    /// Both of the last two, side by side.
    Both,
}

impl Generation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::V4_8_2, Self::V4_8, Self::V4_9, Self::Both];

    /// From a setting: one of [`Generation::as_str`], or a version that has its names.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "4.8.2" => Some(Self::V4_8_2),
            "4.8" | "4.8.3" | "4.8.4" => Some(Self::V4_8),
            "4.9" | "4.9.0" => Some(Self::V4_9),
            "both" => Some(Self::Both),
            _ => None,
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V4_8_2 => "4.8.2",
            Self::V4_8 => "4.8",
            Self::V4_9 => "4.9",
            Self::Both => "both",
        }
    }

    /// The name of the label that says which machine a series is of.
    pub fn host_label(self) -> &'static str {
        match self {
            Self::V4_8_2 => "Hostname",
            Self::V4_8 | Self::V4_9 | Self::Both => "hostname",
        }
    }

    fn has_4_8(self) -> bool {
        self != Self::V4_9
    }

    fn has_4_9(self) -> bool {
        matches!(self, Self::V4_9 | Self::Both)
    }
}

/// What a field of the default set is called before and from 4.9 on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair {
    /// Up to 4.8.
    pub v4_8: Name,
    /// From 4.9 on.
    pub v4_9: Name,
}

/// A name, and the field that is read for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name {
    /// The name of the family, or of the label.
    pub name: &'static str,
    /// The field. Where the unit is another one, it is not that of the other name.
    pub field: FieldId,
    /// The help text of the built-in sets.
    pub help: &'static str,
}

impl Pair {
    /// Whether one of the two has this name.
    pub fn has(&self, name: &str) -> bool {
        self.v4_8.name == name || self.v4_9.name == name
    }
}

/// Every field that 4.9 renamed, in order of number.
pub fn pairs() -> impl Iterator<Item = Pair> {
    FIELDS.iter().filter_map(|row| {
        let later = by_id(row.v4_9?)?;
        let name = if later.id == row.id { row.canonical? } else { later.name };
        Some(Pair {
            v4_8: Name { name: row.name, field: row.id, help: row.help },
            v4_9: Name { name, field: later.id, help: later.help },
        })
    })
}

/// The watches under the names of this generation.
///
/// A watch of one of the [`pairs`] gets its name in the generation asked for, or both names, one
/// after the other. It keeps its type and its pace, and its help text unless the unit is another one.
/// No name is used twice: where a watch has a name already, nothing else is renamed to it. All other
/// watches stay as they are.
pub fn rename(watches: Vec<Watch>, generation: Generation) -> Vec<Watch> {
    let pairs: Vec<Pair> = pairs().collect();
    let mut names: HashSet<Arc<str>> = watches.iter().map(|w| Arc::clone(&w.name)).collect();
    let mut renamed = Vec::with_capacity(watches.len());
    for watch in watches {
        let Some(pair) = pairs.iter().find(|pair| pair.has(&watch.name)) else {
            renamed.push(watch);
            continue;
        };
        let has_other_unit = pair.v4_8.field != pair.v4_9.field;
        let served = [(generation.has_4_8(), &pair.v4_8), (generation.has_4_9(), &pair.v4_9)];
        for (_, name) in served.into_iter().filter(|(is_served, _)| *is_served) {
            if *watch.name == *name.name {
                renamed.push(watch.clone());
            } else if names.insert(name.name.into()) {
                renamed.push(Watch {
                    field: name.field,
                    name: name.name.into(),
                    help: if has_other_unit { name.help.into() } else { Arc::clone(&watch.help) },
                    cumulative: by_id(name.field).is_some_and(|field| field.is_cumulative()),
                    ..watch.clone()
                });
            }
        }
    }
    renamed
}

/// A built-in set, with the types that this generation gives it and the row that 4.9 added.
///
/// Only for the sets in [`builtin`](crate::catalog::builtin): a user's file keeps the types that it
/// gives. It does not matter whether [`rename`] comes before or after.
pub fn builtin_types(watches: Vec<Watch>, generation: Generation) -> Vec<Watch> {
    let mut watches = watches;
    for watch in watches.iter_mut().filter(|watch| COUNTERS_OF_4_8_2.contains(&watch.field)) {
        watch.kind = match generation {
            Generation::V4_8_2 => Kind::Counter,
            _ => by_id(watch.field).map_or(watch.kind, |field| field.kind),
        };
    }
    if generation.has_4_9() {
        add_capacity(&mut watches);
    }
    watches
}

/// What was typed a counter up to 4.8.2 and is none.
const COUNTERS_OF_4_8_2: [FieldId; 5] = [
    field::NVLINK_BANDWIDTH_TOTAL,
    field::EXP_XID_ERRORS_COUNT,
    field::EXP_CLOCK_EVENTS_COUNT,
    field::EXP_GPU_HEALTH_STATUS,
    field::EXP_P2P_STATUS,
];

/// Adds the capacity of the framebuffer to a set that has its other parts.
fn add_capacity(watches: &mut Vec<Watch>) {
    const REST: [FieldId; 7] = [
        field::FB_TOTAL,
        field::FB_FREE,
        field::FB_USED,
        field::FB_RESERVED,
        field::FB_FREE_BYTES,
        field::FB_USED_BYTES,
        field::FB_RESERVED_BYTES,
    ];
    let has = |id| watches.iter().any(|watch| watch.field == id);
    let parts = has(field::FB_RESERVED) || has(field::FB_RESERVED_BYTES);
    let (Some(capacity), true) = (by_id(field::FB_CAPACITY_BYTES), parts) else { return };
    if has(capacity.id) {
        return;
    }
    let place = watches.iter().rposition(|watch| REST.contains(&watch.field));
    watches.insert(place.map_or(watches.len(), |place| place + 1), capacity.watch());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::watch::Pace;

    use super::*;
    use crate::catalog::builtin::Set;
    use crate::catalog::{by_name, counters};

    fn read(text: &str) -> Vec<Watch> {
        counters::parse(text.as_bytes()).watches
    }

    fn names(watches: &[Watch]) -> Vec<&str> {
        watches.iter().map(|watch| &*watch.name).collect()
    }

    /// A file under the names of a generation, a line per row.
    fn renamed(text: &str, generation: Generation) -> Vec<String> {
        rename(read(text), generation)
            .iter()
            .map(|w| format!("{} {} {} {}", w.field, w.name, w.kind.as_str(), w.help))
            .collect()
    }

    #[test]
    fn a_generation_is_parsed_from_its_word_or_a_version() {
        for generation in Generation::ALL {
            assert_eq!(Generation::parse(generation.as_str()), Some(generation));
        }
        for (text, generation) in
            [("4.8.3", Generation::V4_8), ("4.8.4", Generation::V4_8), ("4.9.0", Generation::V4_9)]
        {
            assert_eq!(Generation::parse(text), Some(generation));
        }
        for text in ["", "4.7", "4.8.1", "4.10", "Both", " 4.9"] {
            assert_eq!(Generation::parse(text), None, "{text}");
        }
        let labels = Generation::ALL.map(Generation::host_label);
        assert_eq!(labels, ["Hostname", "hostname", "hostname", "hostname"]);
    }

    #[test]
    fn pairs_are_names_of_the_table_and_11_differ_in_unit() {
        let mut seen = HashSet::new();
        for Pair { v4_8, v4_9 } in pairs() {
            for side in [v4_8, v4_9] {
                assert_eq!(by_name(side.name).map(|f| f.id), Some(side.field), "{}", side.name);
                assert!(seen.insert(side.name));
            }
            let (before, after) = (by_id(v4_8.field).unwrap(), by_id(v4_9.field).unwrap());
            assert_eq!(before.name, v4_8.name);
            assert_eq!(before.id != after.id, before.unit != after.unit, "{}", v4_9.name);
            assert_eq!((before.kind, before.pace), (after.kind, after.pace), "{}", v4_9.name);
            assert_eq!(before.level, after.level, "{}", v4_9.name);
        }
        assert_eq!(pairs().count(), 23);
        assert_eq!(pairs().filter(|pair| pair.v4_8.field != pair.v4_9.field).count(), 11);
    }

    #[test]
    fn every_pair_is_in_the_default_set() {
        let default = Set::Default.watches();
        for pair in pairs() {
            assert!(default.iter().any(|watch| *watch.name == *pair.v4_8.name), "{pair:?}");
        }
    }

    #[test]
    fn names_units_and_help_texts_are_renamed_both_ways() {
        let old = "DCGM_FI_DEV_GPU_UTIL, untyped, mine, 5s\nDCGM_FI_DEV_GPU_TEMP, gauge, mine\n\
                   DCGM_FI_DRIVER_VERSION, label, mine\nDCGM_FI_DEV_PSTATE, gauge, mine\n\
                   dcgm_fb_free, gauge, mine\n";
        let new = "DCGM_FI_DEV_GPU_UTIL_RATIO, untyped, mine, 5s\n\
                   DCGM_FI_DEV_GPU_TEMP_CELSIUS, gauge, mine\n\
                   DCGM_FI_SYSTEM_DRIVER_VERSION, label, mine\nDCGM_FI_DEV_PSTATE, gauge, mine\n\
                   dcgm_fb_free, gauge, mine\n";
        let old_util = "203 DCGM_FI_DEV_GPU_UTIL untyped";
        let new_util = "1613 DCGM_FI_DEV_GPU_UTIL_RATIO untyped";
        let share = "Share of time in which at least one kernel ran";
        let rest = ["190 DCGM_FI_DEV_PSTATE gauge mine", "251 dcgm_fb_free gauge mine"];
        assert_eq!(
            renamed(old, Generation::V4_9),
            [
                &*format!("{new_util} {share}, as a ratio"),
                "150 DCGM_FI_DEV_GPU_TEMP_CELSIUS gauge mine",
                "1 DCGM_FI_SYSTEM_DRIVER_VERSION label mine",
                rest[0],
                rest[1],
            ]
        );
        for generation in [Generation::V4_8_2, Generation::V4_8] {
            assert_eq!(
                renamed(new, generation),
                [
                    &*format!("{old_util} {share}, in percent"),
                    "150 DCGM_FI_DEV_GPU_TEMP gauge mine",
                    "1 DCGM_FI_DRIVER_VERSION label mine",
                    rest[0],
                    rest[1],
                ]
            );
            assert_eq!(rename(read(old), generation), read(old));
        }
        assert_eq!(rename(read(new), Generation::V4_9), read(new));
        assert_eq!(
            renamed(old, Generation::Both),
            [
                &*format!("{old_util} mine"),
                &*format!("{new_util} {share}, as a ratio"),
                "150 DCGM_FI_DEV_GPU_TEMP gauge mine",
                "150 DCGM_FI_DEV_GPU_TEMP_CELSIUS gauge mine",
                "1 DCGM_FI_DRIVER_VERSION label mine",
                "1 DCGM_FI_SYSTEM_DRIVER_VERSION label mine",
                rest[0],
                rest[1],
            ]
        );
        assert_eq!(rename(read(old), Generation::V4_9)[0].pace, Pace::At(Duration::from_secs(5)));
    }

    #[test]
    fn a_name_that_exists_is_not_added_again() {
        let both = "DCGM_FI_DEV_SM_CLOCK_HERTZ, untyped, new\nDCGM_FI_DEV_SM_CLOCK, gauge, old\n";
        let (old, new) =
            ("100 DCGM_FI_DEV_SM_CLOCK gauge old", "1603 DCGM_FI_DEV_SM_CLOCK_HERTZ untyped new");
        assert_eq!(renamed(both, Generation::V4_8), [old]);
        assert_eq!(renamed(both, Generation::V4_9), [new]);
        assert_eq!(renamed(both, Generation::Both), [new, old]);
    }

    #[test]
    fn a_counter_is_cumulative_under_either_name() {
        let text =
            "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION, gauge, h\nDCGM_FI_DEV_FB_USED, gauge, h\n";
        let cumulative: Vec<_> =
            rename(read(text), Generation::Both).iter().map(|watch| watch.cumulative).collect();
        assert_eq!(cumulative, [true, true, false, false]);
    }

    #[test]
    fn the_default_set_has_one_row_more_from_4_9_on() {
        let default = || Set::Default.watches();
        for generation in Generation::ALL {
            let set = builtin_types(rename(default(), generation), generation);
            assert_eq!(rename(builtin_types(default(), generation), generation), set);
            let count = match generation {
                Generation::V4_8_2 | Generation::V4_8 => 46,
                Generation::V4_9 => 46 + 1,
                Generation::Both => 46 + 23 + 1,
            };
            assert_eq!(set.len(), count);
            assert_eq!(names(&set).iter().collect::<HashSet<_>>().len(), count);
            // Done twice is done once.
            assert_eq!(builtin_types(rename(set.clone(), generation), generation), set);
        }
        let set = builtin_types(rename(default(), Generation::V4_9), Generation::V4_9);
        let memory: Vec<_> = names(&set).into_iter().filter(|name| name.contains("_FB_")).collect();
        assert_eq!(
            memory,
            [
                "DCGM_FI_DEV_FB_FREE_BYTES",
                "DCGM_FI_DEV_FB_USED_BYTES",
                "DCGM_FI_DEV_FB_RESERVED_BYTES",
                "DCGM_FI_DEV_FB_TOTAL",
                "DCGM_FI_DEV_FB_CAPACITY_BYTES",
            ]
        );
    }

    #[test]
    fn only_whole_sets_get_the_capacity() {
        for (set, more) in [
            (Set::Default.watches(), 1),
            (Set::All.watches(), 1),
            (Set::Minimal.watches(), 0),
            (Set::Monitoring.watches(), 0),
            (Set::FirstGeneration.watches(), 0),
            (vec![], 0),
        ] {
            let before = set.len();
            assert_eq!(builtin_types(set, Generation::V4_9).len(), before + more);
        }
    }

    #[test]
    fn states_and_rates_are_counters_up_to_4_8_2_only() {
        let all = Set::All.watches();
        assert_eq!(builtin_types(all.clone(), Generation::V4_8), all);
        let changed: Vec<_> = builtin_types(all.clone(), Generation::V4_8_2)
            .into_iter()
            .zip(all)
            .filter(|(new, old)| new != old)
            .map(|(new, old)| {
                assert_eq!(new, Watch { kind: Kind::Counter, ..old.clone() });
                old.name.to_string()
            })
            .collect();
        assert_eq!(
            changed,
            [
                "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL",
                "DCGM_EXP_XID_ERRORS_COUNT",
                "DCGM_EXP_CLOCK_EVENTS_COUNT",
                "DCGM_EXP_GPU_HEALTH_STATUS",
                "DCGM_EXP_P2P_STATUS",
            ]
        );
    }
}
