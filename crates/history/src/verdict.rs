//! The table of verdicts: which signs together mean which cause.

use crate::incident::{Confidence, Verdict};
use crate::sign::Sign;

/// The verdict on these signs.
pub fn of(signs: &[Sign]) -> Verdict {
    let _ = signs;
    Verdict {
        name: "not_known".to_owned(),
        cause: "The cause is not known.".to_owned(),
        evidence: Vec::new(),
        actions: Vec::new(),
        confidence: Confidence::None,
        runbook: None,
    }
}
