//! Compares one served value with the answers of `nvidia-smi` before and after the scrape.

use super::table::{Kind, Row};
use super::values::number;
use super::verdict::{Verdict, pass, within};

/// The verdict about a value of the page. An empty text is an absent value.
pub(super) fn compare(row: &Row, before: &str, after: &str, served: &str) -> Verdict {
    if before.contains("deprecated") || after.contains("deprecated") {
        return Verdict::NotRead;
    }
    let is_active = before == "Active" && after == "Active";
    if matches!(row.kind, Kind::Set | Kind::Below) && !is_active {
        return Verdict::Free;
    }
    let (before, after) = match (is_answer(before), is_answer(after)) {
        (false, false) if served.is_empty() => return Verdict::Absent,
        (false, false) => return Verdict::Wrong("not in nvidia-smi"),
        (true, true) if served.is_empty() => return Verdict::Wrong("not on the page"),
        (true, true) => (before, after),
        // It came or went between the two answers: compare with the only one.
        _ if served.is_empty() => return Verdict::Absent,
        (true, false) => (before, before),
        (false, true) => (after, after),
    };
    if row.kind == Kind::Text {
        return pass(served == before || served == after, "another text");
    }
    let Some(served) = number(served) else { return Verdict::Wrong("not a number") };
    let read = match row.kind {
        Kind::Set => return pass(served == 1.0, "not 1"),
        Kind::Below => return pass(served < 1.0, "not below 1"),
        Kind::Bits => mask,
        Kind::Word => word,
        _ => number,
    };
    let (Some(before), Some(after)) = (read(before), read(after)) else {
        return Verdict::Wrong("the answer of nvidia-smi is not a number");
    };
    if row.kind == Kind::Bits {
        let (served, before, after) = (served as u64, before as u64, after as u64);
        let wrong = served & !(before | after) | before & after & !served;
        return within(f64::from(wrong.count_ones()), 0.0);
    }
    let (low, high) = (before.min(after) * row.scale, before.max(after) * row.scale);
    within((low - served).max(served - high).max(0.0), row.tolerance(high))
}

/// Whether it is more than `N/A`, `[N/A]`, `[Not Supported]` and the like.
fn is_answer(answer: &str) -> bool {
    !(answer.is_empty() || answer == "N/A" || answer.starts_with('[') && answer.ends_with(']'))
}

fn mask(answer: &str) -> Option<f64> {
    u64::from_str_radix(answer.trim_start_matches("0x"), 16).ok().map(|mask| mask as f64)
}

fn word(answer: &str) -> Option<f64> {
    Some(match answer {
        "No" | "Disabled" | "Not Active" | "None" => 0.0,
        "Yes" | "Enabled" | "Active" | "Reset" | "GPU Reset" => 1.0,
        "Reboot" | "Node Reboot" => 2.0,
        "Drain P2P" => 3.0,
        "Drain and Reset" => 4.0,
        _ => return number(answer.strip_prefix('P').unwrap_or(answer)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acceptance::table::{TABLE, name};

    fn check(field: &str, answers: [&str; 2], served: &str, expect: Verdict) {
        let row = TABLE.iter().find(|row| row.field == field).expect("a row of the table");
        assert_eq!(
            compare(row, answers[0], answers[1], served),
            expect,
            "{field} {answers:?} {served}"
        );
    }

    #[test]
    fn values_are_compared_with_both_answers() {
        use Verdict::{Absent, Differs, Free, NotRead, Pass, Wrong};
        let (limit, power) = ("DCGM_FI_DEV_POWER_MGMT_LIMIT", "DCGM_FI_DEV_POWER_USAGE");
        check(power, ["200", "300"], "250", Pass(0.0));
        check(power, ["300", "200"], "315", Pass(15.0));
        check(power, ["200", "300"], "316", Differs(16.0));
        check(power, ["200", "300"], "194", Pass(6.0));
        check(limit, ["699", "699"], "701", Differs(2.0));
        check(limit, ["[N/A]", "699"], "700", Pass(1.0));
        check(limit, ["[N/A]", "699"], "", Absent);
        check(limit, ["[N/A]", "[Unknown Error]"], "", Absent);
        check(limit, ["[N/A]", "[N/A]"], "700", Wrong("not in nvidia-smi"));
        check(limit, ["699", "699"], "", Wrong("not on the page"));
        check(limit, ["much", "much"], "1", Wrong("the answer of nvidia-smi is not a number"));
        check(limit, ["[has been deprecated]", "699"], "1", NotRead);
        check("DCGM_FI_DEV_PSTATE", ["P8", "P0"], "2", Pass(0.0));
        check("DCGM_FI_DEV_GET_GPU_RECOVERY_ACTION", ["None", "None"], "4", Differs(4.0));
        check("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", ["0x5", "0x6"], "7", Pass(0.0));
        check("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", ["0x5", "0x6"], "8", Differs(2.0));
        let set = "heatsink_clock_event_active{reason=\"power_cap\"}";
        check(set, ["Active", "Active"], "0", Wrong("not 1"));
        check(set, ["Active", "Not Active"], "0", Free);
        check("heatsink_gpu_slowdown_ratio", ["Active", "Active"], "1", Wrong("not below 1"));
    }

    #[test]
    fn only_fields_that_exist_are_compared() {
        for row in TABLE.iter().filter(|row| row.field.starts_with("DCGM_")) {
            assert!(model::catalog::by_name(row.field).is_some(), "{}", row.field);
            assert_eq!(row.columns.is_empty(), name(row.kind) == "mean", "{}", row.field);
        }
    }
}
