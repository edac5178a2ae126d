//! Questions as clients write them: the parameters of a query.

use std::borrow::Cow;
use std::time::Duration;

use history::query::{GpuChoice, Query};
use history::time::{Range, Time};

/// The longest time that one request may ask for.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// The time that is answered without `from`.
const HOUR_IN_MS: i64 = 3_600_000;

/// The number of incidents without `limit`, and the most.
const INCIDENTS: (usize, usize) = (100, 1000);

/// The most GPUs that one question names.
const MOST_GPUS: usize = 256;

/// A question about one signal.
#[derive(PartialEq, Debug)]
pub(super) struct HistoryQuestion {
    pub(super) query: Query,
}

/// A question about incidents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum IncidentsQuestion {
    /// The newest ones, at most this many.
    List(usize),
    /// The one with this number.
    One(u64),
}

/// The parameters of a query, each with what it is called.
fn parameters(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(query.as_bytes())
}

fn unknown(name: &str, known: &str) -> String {
    let name: String = name.chars().take(64).collect();
    format!("there is no parameter `{name}`; there are {known}")
}

/// The text, if it is the only one of this parameter.
fn set<'a>(place: &mut Option<Cow<'a, str>>, name: &str, text: Cow<'a, str>) -> Result<(), String> {
    match place.replace(text) {
        None => Ok(()),
        Some(_) => Err(format!("{name} is given twice")),
    }
}

impl HistoryQuestion {
    /// Reads the parameters `signal`, `gpu`, `from`, `to` and `step`.
    ///
    /// # Errors
    ///
    /// The first mistake, in a sentence.
    pub(super) fn read(query: &str, now: Time) -> Result<Self, String> {
        let (mut signal, mut from, mut to, mut step) = (None, None, None, None);
        let mut gpus = Vec::new();
        for (name, text) in parameters(query) {
            match &*name {
                "signal" => set(&mut signal, "signal", text)?,
                "from" => set(&mut from, "from", text)?,
                "to" => set(&mut to, "to", text)?,
                "step" => set(&mut step, "step", text)?,
                "gpu" => gpus.extend(text.split(',').map(gpu).collect::<Result<Vec<_>, _>>()?),
                _ => return Err(unknown(&name, "signal, gpu, from, to and step")),
            }
        }
        let Some(signal) = signal.filter(|signal| !signal.is_empty()) else {
            return Err("signal is missing: try signal=gpu_temperature".to_owned());
        };
        if gpus.len() > MOST_GPUS {
            return Err(format!("gpu names more than {MOST_GPUS} GPUs; leave it out for all"));
        }
        let to = to.map_or(Ok(now), |text| time("to", &text, now))?;
        let hour_before = Time(to.0.saturating_sub(HOUR_IN_MS));
        let from = from.map_or(Ok(hour_before), |text| time("from", &text, now))?;
        if to < from {
            return Err("to is before from".to_owned());
        }
        if to.since(from) > LONGEST {
            let days = LONGEST.as_secs() / (24 * 3600);
            return Err(format!("from and to are more than {days} days apart; ask for less"));
        }
        let step_ms = step.map_or(Ok(1000), |text| step_ms(&text))?;
        let range = Range { from, to };
        Ok(Self { query: Query { signal: signal.into_owned(), gpus, range, step_ms } })
    }
}

impl IncidentsQuestion {
    /// Reads the parameters `id` and `limit`.
    ///
    /// # Errors
    ///
    /// The first mistake, in a sentence.
    pub(super) fn read(query: &str) -> Result<Self, String> {
        let (mut id, mut limit) = (None, None);
        for (name, text) in parameters(query) {
            match &*name {
                "id" => set(&mut id, "id", text)?,
                "limit" => set(&mut limit, "limit", text)?,
                _ => return Err(unknown(&name, "id and limit")),
            }
        }
        match (id, limit) {
            (Some(_), Some(_)) => Err("limit is for the list, without id".to_owned()),
            (Some(id), None) => {
                let number = id.parse().map(Self::One);
                number
                    .map_err(|_| format!("id is `{}`; write the number of an incident", short(&id)))
            }
            (None, None) => Ok(Self::List(INCIDENTS.0)),
            (None, Some(limit)) => {
                let number = limit.parse().ok().filter(|limit| (1..=INCIDENTS.1).contains(limit));
                number.map(Self::List).ok_or_else(|| {
                    format!(
                        "limit is `{}`; write a number from 1 to {}",
                        short(&limit),
                        INCIDENTS.1
                    )
                })
            }
        }
    }
}

/// What of a wrong text is shown.
fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

/// A GPU by its index or its UUID.
fn gpu(text: &str) -> Result<GpuChoice, String> {
    if let Ok(index) = text.parse() {
        return Ok(GpuChoice::Index(index));
    }
    let is_uuid = text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("gpu-"));
    match is_uuid && text.len() <= 64 {
        true => Ok(GpuChoice::Uuid(text.to_owned())),
        false => Err(format!("gpu is `{}`; write an index or a UUID: gpu=3", short(text))),
    }
}

/// A time: seconds since 1970, RFC 3339, `now`, or so long ago: `-2h`.
fn time(name: &str, text: &str, now: Time) -> Result<Time, String> {
    // In a query, a blank is how a `+` that was not escaped arrives.
    let text = text.replace(' ', "+");
    let ago = text.strip_prefix('-').and_then(duration_ms);
    let seconds = || text.parse().ok().and_then(milliseconds).map(Time);
    let rfc_3339 = || {
        let time: jiff::Timestamp = text.parse().ok()?;
        Some(Time(time.as_millisecond()))
    };
    let time = match (text.as_str(), ago) {
        ("now", _) => Some(now),
        (_, Some(ago)) => now.0.checked_sub(ago).map(Time),
        _ => seconds().or_else(rfc_3339),
    };
    time.ok_or_else(|| {
        format!(
            "{name} is `{}`; write seconds since 1970, 2026-11-30T03:12:44Z, -2h or now",
            short(&text)
        )
    })
}

