//! The counters file, case by case and at random.

use std::collections::HashSet;
use std::fmt::Write;
use std::time::Duration;

use crate::Pace;
use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::catalog::{FIELDS, Level, ValueType, by_name};

/// The result of parsing a file, a line per row.
fn outcome(text: &[u8]) -> String {
    let Counters { watches, skipped } = parse(text);
    let mut out = String::new();
    for Watch { field, name, kind, help, pace, .. } in watches {
        let pace = match pace {
            Pace::At(interval) => format!(" every {interval:?}"),
            Pace::Every | Pace::Slow => String::new(),
        };
        writeln!(out, "{field} {name} {} [{help}]{pace}", kind.as_str()).unwrap();
    }
    for Skipped { line, why, .. } in skipped {
        writeln!(out, "line {line}: {why}").unwrap();
    }
    out
}

fn check(text: &str, expect: Expect) {
    expect.assert_eq(&outcome(text.as_bytes()));
}

#[test]
fn a_plain_row() {
    check(
        "DCGM_FI_DEV_GPU_UTIL, gauge, GPU utilisation (in %).\n",
        expect![[r#"
            203 DCGM_FI_DEV_GPU_UTIL gauge [GPU utilisation (in %).]
        "#]],
    );
}

#[test]
fn every_error_has_a_reason_and_an_action() {
    check(
        "DCGM_FI_DEV_SM_CLOCK, gauge\n\
         DCGM_FI_DEV_SM_CLOCK\n\
         DCGM_FI_DEV_SM_CLOCK, gauge,\n\
         DCGM_FI_DEV_SM_CLOCK, gauge, \"never closed\n\
         DCGM_FI_DEV_NOTHING, gauge, h\n\
         DCGM_FI_DEV_GPU_UTLI, gauge, h\n\
         dcgm_fi_dev_gpu_util, gauge, h\n\
         DCGM_GPU_TEMP, gauge, h\n\
         DCGM_FI_DEV_SM_CLOCK, number, h\n\
         DCGM_FI_DEV_SM_CLOCK, histogram, h\n\
         DCGM_FI_DEV_SM_CLOCK, Summary, h\n\
         DCGM_FI_DEV_SERIAL, gauge, h\n\
         DCGM_EXP_XID_ERRORS_COUNT, label, h\n\
         DCGM_EXP_XID_ERRORS_COUNT, histogram, h\n",
        expect![[r#"
            line 1: 2 of 3 cells; write NAME, type, help
            line 2: 1 of 3 cells; write NAME, type, help
            line 3: no help text; write NAME, type, help
            line 4: a quoted cell is not closed; close the quote or leave it out
            line 5: unknown field `DCGM_FI_DEV_NOTHING`; `heatsink fields` lists them all
            line 6: unknown field `DCGM_FI_DEV_GPU_UTLI`; did you mean `DCGM_FI_DEV_GPU_UTIL`?
            line 7: unknown field `dcgm_fi_dev_gpu_util`; did you mean `DCGM_FI_DEV_GPU_UTIL`?
            line 8: unknown field `DCGM_GPU_TEMP`; did you mean `dcgm_gpu_temp`?
            line 9: unknown type `number`; write gauge, counter, untyped or label
            line 10: one value is no histogram; write gauge, counter, untyped or label
            line 11: one value is no summary; write gauge, counter, untyped or label
            line 12: `DCGM_FI_DEV_SERIAL` is a text; write label as its type
            line 13: `DCGM_EXP_XID_ERRORS_COUNT` cannot be a label; write gauge, counter or untyped
            line 14: one value is no histogram; write gauge, counter, untyped or label
        "#]],
    );
}

#[test]
fn a_comma_in_the_help_belongs_to_the_help() {
    check(
        "DCGM_FI_DEV_SM_CLOCK, gauge, SM clock, in MHz , as read,\n\
         DCGM_FI_DEV_MEM_CLOCK, gauge, \"Memory clock, in MHz\"\n\
         DCGM_FI_DEV_GPU_TEMP, gauge, \"GPU\", in \"degrees\"\n",
        expect![[r#"
            100 DCGM_FI_DEV_SM_CLOCK gauge [SM clock, in MHz , as read,]
            101 DCGM_FI_DEV_MEM_CLOCK gauge [Memory clock, in MHz]
            150 DCGM_FI_DEV_GPU_TEMP gauge ["GPU", in "degrees"]
        "#]],
    );
}

#[test]
fn a_duration_after_the_last_comma_is_the_rows_own_interval() {
    check(
        "DCGM_FI_DEV_SM_CLOCK, gauge, SM clock, in MHz, 500ms\n\
         DCGM_FI_DEV_MEM_CLOCK,gauge,h,10s\n\
         DCGM_FI_DEV_GPU_TEMP, gauge, \"t, in degrees\" ,\t1m \r\n\
         \"DCGM_FI_DEV_FB_USED\",\"gauge\",\"used, in MiB\",\"1.5s\"\n\
         DCGM_FI_DEV_FB_FREE, gauge, h, 1m30s\n\
         DCGM_FI_DEV_FB_TOTAL, gauge, h, 1h\n\
         DCGM_FI_DEV_FB_RESERVED, gauge, h, 10ms\n\
         DCGM_FI_DRIVER_VERSION, label, h, 1m\n",
        expect![[r#"
            100 DCGM_FI_DEV_SM_CLOCK gauge [SM clock, in MHz] every 500ms
            101 DCGM_FI_DEV_MEM_CLOCK gauge [h] every 10s
            150 DCGM_FI_DEV_GPU_TEMP gauge [t, in degrees] every 60s
            252 DCGM_FI_DEV_FB_USED gauge [used, in MiB] every 1.5s
            251 DCGM_FI_DEV_FB_FREE gauge [h] every 90s
            250 DCGM_FI_DEV_FB_TOTAL gauge [h] every 3600s
            253 DCGM_FI_DEV_FB_RESERVED gauge [h] every 10ms
            1 DCGM_FI_DRIVER_VERSION label [h] every 60s
        "#]],
    );
}

#[test]
fn text_that_resembles_an_interval_belongs_to_the_help() {
    check(
        "DCGM_FI_DEV_SM_CLOCK, gauge, pears, 5 apples\n\
         DCGM_FI_DEV_MEM_CLOCK, gauge, 10s\n\
         DCGM_FI_DEV_GPU_TEMP, gauge, \"mean of the last, 10s\"\n\
         DCGM_FI_DEV_POWER_USAGE, gauge, mean, 10 s\n\
         DCGM_FI_DEV_FB_USED, gauge, used, 10\n\
         DCGM_FI_DEV_FB_FREE, gauge, free, 5S\n\
         DCGM_FI_DEV_FB_TOTAL, gauge, all, s\n\
         DCGM_FI_DEV_FB_RESERVED, gauge, kept, 1.2.3s\n\
         DCGM_FI_DEV_ENC_UTIL, gauge, as we say, \"10s\"\n\
         DCGM_FI_DEV_DEC_UTIL, gauge, h, 10s,\n\
         DCGM_FI_DEV_GPU_UTIL, gauge, h, -5s\n",
        expect![[r#"
            100 DCGM_FI_DEV_SM_CLOCK gauge [pears, 5 apples]
            101 DCGM_FI_DEV_MEM_CLOCK gauge [10s]
            150 DCGM_FI_DEV_GPU_TEMP gauge [mean of the last, 10s]
            155 DCGM_FI_DEV_POWER_USAGE gauge [mean, 10 s]
            252 DCGM_FI_DEV_FB_USED gauge [used, 10]
            251 DCGM_FI_DEV_FB_FREE gauge [free, 5S]
            250 DCGM_FI_DEV_FB_TOTAL gauge [all, s]
            253 DCGM_FI_DEV_FB_RESERVED gauge [kept, 1.2.3s]
            206 DCGM_FI_DEV_ENC_UTIL gauge [as we say, "10s"]
            207 DCGM_FI_DEV_DEC_UTIL gauge [h, 10s,]
            203 DCGM_FI_DEV_GPU_UTIL gauge [h, -5s]
        "#]],
    );
}

#[test]
fn a_row_with_an_invalid_interval_is_skipped() {
    let long = "9".repeat(400);
    check(
        &format!(
            "DCGM_FI_DEV_SM_CLOCK, gauge, h,0s\n\
             DCGM_FI_DEV_SM_CLOCK, gauge, h,99h\n\
             DCGM_FI_DEV_SM_CLOCK, gauge, h, 9ms\n\
             DCGM_FI_DEV_SM_CLOCK, gauge, h, 500us\n\
             DCGM_FI_DEV_SM_CLOCK, gauge, h, 1h1ms\n\
             DCGM_FI_DEV_SM_CLOCK, gauge, h, {long}h\n\
             DCGM_FI_DEV_SM_CLOCK, gauge, , 10s\n\
             DCGM_FI_DEV_SM_CLOCK, gauge, \"open, 10s\n"
        ),
        expect![[r#"
            line 1: interval `0s` is not between 10ms and 1h; change it, or quote the help text
            line 2: interval `99h` is not between 10ms and 1h; change it, or quote the help text
            line 3: interval `9ms` is not between 10ms and 1h; change it, or quote the help text
            line 4: interval `500us` is not between 10ms and 1h; change it, or quote the help text
            line 5: interval `1h1ms` is not between 10ms and 1h; change it, or quote the help text
            line 6: interval `9999999999999999999999999999999999999999999999999999999999999999` is not between 10ms and 1h; change it, or quote the help text
            line 7: no help text; write NAME, type, help
            line 8: a quoted cell is not closed; close the quote or leave it out
        "#]],
    );
}

#[test]
fn an_open_quote_does_not_affect_other_lines() {
    check(
        "DCGM_FI_DEV_SM_CLOCK, gauge, \"SM clock\n\
         DCGM_FI_DEV_MEM_CLOCK, gauge, 19\" rack\n\
         \"DCGM_FI_DEV_GPU_TEMP, gauge, t\n\
         DCGM_FI_DEV_POWER_USAGE, \"gauge, p\n\
         DCGM_FI_DEV_FB_USED, gauge, used\n",
        expect![[r#"
            101 DCGM_FI_DEV_MEM_CLOCK gauge [19" rack]
            252 DCGM_FI_DEV_FB_USED gauge [used]
            line 1: a quoted cell is not closed; close the quote or leave it out
            line 3: a quoted cell is not closed; close the quote or leave it out
            line 4: a quoted cell is not closed; close the quote or leave it out
        "#]],
    );
}

#[test]
fn quoted_cells_are_unquoted_and_the_rest_is_as_written() {
    check(
        "\"DCGM_FI_DEV_SM_CLOCK\",\"gauge\",\"a \"\"b\"\" c\"\n\
         \"DCGM_FI_DEV_MEM_CLOCK\" , \" Counter\" , \" inner blanks \" \n\
         DCGM_FI_DEV_GPU_TEMP, gauge, \"half\" quoted\n\
         DCGM_FI_DEV_POWER_USAGE, gauge, \"\"\n\
         DCGM_FI_DEV_FB_USED, gauge, \"\"\"\"\n",
        expect![[r#"
            100 DCGM_FI_DEV_SM_CLOCK gauge [a "b" c]
            101 DCGM_FI_DEV_MEM_CLOCK counter [inner blanks]
            150 DCGM_FI_DEV_GPU_TEMP gauge ["half" quoted]
            252 DCGM_FI_DEV_FB_USED gauge ["]
            line 4: no help text; write NAME, type, help
        "#]],
    );
}

#[test]
fn blanks_tabs_a_bom_and_carriage_returns_are_ignored() {
    check(
        "\u{feff}DCGM_FI_DEV_SM_CLOCK,\tgauge,\tSM clock\r\n\
         \t DCGM_FI_DEV_DEC_UTIL , gauge ,  with\ttab \t\r\n",
        expect![[r#"
            100 DCGM_FI_DEV_SM_CLOCK gauge [SM clock]
            207 DCGM_FI_DEV_DEC_UTIL gauge [with	tab]
        "#]],
    );
}

#[test]
fn comments_blank_lines_and_commas_are_ignored() {
    let text = b"# DCGM_FI_DEV_SM_CLOCK, gauge, h\n  \t# more\n\n \t\r\n,,\n , ,\t\r\n#\xFF\xFE\n,";
    assert_eq!(parse(text), Counters::default());
    assert_eq!(parse(b""), Counters::default());
    assert_eq!(parse(b"\xEF\xBB\xBF"), Counters::default());
}

#[test]
fn a_row_that_is_not_utf8_is_skipped() {
    let text = b"DCGM_FI_DEV_GPU_TEMP, gauge, in \xB0C\nDCGM_FI_DEV_SM_CLOCK, gauge, h\n";
    let counters = parse(text);
    assert_eq!(counters.watches.len(), 1);
    let row = "DCGM_FI_DEV_GPU_TEMP, gauge, in \u{fffd}C".to_owned();
    assert_eq!(counters.skipped, [Skipped { line: 1, row, why: RowError::NotUtf8 }]);
}

#[test]
fn types_are_read_in_any_letter_case_and_numbers_may_be_labels() {
    check(
        "DCGM_FI_DEV_SM_CLOCK, Gauge, h\n\
         DCGM_FI_DEV_MEM_CLOCK, COUNTER, h\n\
         DCGM_FI_DEV_GPU_TEMP, untyped, h\n\
         DCGM_FI_DEV_MINOR_NUMBER, Label, h\n\
         DCGM_FI_DRIVER_VERSION, label, h\n\
         DCGM_EXP_P2P_STATUS, untyped, h\n",
        expect![[r#"
            100 DCGM_FI_DEV_SM_CLOCK gauge [h]
            101 DCGM_FI_DEV_MEM_CLOCK counter [h]
            150 DCGM_FI_DEV_GPU_TEMP untyped [h]
            55 DCGM_FI_DEV_MINOR_NUMBER label [h]
            1 DCGM_FI_DRIVER_VERSION label [h]
            9004 DCGM_EXP_P2P_STATUS untyped [h]
        "#]],
    );
}

#[test]
fn backslashes_and_quotes_in_the_help_stay_and_control_characters_do_not() {
    check(
        "DCGM_FI_DEV_SM_CLOCK, gauge, C:\\new \\\"x\\\"\n\
         DCGM_FI_DEV_MEM_CLOCK, gauge, a\u{0}b\rc\u{1b}[1md\u{85}\n",
        expect![[r#"
            100 DCGM_FI_DEV_SM_CLOCK gauge [C:\new \"x\"]
            101 DCGM_FI_DEV_MEM_CLOCK gauge [a b c [1md]
        "#]],
    );
}

#[test]
fn names_of_every_generation_are_kept_as_written() {
    check(
        "DCGM_FI_DEV_GPU_TEMP, gauge, h\n\
         DCGM_FI_DEV_GPU_TEMP_CELSIUS, gauge, h\n\
         dcgm_gpu_temp, gauge, h\n\
         DCGM_FI_DEV_CLOCK_THROTTLE_REASONS, gauge, h\n\
         DCGM_FI_DEV_CLOCKS_EVENT_REASONS, gauge, h\n",
        expect![[r#"
            150 DCGM_FI_DEV_GPU_TEMP gauge [h]
            150 DCGM_FI_DEV_GPU_TEMP_CELSIUS gauge [h]
            150 dcgm_gpu_temp gauge [h]
            112 DCGM_FI_DEV_CLOCK_THROTTLE_REASONS gauge [h]
            112 DCGM_FI_DEV_CLOCKS_EVENT_REASONS gauge [h]
        "#]],
    );
}

#[test]
fn the_first_of_two_rows_wins() {
    check(
        "# one\n\
         DCGM_FI_DEV_SM_CLOCK, gauge, first\n\
         DCGM_FI_DEV_SM_CLOCK, counter, second\n\
         DCGM_FI_DRIVER_VERSION, label, h\n\
         DCGM_FI_SYSTEM_DRIVER_VERSION, label, h\n\
         DCGM_FI_DEV_PCIE_LINK_GEN, label, h\n\
         DCGM_FI_DEV_PCIE_LINK_GEN, gauge, h\n",
        expect![[r#"
            100 DCGM_FI_DEV_SM_CLOCK gauge [first]
            1 DCGM_FI_DRIVER_VERSION label [h]
            237 DCGM_FI_DEV_PCIE_LINK_GEN label [h]
            line 3: `DCGM_FI_DEV_SM_CLOCK` is on line 2 already; leave one of them out
            line 5: `DCGM_FI_SYSTEM_DRIVER_VERSION` is the label of line 4 under another name; leave one of them out
            line 7: `DCGM_FI_DEV_PCIE_LINK_GEN` is on line 6 already; leave one of them out
        "#]],
    );
}

#[test]
fn a_row_that_failed_takes_no_name() {
    check(
        "DCGM_FI_DEV_SM_CLOCK, histogram, h\n\
         DCGM_FI_DEV_SM_CLOCK, gauge, h\n",
        expect![[r#"
            100 DCGM_FI_DEV_SM_CLOCK gauge [h]
            line 1: one value is no histogram; write gauge, counter, untyped or label
        "#]],
    );
}

#[test]
fn a_skipped_row_is_short_and_printable() {
    let name = "\u{1b}é".repeat(500);
    let skipped = parse(format!("  {name}, gauge, h").as_bytes()).skipped;
    assert_eq!(skipped[0].row, " é".repeat(60));
    assert!(skipped[0].why.to_string().chars().count() < 140);
    assert!(!skipped[0].why.to_string().contains('\u{1b}'));
}

#[test]
fn a_long_help_text_is_cut_between_characters() {
    let text = format!("DCGM_FI_DEV_SM_CLOCK, gauge, x{}", "é".repeat(2000));
    let help = parse(text.as_bytes()).watches.remove(0).help;
    assert_eq!(help.len(), MAX_HELP_BYTES - 1);
    assert!(help.starts_with('x') && help.ends_with('é'));
}

#[test]
fn a_file_of_nonsense_is_not_read_to_its_end() {
    let counters = parse("DCGM_FI_DEV_NOTHING, gauge, h\n".repeat(100_000).as_bytes());
    assert_eq!(counters.skipped.len(), MAX_SKIPPED);
    let last = counters.skipped.last().unwrap();
    assert_eq!((last.line, &last.why), (MAX_SKIPPED, &RowError::NotRead));
}

#[test]
fn the_number_of_watches_is_limited() {
    let watch = parse(b"DCGM_FI_DEV_SM_CLOCK, gauge, h").watches.remove(0);
    let mut taken = Taken::default();
    for line in 0..MAX_WATCHES {
        let watch = Watch { name: line.to_string().into(), ..watch.clone() };
        taken.admit(watch, line).unwrap();
    }
    assert_eq!(taken.admit(watch, MAX_WATCHES), Err(RowError::TooMany));
}

/// Every name that can stand in a file.
fn names() -> Vec<&'static str> {
    let canonical = FIELDS.iter().filter_map(|field| field.canonical);
    FIELDS.iter().map(|field| field.name).chain(canonical).collect()
}

fn help() -> impl Strategy<Value = String> {
    let letter = prop_oneof![
        4 => proptest::char::range('a', 'z'),
        2 => proptest::sample::select(vec!['"', ',', '\\', '#', ' ', '\t', '\'', '{']),
        1 => any::<char>(),
    ];
    proptest::collection::vec(letter, 1..40)
        .prop_map(|letters| {
            let text: String = letters.into_iter().filter(|c| !c.is_control()).collect();
            text.trim().to_owned()
        })
        .prop_filter("a help text is not empty", |text| !text.is_empty())
        .prop_filter("a help text that ends in an interval has to be quoted", |text| {
            interval::split(text).is_ok_and(|(_, interval)| interval.is_none())
        })
}

/// An interval of a row's own, a whole number of milliseconds.
fn pace() -> impl Strategy<Value = Option<u64>> {
    proptest::option::of(10..=3_600_000u64)
}

/// Watches that one file can ask for together.
fn legal_watches() -> impl Strategy<Value = Vec<Watch>> {
    let row = (proptest::sample::select(names()), 0..4usize, help(), pace());
    proptest::collection::vec(row, 0..30).prop_map(|rows| {
        let (mut names, mut labels) = (HashSet::new(), HashSet::new());
        let mut watches = Vec::new();
        for (name, kind, help, millis) in rows {
            let field = by_name(name).unwrap();
            let kind = match (field.value, field.level) {
                (ValueType::Text, _) => Kind::Label,
                (_, Level::Exporter) => [Kind::Gauge, Kind::Counter, Kind::Untyped][kind % 3],
                _ => [Kind::Gauge, Kind::Counter, Kind::Untyped, Kind::Label][kind],
            };
            if names.contains(name) || kind == Kind::Label && !labels.insert(field.id) {
                continue;
            }
            names.insert(name);
            let (name, help) = (name.into(), help.into());
            let millis = millis.filter(|_| !crate::field::is_derived(field.id));
            let pace = millis.map_or(field.pace, |m| Pace::At(Duration::from_millis(m)));
            let cumulative = field.is_cumulative();
            watches.push(Watch { field: field.id, name, kind, help, pace, cumulative });
        }
        watches
    })
}

/// A cell as CSV quotes it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// The watches as a file, in one of several hands.
fn written(watches: &[Watch], hand: u8) -> String {
    let (all_quoted, end) = (hand & 1 == 0, if hand & 2 == 0 { "\n" } else { "\r\n" });
    let comma = [",", ", ", "\t,\t", " ,"][usize::from(hand >> 2 & 3)];
    let mut out = if hand & 16 == 0 { "" } else { "\u{feff}" }.to_owned();
    for Watch { name, kind, help, pace, .. } in watches {
        let kind = kind.as_str();
        let interval = match pace {
            Pace::At(interval) if all_quoted => {
                format!("{comma}{}", quoted(&format!("{}ms", interval.as_millis())))
            }
            Pace::At(interval) => format!("{comma}{}ms", interval.as_millis()),
            Pace::Every | Pace::Slow => String::new(),
        };
        let (name, kind, help) = match all_quoted {
            true => (quoted(name), quoted(kind), quoted(help)),
            false if help.starts_with('"') => (name.to_string(), kind.to_uppercase(), quoted(help)),
            false => (name.to_string(), kind.to_uppercase(), help.to_string()),
        };
        write!(out, "{name}{comma}{kind}{comma}{help}{interval}{end}# comment{end}").unwrap();
    }
    out
}

proptest! {
    #[test]
    fn any_bytes_give_at_most_one_thing_per_line(
        text in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let counters = parse(&text);
        let lines = text.split(|&byte| byte == b'\n').count();
        prop_assert!(counters.watches.len() + counters.skipped.len() <= lines);
    }

    #[test]
    fn bytes_that_look_like_rows_give_at_most_one_thing_per_line(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "DCGM_FI_DEV_SM_CLOCK", "dcgm_gpu_temp", "DCGM_EXP_P2P_STATUS", "gauge", "label",
                "\"", "\"\"", ",", ",", " ", "\t", "\n", "\r\n", "\r", "#", "\\", "é", "\u{feff}",
                "\u{0}", "h", "10s", "99h",
            ]),
            0..200,
        ),
    ) {
        let text = pieces.concat();
        let counters = parse(text.as_bytes());
        prop_assert!(counters.watches.len() + counters.skipped.len() <= text.split('\n').count());
        for watch in counters.watches {
            prop_assert!(!watch.help.is_empty() && watch.help.len() <= MAX_HELP_BYTES);
            prop_assert!(!watch.help.chars().any(|c| c.is_control() && c != '\t'));
        }
    }

    #[test]
    fn what_is_written_is_read_back(watches in legal_watches(), hand in 0..32u8) {
        let counters = parse(written(&watches, hand).as_bytes());
        prop_assert_eq!(counters.skipped, []);
        prop_assert_eq!(counters.watches, watches);
    }
}
