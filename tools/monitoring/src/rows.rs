//! The rows of counters files that rules need.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use model::catalog::builtin::Set;

use crate::expand;
use crate::source::{Alert, Source};

/// Fails if a rule needs a field that no shipped row asks for.
pub(crate) fn check(source: &Source) -> Result<()> {
    let mut known = names(Set::Default);
    known.extend(names(Set::Monitoring));
    let alerts = source.alerts().map(|alert| (&alert.name, &alert.expr));
    let records = source.records().map(|record| (&record.name, &record.expr));
    for (name, expr) in alerts.chain(records) {
        for field in expand::fields(expr)? {
            ensure!(
                known.contains(field),
                "`{name}` needs `{field}`, and neither the default counters file nor \
                 deploy/counters/monitoring.csv has it: it could never be true"
            );
        }
    }
    Ok(())
}

/// Whether an alert needs rows beyond those of the default counters file to fire at all.
pub(crate) fn needs_extra(source: &Source, alert: &Alert) -> Result<bool> {
    let default = names(Set::Default);
    Ok(fields(source, alert)?.iter().any(|field| !default.contains(*field)))
}

/// The fields that an alert needs, those of recorded series included.
fn fields(source: &Source, alert: &Alert) -> Result<BTreeSet<&'static str>> {
    let mut fields = expand::fields(&alert.expr)?;
    for record in source.records().filter(|record| alert.expr.contains(&record.name)) {
        fields.extend(expand::fields(&record.expr)?);
    }
    Ok(fields)
}

/// The names of the metrics of a built-in set.
fn names(set: Set) -> BTreeSet<String> {
    set.watches().into_iter().map(|watch| watch.name.to_string()).collect()
}