/// A step: seconds, or a duration with its unit.
fn step_ms(text: &str) -> Result<u64, String> {
    let millis = duration_ms(text).or_else(|| text.parse().ok().and_then(milliseconds));
    let millis = millis.and_then(|millis| u64::try_from(millis).ok()).filter(|millis| *millis > 0);
    millis
        .ok_or_else(|| format!("step is `{}`; write seconds, or a duration: step=10s", short(text)))
}

/// Milliseconds of seconds; `None` beyond the range of times that are used.
fn milliseconds(seconds: f64) -> Option<i64> {
    // The year 10000.
    const MOST: f64 = 253_402_300_800.0;
    (seconds.abs() < MOST).then_some((seconds * 1000.0).round() as i64)
}

/// A number and a unit: `90s`, `2h`, `1.5d`.
fn duration_ms(text: &str) -> Option<i64> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at_checked(unit_at)?;
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "w" => 7.0 * 86_400.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    milliseconds(number * seconds).filter(|millis| *millis >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_700_000_000_000);

    fn ask(query: &str) -> Result<Query, String> {
        HistoryQuestion::read(query, NOW).map(|question| question.query)
    }

    #[test]
    fn without_more_the_last_hour_of_all_gpus_is_asked_for() {
        let range = Range { from: Time(NOW.0 - 3_600_000), to: NOW };
        let query = Query { signal: "power".to_owned(), gpus: Vec::new(), range, step_ms: 1000 };
        assert_eq!(ask("signal=power"), Ok(query));
    }

    #[test]
    fn gpus_times_and_steps_are_read_in_each_form() {
        let query = ask("signal=power&gpu=3&gpu=0,GPU-5c&step=1m").unwrap();
        let uuid = GpuChoice::Uuid("GPU-5c".to_owned());
        assert_eq!(query.gpus, [GpuChoice::Index(3), GpuChoice::Index(0), uuid]);
        assert_eq!(query.step_ms, 60_000);
        for (text, time) in [
            ("1699999990", 1_699_999_990_000),
            ("1699999990.25", 1_699_999_990_250),
            ("2023-11-14T22:13:10Z", 1_699_999_990_000),
            ("2023-11-14T23:13:10.5%2B01:00", 1_699_999_990_500),
            ("2023-11-14T23:13:10+01:00", 1_699_999_990_000),
            ("-10s", 1_699_999_990_000),
            ("-1.5m", 1_699_999_910_000),
            ("now", NOW.0),
        ] {
            let query = ask(&format!("signal=power&from={text}"));
            assert_eq!(query.map(|query| query.range.from), Ok(Time(time)), "{text}");
        }
        // Without `from`, the hour before `to`.
        let range = ask("signal=power&to=7200").unwrap().range;
        assert_eq!(range, Range { from: Time(3_600_000), to: Time(7_200_000) });
        for (text, step) in [("5", 5000), ("0.5", 500), ("250ms", 250), ("2h", 7_200_000)] {
            assert_eq!(ask(&format!("signal=power&step={text}")).unwrap().step_ms, step, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (query, why) in [
            ("", "signal is missing"),
            ("signal=", "signal is missing"),
            ("signal=power&sginal=x", "there is no parameter `sginal`; there are signal, gpu,"),
            ("signal=power&signal=power", "signal is given twice"),
            ("signal=power&gpu=", "gpu is ``; write an index or a UUID"),
            ("signal=power&gpu=-1", "gpu is `-1`"),
            ("signal=power&gpu=ä", "gpu is `ä`"),
            ("signal=power&from=yesterday", "from is `yesterday`; write seconds since 1970"),
            ("signal=power&from=-2y", "from is `-2y`"),
            ("signal=power&from=NaN", "from is `NaN`"),
            ("signal=power&from=1e300", "from is `1e300`"),
            ("signal=power&to=-9e18d", "to is `-9e18d`"),
            ("signal=power&from=10&to=5", "to is before from"),
            ("signal=power&from=-8d", "more than 7 days apart"),
            ("signal=power&from=0", "more than 7 days apart"),
            ("signal=power&step=0", "step is `0`"),
            ("signal=power&step=-1", "step is `-1`"),
            ("signal=power&step=fast", "step is `fast`"),
        ] {
            let error = ask(query).unwrap_err();
            assert!(error.starts_with(why) || error.contains(why), "{query}: {error}");
        }
        let long = "x".repeat(5000);
        for query in [format!("signal=a&gpu={long}"), format!("signal=a&{long}=1")] {
            assert!(ask(&query).unwrap_err().len() < 200);
        }
        assert!(ask(&format!("signal=a&gpu={}", "1,".repeat(300) + "1")).is_err());
    }

    #[test]
    fn incidents_are_asked_for_by_number_or_as_a_list() {
        let read = IncidentsQuestion::read;
        assert_eq!(read(""), Ok(IncidentsQuestion::List(100)));
        assert_eq!(read("limit=7"), Ok(IncidentsQuestion::List(7)));
        assert_eq!(read("id=17"), Ok(IncidentsQuestion::One(17)));
        for query in
            ["id=x", "id=-1", "id=", "limit=0", "limit=1001", "id=1&limit=2", "id=1&id=2", "n=1"]
        {
            assert!(read(query).is_err(), "{query}");
        }
    }
}
