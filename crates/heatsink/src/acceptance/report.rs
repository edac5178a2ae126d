//! The files that a run leaves: `comparisons.tsv` and `summary.txt`.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::Comparison;
use super::dmon::Gpm;
use super::table::{Kind, Phase, name};
use super::values::samples;
use super::verdict::{Verdict, decimal};

/// All comparisons, and what was not compared.
#[derive(Default)]
pub(super) struct Report {
    pub(super) comparisons: Vec<Comparison>,
    /// `FIELD: reason`.
    pub(super) not_compared: Vec<String>,
    /// Numbers, names and units of `nvidia-smi dmon`.
    pub(super) gpm_columns: String,
    /// All families that were served.
    pub(super) families: BTreeSet<String>,
}

/// The comparisons of one line of the summary.
#[derive(Default)]
struct Line {
    compared: u32,
    passed: u32,
    absent: u32,
    worst: f64,
    reason: &'static str,
}

/// The sections of the summary.
const SECTIONS: [&str; 3] = [
    "Values, in all phases",
    "With the power limit at its lowest",
    "GPM, the means of a phase and those of nvidia-smi dmon --gpm-metrics",
];

/// The section of a comparison, and the name of its line.
fn place(Comparison { row, phase, .. }: &Comparison) -> (&'static str, String) {
    match row.kind {
        Kind::Mean(_) => (SECTIONS[2], format!("{}, {}", row.field, name(phase))),
        kind if row.field.starts_with("heatsink_") => {
            (SECTIONS[1], format!("{}, {}", row.field, name(kind)))
        }
        _ => (SECTIONS[0], row.field.to_owned()),
    }
}

impl Report {
    /// Adds the last page of a phase and the output of `nvidia-smi dmon`.
    pub(super) fn add(&mut self, phase: &str, page: &str, gpm: Gpm) {
        self.families.extend(samples(page).map(|(family, ..)| family.to_owned()));
        let reasons = gpm.not_compared.iter().map(|reason| format!("GPM, {phase}: {reason}"));
        self.not_compared.extend(reasons);
        if !gpm.columns.is_empty() {
            self.gpm_columns = format!("  columns of dmon: {}\n", gpm.columns);
        }
    }

    pub(super) fn has_failure(&self) -> bool {
        self.comparisons.iter().any(|comparison| comparison.verdict.is_failure())
    }

    pub(super) fn has(&self, phase: Phase) -> bool {
        self.comparisons.iter().any(|comparison| comparison.phase == phase)
    }

    /// `comparisons.tsv`, one line per comparison.
    pub(super) fn comparisons(&self) -> String {
        let header = "phase round uuid field kind verdict difference before served after\n";
        let mut text = header.replace(' ', "\t");
        for Comparison { phase, round, uuid, row, verdict, values } in &self.comparisons {
            let values = values.each_ref().map(|value| if value.is_empty() { "-" } else { value });
            let (phase, kind, values) = (name(phase), name(row.kind), values.join("\t"));
            text +=
                &format!("{phase}\t{round}\t{uuid}\t{}\t{kind}\t{verdict}\t{values}\n", row.field);
        }
        text
    }

    /// `summary.txt`, after its first lines.
    pub(super) fn summary(&self) -> String {
        let mut text = String::new();
        for section in SECTIONS {
            text += &format!("\n{section}:\n");
            text += if section == SECTIONS[2] { &self.gpm_columns } else { "" };
            text += &self.lines(section);
        }
        text += "\ncompared: GPUs x rounds. worst: the largest distance to the nearer answer of \
                 nvidia-smi.\n\nNot compared:\n";
        let not_compared = self.not_compared.iter().cloned().chain(self.never_judged());
        let not_compared: String = not_compared.map(|reason| format!("  {reason}\n")).collect();
        text += if not_compared.is_empty() { "  nothing\n" } else { &not_compared };
        text + &self.only_served()
    }

