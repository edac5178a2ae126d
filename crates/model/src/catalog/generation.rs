//! The generations of dcgm-exporter's names, and how a set of watches gets from one to another.
//!
//! Version 4.9 renamed 23 rows of the default set, and changed the unit of 11 of them. What a
//! dashboard asks for is one or the other, and while it is rebuilt, both.

mod pairs;

use std::collections::HashSet;
use std::sync::Arc;

use crate::{FieldId, Kind, Watch, field};

use crate::catalog::by_id;

pub use pairs::{Help, Name, PAIRS, Pair};

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

    /// From what somebody wrote: one of [`Generation::as_str`], or a version that has its names.
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

/// The watches under the names of this generation.
///
/// A watch of one of the [`PAIRS`] becomes what it is called in the generation asked for, or both,
/// one after the other. It keeps its type and its pace, and its help text unless the unit is
/// another one. No name is made twice: where a watch has a name already, nothing else is renamed to
/// it. All other watches stay as they are.
pub fn rename(watches: Vec<Watch>, generation: Generation) -> Vec<Watch> {
    let mut names: HashSet<Arc<str>> = watches.iter().map(|w| Arc::clone(&w.name)).collect();
    let mut renamed = Vec::with_capacity(watches.len());
    for watch in watches {
        let Some(pair) = PAIRS.iter().find(|pair| pair.has(&watch.name)) else {
            renamed.push(watch);
            continue;
        };
        let twins = [
            (generation.has_4_8(), &pair.v4_8, pair.help.map(|help| help.v4_8)),
            (generation.has_4_9(), &pair.v4_9, pair.help.map(|help| help.v4_9)),
        ];
        for (_, name, help) in twins.into_iter().filter(|(wanted, ..)| *wanted) {
            let own = *watch.name == *name.name;
            if own {
                renamed.push(watch.clone());
            } else if names.insert(name.name.into()) {
                renamed.push(Watch {
                    field: name.field,
                    name: name.name.into(),
                    help: help.map_or_else(|| Arc::clone(&watch.help), Arc::from),
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
/// A file of somebody's own has the types that it says, so this is for the sets in
/// [`builtin`](crate::catalog::builtin) only. It does not matter whether [`rename`] comes before or after.
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
    let watch = Watch {
        field: capacity.id,
        name: capacity.name.into(),
        kind: capacity.kind,
        help: "Framebuffer memory in all, in bytes".into(),
        pace: capacity.pace,
        cumulative: capacity.is_cumulative(),
    };
    watches.insert(place.map_or(watches.len(), |place| place + 1), watch);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::Pace;

    use super::*;
    use crate::catalog::{builtin, by_name, counters};

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
    fn a_generation_is_read_as_it_is_written_or_by_its_versions() {
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
    fn every_pair_is_two_names_of_the_table_and_11_have_another_unit() {
        let mut seen = HashSet::new();
        for Pair { v4_8, v4_9, help } in PAIRS {
            for side in [v4_8, v4_9] {
                assert_eq!(by_name(side.name).map(|f| f.id), Some(side.field), "{}", side.name);
                assert!(seen.insert(side.name));
            }
            let (before, after) = (by_id(v4_8.field).unwrap(), by_id(v4_9.field).unwrap());
            assert_eq!(before.name, v4_8.name);
            assert_eq!(help.is_some(), before.unit != after.unit, "{}", v4_9.name);
            assert_eq!(help.is_some(), before.id != after.id, "{}", v4_9.name);
            assert_eq!((before.kind, before.pace), (after.kind, after.pace), "{}", v4_9.name);
            assert_eq!(before.level, after.level, "{}", v4_9.name);
        }
        assert_eq!(PAIRS.iter().filter(|pair| pair.help.is_some()).count(), 11);
    }

    #[test]
    fn every_pair_is_in_the_default_set_and_explained_in_its_words() {
        let default = read(builtin::DEFAULT);
        for pair in PAIRS {
            let watch = default.iter().find(|watch| *watch.name == *pair.v4_8.name).unwrap();
            assert!(pair.help.is_none_or(|help| *help.v4_8 == *watch.help), "{}", watch.name);
        }
    }

    #[test]
    fn names_units_and_help_texts_go_both_ways_and_the_rest_stays() {
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
    fn a_name_that_is_there_is_not_made_again() {
        let both = "DCGM_FI_DEV_SM_CLOCK_HERTZ, untyped, new\nDCGM_FI_DEV_SM_CLOCK, gauge, old\n";
        let (old, new) =
            ("100 DCGM_FI_DEV_SM_CLOCK gauge old", "1603 DCGM_FI_DEV_SM_CLOCK_HERTZ untyped new");
        assert_eq!(renamed(both, Generation::V4_8), [old]);
        assert_eq!(renamed(both, Generation::V4_9), [new]);
        assert_eq!(renamed(both, Generation::Both), [new, old]);
    }

    #[test]
    fn what_only_grows_is_marked_so_under_either_name() {
        let text =
            "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION, gauge, h\nDCGM_FI_DEV_FB_USED, gauge, h\n";
        let cumulative: Vec<_> =
            rename(read(text), Generation::Both).iter().map(|watch| watch.cumulative).collect();
        assert_eq!(cumulative, [true, true, false, false]);
    }

    #[test]
    fn the_default_set_has_one_row_more_from_4_9_on() {
        let default = || read(builtin::DEFAULT);
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
        for (text, more) in [
            (builtin::DEFAULT, 1),
            (builtin::ALL, 1),
            (builtin::MINIMAL, 0),
            (builtin::MONITORING, 0),
            (builtin::FIRST_GENERATION, 0),
            ("", 0),
        ] {
            let set = read(text);
            let before = set.len();
            assert_eq!(builtin_types(set, Generation::V4_9).len(), before + more);
        }
    }

    #[test]
    fn states_and_rates_are_counters_up_to_4_8_2_only() {
        let all = read(builtin::ALL);
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
