//! XIDs from counts, where the kernel log is not read.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Moment, XidLog};

use crate::event::What;

/// The counts of a GPU, as far as they were recorded.
#[derive(Default, Debug)]
pub(super) struct XidCounts {
    last: Option<Arc<XidLog>>,
}

impl XidCounts {
    /// Follows the counts, and returns the XIDs since the last call if they are `counted` here. The counts
    /// begin at 0 with this process, which has begun to record at the same time. Of a GPU that is new later,
    /// only what happened since the observation before is new: it may have been here once.
    pub(super) fn follow(
        &mut self,
        log: &Arc<XidLog>,
        counted: bool,
        last_observed: Option<Moment>,
    ) -> Vec<What> {
        let before = self.last.replace(Arc::clone(log));
        let is_same = before.as_ref().is_some_and(|before| Arc::ptr_eq(before, log));
        if is_same || !counted {
            return Vec::new();
        }
        let is_new_gpu = before.is_none();
        let none = BTreeMap::new();
        let before = before.as_ref().map_or(&none, |before| &before.counts);
        let mut new = Vec::new();
        // What is counted as one of many other codes has no code that could be recorded.
        for (code, now) in log.counts.iter().filter(|(code, _)| **code != XidLog::OTHER) {
            let counted = before.get(code).map_or(0, |count| count.tally.count);
            let count = now.tally.count.saturating_sub(counted);
            let at = now.last.map(|last| last.moment);
            let is_old = is_new_gpu && last_observed.is_some() && at <= last_observed;
            if count > 0 && !is_old {
                let message = now.xid.message.to_owned();
                new.push((
                    at,
                    What::Xid {
                        code: *code,
                        message,
                        process: None,
                        link: None,
                        line: None,
                        count,
                    },
                ));
            }
        }
        new.sort_by_key(|(at, _)| *at);
        new.into_iter().map(|(_, what)| what).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use model::catalog::xid;
    use model::{When, XidEvent};

    use super::*;

    fn record(log: &mut XidLog, code: u32, second: u64) {
        let since = Duration::from_secs(second);
        let at = When { time: SystemTime::UNIX_EPOCH + since, moment: Moment::BOOT + since };
        let event = XidEvent { xid: xid::lookup(code), instance: None, before: None };
        log.record(event, Some(at), None);
    }

    fn codes(counts: &mut XidCounts, log: &XidLog, counted: bool) -> Vec<(u32, u64)> {
        let new = counts.follow(&Arc::new(log.clone()), counted, None);
        let of = |what: &What| match what {
            What::Xid { code, count, .. } => (*code, *count),
            other => panic!("{other:?}"),
        };
        new.iter().map(of).collect()
    }

    #[test]
    fn each_xid_is_recorded_once_in_order() {
        let (mut counts, mut log) = (XidCounts::default(), XidLog::default());
        let before = XidEvent { xid: xid::lookup(79), instance: None, before: None };
        log.note(before, When { time: SystemTime::UNIX_EPOCH, moment: Moment::BOOT });
        assert_eq!(codes(&mut counts, &log, true), [], "from before the start");
        for (code, second) in [(48, 1), (45, 2), (45, 3), (31, 2)] {
            record(&mut log, code, second);
        }
        assert_eq!(codes(&mut counts, &log, true), [(48, 1), (31, 1), (45, 2)]);
        assert_eq!(codes(&mut counts, &log, true), []);
        record(&mut log, 45, 4);
        assert_eq!(codes(&mut counts, &log, false), [], "they come from the kernel log");
        record(&mut log, 45, 5);
        assert_eq!(codes(&mut counts, &log, true), [(45, 1)]);
    }

    #[test]
    fn a_gpu_that_was_forgotten_and_comes_back_does_not_repeat_its_xids() {
        let mut log = XidLog::default();
        record(&mut log, 48, 10);
        record(&mut log, 79, 20);
        let observed = Some(Moment::BOOT + Duration::from_secs(15));
        let new = XidCounts::default().follow(&Arc::new(log), true, observed);
        assert!(matches!(new[..], [What::Xid { code: 79, .. }]), "{new:?}");
    }
}
