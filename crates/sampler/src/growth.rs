//! Counters that fall: doubted once, believed when the next reading says the same.

use model::{Reading, Reason, Value};

/// What is remembered of one counter. All of them count in whole numbers.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Growth {
    /// The last value that was served.
    accepted: Option<i64>,
    /// Whether a lower one came after it, and was not.
    is_doubted: bool,
}

impl Growth {
    /// The reading, or the doubt in it. A value below the last one is nonsense, or the counter was
    /// reset: the next reading tells.
    pub(crate) fn judge(&mut self, reading: &Reading) -> Reading {
        let Ok(Value::Int(count)) = *reading else { return reading.clone() };
        let has_fallen = self.accepted.is_some_and(|before| count < before);
        if has_fallen && !self.is_doubted {
            self.is_doubted = true;
            return Err(Reason::Implausible);
        }
        *self = Self { accepted: Some(count), is_doubted: false };
        Ok(Value::Int(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(values: &[i64]) -> Vec<Option<i64>> {
        let mut growth = Growth::default();
        values
            .iter()
            .map(|value| match growth.judge(&Ok(Value::Int(*value))) {
                Ok(Value::Int(value)) => Some(value),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn one_that_falls_is_dropped_once() {
        assert_eq!(judged(&[5, 3, 6]), [Some(5), None, Some(6)], "nonsense in between");
        assert_eq!(judged(&[5, 0, 1, 2]), [Some(5), None, Some(1), Some(2)], "a reset");
        assert_eq!(judged(&[5, 0, 0]), [Some(5), None, Some(0)]);
        assert_eq!(judged(&[9, 5, 3, 4]), [Some(9), None, Some(3), Some(4)], "low twice is low");
    }

    #[test]
    fn what_is_no_value_changes_nothing() {
        let mut growth = Growth::default();
        assert_eq!(growth.judge(&Ok(Value::Int(5))), Ok(Value::Int(5)));
        assert_eq!(growth.judge(&Err(Reason::Failed)), Err(Reason::Failed));
        assert_eq!(growth.judge(&Ok(Value::Int(3))), Err(Reason::Implausible));
    }
}
