//! Checks counters that fall: a lower value is dropped once, and accepted if the next reading confirms
//! it.

use model::{Reading, Reason, Value};

/// The check of one counter. All counters are whole numbers.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct CounterCheck {
    /// The last value that was accepted.
    accepted: Option<i64>,
    /// Whether a lower value came after it and was dropped.
    has_fallen: bool,
}

impl CounterCheck {
    /// The reading, or `Implausible` if it is lower than the last one for the first time: either it
    /// is wrong or the counter was reset, which the next reading shows.
    pub(crate) fn check(&mut self, reading: &Reading) -> Reading {
        let Ok(Value::Int(count)) = *reading else { return reading.clone() };
        let is_lower = self.accepted.is_some_and(|before| count < before);
        if is_lower && !self.has_fallen {
            self.has_fallen = true;
            return Err(Reason::Implausible);
        }
        *self = Self { accepted: Some(count), has_fallen: false };
        Ok(Value::Int(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(values: &[i64]) -> Vec<Option<i64>> {
        let mut check = CounterCheck::default();
        values
            .iter()
            .map(|value| match check.check(&Ok(Value::Int(*value))) {
                Ok(Value::Int(value)) => Some(value),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_fall_is_dropped_once() {
        assert_eq!(checked(&[5, 3, 6]), [Some(5), None, Some(6)], "one wrong value");
        assert_eq!(checked(&[5, 0, 1, 2]), [Some(5), None, Some(1), Some(2)], "a reset");
        assert_eq!(checked(&[5, 0, 0]), [Some(5), None, Some(0)]);
        assert_eq!(
            checked(&[9, 5, 3, 4]),
            [Some(9), None, Some(3), Some(4)],
            "two low values confirm each other"
        );
    }

    #[test]
    fn an_error_changes_nothing() {
        let mut check = CounterCheck::default();
        assert_eq!(check.check(&Ok(Value::Int(5))), Ok(Value::Int(5)));
        assert_eq!(check.check(&Err(Reason::Failed)), Err(Reason::Failed));
        assert_eq!(check.check(&Ok(Value::Int(3))), Err(Reason::Implausible));
    }
}