    /// The lines of a section, in the order of their first comparison.
    fn lines(&self, section: &str) -> String {
        let mut lines: Vec<(String, Line)> = Vec::new();
        for comparison in &self.comparisons {
            let (place, field) = place(comparison);
            if place != section {
                continue;
            }
            let at = lines.iter().position(|(known, _)| *known == field).unwrap_or_else(|| {
                lines.push((field, Line::default()));
                lines.len() - 1
            });
            lines[at].1.add(comparison.verdict);
        }
        if lines.is_empty() {
            return "  nothing was compared\n".to_owned();
        }
        let row = |cells: [&str; 6]| {
            let [field, compared, passed, absent, worst, verdict] = cells;
            format!("{field:<62} {compared:>8} {passed:>8} {absent:>8} {worst:>10}  {verdict}\n")
        };
        let mut text = row(["field", "compared", "passed", "absent", "worst", "verdict"]);
        for (field, line) in &lines {
            let worst = if line.compared == 0 { "-".to_owned() } else { decimal(line.worst) };
            let counts = [line.compared, line.passed, line.absent].map(|count| count.to_string());
            let [compared, passed, absent] = counts.each_ref().map(String::as_str);
            text += &row([field, compared, passed, absent, &worst, &line.verdict()]);
        }
        text
    }

    /// Rows without any verdict, except those that are absent in both.
    fn never_judged(&self) -> BTreeSet<String> {
        let mut rows = BTreeMap::new();
        for Comparison { row, verdict, .. } in &self.comparisons {
            let reason = match verdict {
                Verdict::NotRead => Some("nvidia-smi has the column, but no longer reads it"),
                Verdict::Free => Some("sw_power_cap was never Active in both answers"),
                _ => None,
            };
            let known = rows.entry((row.field, name(row.kind))).or_insert(reason);
            *known = known.and(reason);
        }
        let rows = rows.into_iter();
        rows.filter_map(|((field, _), reason)| Some(format!("{field}: {}", reason?))).collect()
    }

    /// Families without a comparison. Numbers in names are replaced: `L*` stands for all links.
    fn only_served(&self) -> String {
        let is_judged = |comparison: &&Comparison| {
            !matches!(comparison.verdict, Verdict::Free | Verdict::NotRead)
        };
        let fields =
            self.comparisons.iter().filter(is_judged).map(|comparison| comparison.row.field);
        let fields = fields.chain(self.not_compared.iter().map(String::as_str));
        let compared: BTreeSet<_> =
            fields.filter_map(|text| text.split([':', '{']).next()).collect();
        let only = self.families.iter().filter(|family| !compared.contains(family.as_str()));
        let mut folded: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for family in only.clone() {
            folded.entry(fold(family)).or_default().push(family);
        }
        let mut text = format!(
            "\nServed, not compared (nvidia-smi has no column for it, or its phase was not run): \
             {} families\n",
            only.count()
        );
        for (folded, families) in folded {
            text += &match families[..] {
                [family] => format!("  {family}\n"),
                _ => format!("  {folded} ({})\n", families.len()),
            };
        }
        text
    }
}

/// The name with `*` for each number, except in `FP64` and `C2C`.
fn fold(family: &str) -> String {
    let mut folded = family.replace(|c: char| c.is_ascii_digit(), "*");
    while folded.contains("**") {
        folded = folded.replace("**", "*");
    }
    if folded.contains("FP*") || folded.contains("C*C") { family.to_owned() } else { folded }
}

impl Line {
    fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Free | Verdict::NotRead => return,
            Verdict::Absent => return self.absent += 1,
            Verdict::Pass(distance) | Verdict::Differs(distance) => {
                self.worst = self.worst.max(distance);
            }
            Verdict::Wrong(reason) => self.reason = reason,
        }
        self.compared += 1;
        self.passed += u32::from(!verdict.is_failure());
    }

    fn verdict(&self) -> String {
        match self.reason {
            "" if self.passed < self.compared => "FAIL".to_owned(),
            "" if self.compared > 0 => "pass".to_owned(),
            "" if self.absent > 0 => "absent in both".to_owned(),
            "" => "not compared".to_owned(),
            reason => format!("FAIL: {reason}"),
        }
    }
}
