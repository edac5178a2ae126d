//! An incident in one line, as others are told of it.

use history::incident::Incident;
use history::report::Mention;
use history::time::Time;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The first line of its report, the time of day and its zone, which in a container is not that of the reader:
/// `GPU 3 fell off the bus (XID 79), at 03:12:44 UTC`.
pub(super) fn headline(incident: &Incident, zone: &TimeZone) -> String {
    let Mention { headline, moment, .. } = Mention::of(incident);
    match time_of_day(moment, zone) {
        Some(time) => format!("{headline}, at {time}"),
        None => headline,
    }
}

/// `None` for a time that no calendar has.
fn time_of_day(time: Time, zone: &TimeZone) -> Option<String> {
    let time = Timestamp::from_millisecond(time.0).ok()?;
    Some(time.to_zoned(zone.clone()).strftime("%H:%M:%S %Z").to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use history::event::{Event, HolderInfo, What};
    use history::layout::{GpuInfo, HostInfo, Layout};
    use history::tracker::Tracker;

    use super::*;

    /// When the story is: 2026-11-30 03:12:44.5 UTC.
    const TIME: Time = Time(1_796_008_364_500);

    /// What a tracker makes of a story: GPU 3, which these hold, falls off the bus.
    pub(in super::super) fn fallen(number: u64, holders: Vec<HolderInfo>) -> Incident {
        let gpu = GpuInfo { index: Some(3), uuid: Some("GPU-3".to_owned()), ..GpuInfo::default() };
        let host = HostInfo { hostname: Some("gpu-node-1".to_owned()), ..HostInfo::default() };
        let layout = Arc::new(Layout { host, gpus: vec![gpu.clone()], signals: Vec::new() });
        let event = |what| Event { time: TIME, gpu: Some(gpu.clone()), what };
        let began = holders.into_iter().map(|holder| event(What::HolderBegan { holder }));
        let xid = What::Xid {
            code: 79,
            message: "GPU has fallen off the bus".to_owned(),
            process: None,
            link: None,
            line: None,
            count: 1,
        };
        let events: Vec<Event> = began.chain([event(xid)]).collect();
        let mut told = Tracker::new(number).observe(TIME, &layout, None, &events);
        told.pop().expect("an incident")
    }

    #[test]
    fn an_incident_of_a_story_is_told_with_gpu_xid_and_time() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let line = headline(&fallen(17, Vec::new()), &zone);
        assert!(line.starts_with("GPU 3 "), "{line}");
        assert!(line.ends_with("(XID 79), at 04:12:44 +01"), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }

    #[test]
    fn a_time_beyond_the_calendar_is_left_out() {
        let mut incident = fallen(17, Vec::new());
        incident.verdict.time = Some(Time(i64::MAX));
        assert!(headline(&incident, &TimeZone::UTC).ends_with("(XID 79)"));
    }
}
