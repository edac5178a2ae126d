//! How long driver calls took, by NVML's function.

use std::time::{Duration, Instant};

/// The longest time of each function since the times were last taken.
#[derive(Default)]
pub(crate) struct CallTimes {
    functions: Vec<(&'static str, Option<Duration>)>,
}

/// The position of a function in [`CallTimes`].
#[derive(Clone, Copy)]
pub(crate) struct Function(usize);

impl CallTimes {
    /// The position of a function. A name has one position.
    pub(crate) fn function(&mut self, name: &'static str) -> Function {
        let known = self.functions.iter().position(|(known, _)| *known == name);
        Function(known.unwrap_or_else(|| {
            self.functions.push((name, None));
            self.functions.len() - 1
        }))
    }

    /// Makes a call, records how long it took, and returns that too.
    pub(crate) fn time<T>(
        &mut self,
        function: Function,
        call: impl FnOnce() -> T,
    ) -> (T, Duration) {
        let began = Instant::now();
        let answer = call();
        let took = began.elapsed();
        let longest = &mut self.functions[function.0].1;
        *longest = Some(longest.map_or(took, |longest| longest.max(took)));
        (answer, took)
    }

    /// The times since they were last taken.
    pub(crate) fn take(&mut self) -> Vec<(&'static str, Duration)> {
        self.functions
            .iter_mut()
            .filter_map(|(name, longest)| Some((*name, longest.take()?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn each_function_has_its_longest_time_once() {
        let mut times = CallTimes::default();
        let [short, long] = [times.function("short"), times.function("long")];
        times.function("never");
        let same = times.function("short");
        times.time(short, || sleep(Duration::from_millis(20)));
        times.time(same, || ());
        assert_eq!(times.time(long, || 5).0, 5);
        let taken = times.take();
        let names: Vec<&str> = taken.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["short", "long"]);
        assert!(taken[0].1 >= Duration::from_millis(20));
        assert!(times.take().is_empty());
    }
}
