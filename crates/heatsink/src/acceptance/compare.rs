//! Compares the values of a round, and those of all rounds of a phase.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::table::{Kind, Phase, Row};
use super::value;
use super::values::{Values, get, number};
use super::verdict::{Verdict, decimal, pass, within};

/// A value from this long ago is in heatsink's window of 60 s for certain.
const SURELY_IN_WINDOW: Duration = Duration::from_secs(55);

/// A scrape, and the answers of `nvidia-smi` before and after it.
pub(super) struct Round {
    pub(super) phase: Phase,
    /// From 1.
    pub(super) number: u32,
    pub(super) at: Instant,
    pub(super) before: Values,
    pub(super) page: Values,
    pub(super) after: Values,
}

/// Means of GPM metrics, by UUID and number of the metric, in units of `nvidia-smi dmon`. There is no
/// number if `dmon` never printed one.
pub(super) type Means = HashMap<(String, u32), Option<f64>>;

/// One line of comparisons.tsv.
pub(super) struct Comparison {
    pub(super) phase: Phase,
    /// `all` for a verdict about a whole phase.
    pub(super) round: String,
    pub(super) uuid: String,
    pub(super) row: Row,
    pub(super) verdict: Verdict,
    /// The answer before, the served value, and the answer after; or those that are compared instead.
    pub(super) values: [String; 3],
}

/// The verdict, and the values that were compared.
type Judged = (Verdict, [String; 3]);

/// Compares the values of the last of these rounds, which are all rounds until now.
pub(super) fn round(rows: &[Row], rounds: &[Round]) -> Vec<Comparison> {
    let Some(Round { phase, number, before, page, after, .. }) = rounds.last() else {
        return Vec::new();
    };
    let gpus: BTreeSet<_> = before.keys().chain(after.keys()).chain(page.keys()).collect();
    let judge = |row: &Row, uuid: &str| match row.kind {
        Kind::Grows | Kind::Mean(_) => None,
        Kind::Peak(family) => Some(peak(row, family, rounds, uuid)),
        _ => {
            let (before, after) = (answer(before, uuid, row), answer(after, uuid, row));
            let served = get(page, uuid, row.field);
            Some((value::compare(row, &before, &after, served), [before, served.to_owned(), after]))
        }
    };
    compare(rows, *phase, &number.to_string(), gpus, judge)
}

/// Compares what only all rounds of a phase show.
pub(super) fn phase(
    rows: &[Row],
    rounds: &[Round],
    phase: Phase,
    means: &Means,
) -> Vec<Comparison> {
    let rounds: Vec<&Round> = rounds.iter().filter(|round| round.phase == phase).collect();
    let judge = |row: &Row, uuid: &str| match row.kind {
        Kind::Grows => Some(grows(row, &rounds, uuid)),
        Kind::Mean(metric) => {
            let mean = means.get(&(uuid.to_owned(), metric))?;
            Some(compare_means(row, *mean, &rounds, uuid))
        }
        _ => None,
    };
    let gpus = rounds.first().into_iter().flat_map(|round| round.before.keys());
    compare(rows, phase, "all", gpus, judge)
}

fn compare<'a>(
    rows: &[Row],
    phase: Phase,
    round: &str,
    gpus: impl IntoIterator<Item = &'a String>,
    judge: impl Fn(&Row, &str) -> Option<Judged>,
) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    for uuid in gpus {
        for row in rows.iter().filter(|row| row.is_in(phase)) {
            let Some((verdict, values)) = judge(row, uuid) else { continue };
            let (round, uuid) = (round.to_owned(), uuid.clone());
            comparisons.push(Comparison { phase, round, uuid, row: *row, verdict, values });
        }
    }
    comparisons
}

/// The answer in the row's column, or the quotient of two.
fn answer(answers: &Values, uuid: &str, row: &Row) -> String {
    let column = row.columns[0];
    let Some((over, under)) = column.split_once('/') else {
        return get(answers, uuid, column).to_owned();
    };
    match (number(get(answers, uuid, over)), number(get(answers, uuid, under))) {
        (Some(over), Some(under)) if under != 0.0 => decimal(over / under),
        _ => "N/A".to_owned(),
    }
}

/// The values are the highest one within the window, and the served one.
fn peak(row: &Row, family: &str, rounds: &[Round], uuid: &str) -> Judged {
    let last = rounds.last().map(|round| (round.at, number(get(&round.page, uuid, row.field))));
    let Some((now, served)) = last else { return (Verdict::Absent, [const { String::new() }; 3]) };
    let recent = rounds.iter().filter(|round| now - round.at <= SURELY_IN_WINDOW);
    let highest =
        recent.filter_map(|round| number(get(&round.page, uuid, family))).reduce(f64::max);
    let verdict = match (highest, served) {
        (None, _) => Verdict::Absent,
        (_, None) => Verdict::Wrong("not on the page"),
        (Some(highest), Some(served)) => within((highest - served).max(0.0), row.absolute),
    };
    (verdict, [highest, served, None].map(optional))
}

/// The values are the first one, the last, and the highest that passes.
fn grows(row: &Row, rounds: &[&Round], uuid: &str) -> Judged {
    let is_active = |answers: &Values| get(answers, uuid, row.columns[0]) == "Active";
    let active = rounds.iter().filter(|round| is_active(&round.before) && is_active(&round.after));
    let served = active.map(|round| Some((round.at, number(get(&round.page, uuid, row.field))?)));
    let Some(served) = served.collect::<Option<Vec<_>>>() else {
        return (Verdict::Wrong("not on the page"), [const { String::new() }; 3]);
    };
    let [(from, first), .., (to, last)] = served[..] else {
        return (Verdict::Free, [const { String::new() }; 3]);
    };
    let most = first + (to - from).as_secs_f64() * (1.0 + row.percent / 100.0) + row.absolute;
    let verdict = if !served.is_sorted_by_key(|(_, value)| *value) {
        Verdict::Wrong("it fell")
    } else if last <= first {
        Verdict::Wrong("it did not grow")
    } else {
        pass(last <= most, "it grew faster than time")
    };
    (verdict, [first, last, most].map(decimal))
}

/// The values are the mean of `nvidia-smi dmon`, and that of the served ones.
fn compare_means(row: &Row, mean: Option<f64>, rounds: &[&Round], uuid: &str) -> Judged {
    let served = rounds.iter().filter_map(|round| number(get(&round.page, uuid, row.field)));
    let (mean, served) = (mean.map(|mean| mean * row.scale), self::mean(served));
    let verdict = match (mean, served) {
        (None, None) => Verdict::Absent,
        (None, Some(_)) => Verdict::Wrong("not in nvidia-smi"),
        (Some(_), None) => Verdict::Wrong("not on the page"),
        (Some(mean), Some(served)) => within((served - mean).abs(), row.tolerance(mean)),
    };
    let mean = mean.map_or_else(|| "N/A".to_owned(), decimal);
    (verdict, [mean, optional(served), String::new()])
}

/// Without numbers, there is no mean.
pub(super) fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.fold((0.0, 0.0), |(sum, count), number| (sum + number, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

fn optional(value: Option<f64>) -> String {
    value.map(decimal).unwrap_or_default()
}
