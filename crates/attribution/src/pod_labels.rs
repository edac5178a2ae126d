//! Which labels of a pod become labels of its series, and under which names.

/// Patterns of the pod labels that are served.
#[derive(Clone, Debug, Default)]
pub struct AllowList {
    patterns: Vec<regex_lite::Regex>,
}

impl AllowList {
    /// Reads patterns; those that are invalid come back as errors.
    ///
    /// # Errors
    ///
    /// If all of them are invalid.
    pub fn new(patterns: &[String]) -> Result<(Self, Vec<AllowListError>), AllowListError> {
        let _ = patterns;
        Ok((Self::default(), Vec::new()))
    }
}

/// A pattern that is no regular expression.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{pattern}` is no regular expression: {message}")]
pub struct AllowListError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub message: String,
}
