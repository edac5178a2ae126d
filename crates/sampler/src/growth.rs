//! Counters that fall: doubted once, believed when the next reading says the same.

use model::{Reading, Reason, Value};

/// What is remembered of one counter.
#[derive(Clone, Default, Debug)]
pub(crate) struct Growth {
    /// The last value that was served.
    accepted: Option<Value>,
    /// A lower one that came after it, and was not.
    doubted: Option<Value>,
}

impl Growth {
    /// The reading, or the doubt in it. A value below the last one is nonsense, or the counter was
    /// reset: the next reading tells.
    pub(crate) fn judge(&mut self, reading: &Reading) -> Reading {
        let Ok(value) = reading else { return reading.clone() };
        let has_fallen = self.accepted.as_ref().is_some_and(|before| is_below(value, before));
        let is_confirmed = self.doubted.as_ref().is_some_and(|doubt| !is_below(value, doubt));
        if has_fallen && !is_confirmed {
            self.doubted = Some(value.clone());
            return Err(Reason::Implausible);
        }
        self.doubted = None;
        self.accepted = Some(value.clone());
        reading.clone()
    }
}

fn is_below(value: &Value, other: &Value) -> bool {
    match (value, other) {
        (Value::Int(value), Value::Int(other)) => value < other,
        (Value::Float(value), Value::Float(other)) => value < other,
        _ => false,
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
        assert_eq!(judged(&[9, 5, 3, 4]), [Some(9), None, None, Some(4)]);
    }

    #[test]
    fn what_is_no_value_changes_nothing() {
        let mut growth = Growth::default();
        assert_eq!(growth.judge(&Ok(Value::Int(5))), Ok(Value::Int(5)));
        assert_eq!(growth.judge(&Err(Reason::Failed)), Err(Reason::Failed));
        assert_eq!(growth.judge(&Ok(Value::Int(3))), Err(Reason::Implausible));
    }
}
