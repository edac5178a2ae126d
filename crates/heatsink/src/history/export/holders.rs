//! Who had which GPU, followed through the events of a recording.

use history::event::{Event, HolderInfo, What};
use history::layout::GpuInfo;

/// The holders of each GPU at one moment of a recording.
#[derive(Clone, Default, Debug)]
pub(super) struct PastHolders {
    by_gpu: Vec<(GpuInfo, Vec<HolderInfo>)>,
}

impl PastHolders {
    /// Takes an event. Returns whether a holder came or went.
    pub(super) fn take(&mut self, event: &Event) -> bool {
        match (&event.what, &event.gpu) {
            // A new process tells of all holders again. What an earlier one knew ended with it.
            (What::Started { .. }, _) => !std::mem::take(&mut self.by_gpu).is_empty(),
            (What::HolderBegan { holder } | What::HolderGoesOn { holder }, Some(gpu)) => {
                self.add(gpu, holder)
            }
            (What::HolderEnded { holder }, Some(gpu)) => {
                let holders = self.of_mut(gpu);
                let before = holders.len();
                holders.retain(|known| !known.is_same(holder));
                holders.len() < before
            }
            _ => false,
        }
    }

    /// Takes an event of the first process of a recording. If it says that a holder goes on or ends whose begin
    /// is not recorded any more, the holder is added to `at_begin`.
    pub(super) fn take_first(&mut self, event: &Event, at_begin: &mut Self) {
        if let (What::HolderGoesOn { holder } | What::HolderEnded { holder }, Some(gpu)) =
            (&event.what, &event.gpu)
            && !self.of(gpu).iter().any(|known| known.is_same(holder))
        {
            at_begin.add(gpu, holder);
        }
        self.take(event);
    }

    /// Adds a holder. Returns whether it is new, or something of it.
    fn add(&mut self, gpu: &GpuInfo, holder: &HolderInfo) -> bool {
        let holders = self.of_mut(gpu);
        match holders.iter_mut().find(|known| known.is_same(holder)) {
            // Its UID may be known by now.
            Some(known) if known.uid().is_none() && holder.uid().is_some() => {
                holder.clone_into(known);
                true
            }
            Some(_) => false,
            None => {
                holders.push(holder.clone());
                true
            }
        }
    }

    /// Who has this GPU.
    pub(super) fn of(&self, gpu: &GpuInfo) -> &[HolderInfo] {
        let known = self.by_gpu.iter().find(|(known, _)| known.is_same(gpu));
        known.map(|(_, holders)| holders.as_slice()).unwrap_or_default()
    }

    /// The largest number of holders of one GPU.
    pub(super) fn most(&self) -> usize {
        self.by_gpu.iter().map(|(_, holders)| holders.len()).max().unwrap_or(0)
    }

    fn of_mut(&mut self, gpu: &GpuInfo) -> &mut Vec<HolderInfo> {
        let place = self.by_gpu.iter().position(|(known, _)| known.is_same(gpu));
        let place = place.unwrap_or(self.by_gpu.len());
        if place == self.by_gpu.len() {
            self.by_gpu.push((gpu.clone(), Vec::new()));
        }
        &mut self.by_gpu[place].1
    }
}

#[cfg(test)]
mod tests {
    use history::time::Time;

    use super::*;

    #[test]
    fn holders_come_and_go_and_end_with_the_process_that_saw_them() {
        let gpu = |index| GpuInfo { index: Some(index), ..GpuInfo::default() };
        let job = |id: &str| HolderInfo::Job { id: id.to_owned() };
        let mut holders = PastHolders::default();
        let mut take =
            |index, what| holders.take(&Event { time: Time(0), gpu: Some(gpu(index)), what });
        assert!(take(0, What::HolderBegan { holder: job("1") }));
        assert!(!take(0, What::HolderBegan { holder: job("1") }));
        assert!(take(1, What::HolderBegan { holder: job("1") }));
        assert!(take(0, What::HolderBegan { holder: job("2") }));
        assert!(take(0, What::HolderEnded { holder: job("1") }));
        assert!(!take(0, What::HolderEnded { holder: job("1") }));
        assert!(!take(0, What::GpuUp));
        assert!(!take(0, What::HolderGoesOn { holder: job("2") }));
        assert!(take(2, What::HolderGoesOn { holder: job("3") }));
        assert!(take(2, What::HolderEnded { holder: job("3") }));
        assert_eq!(holders.of(&gpu(0)), [job("2")]);
        assert_eq!(holders.of(&gpu(1)), [job("1")]);
        assert_eq!(holders.of(&gpu(2)), []);
        let started = Event { time: Time(1), gpu: None, what: What::Started { before: None } };
        assert!(holders.take(&started) && !holders.take(&started));
        assert_eq!(holders.of(&gpu(1)), []);
    }

    #[test]
    fn a_pod_whose_uid_is_known_later_is_one_holder() {
        let pod = |uid: Option<&str>| HolderInfo::Pod {
            namespace: "ml".to_owned(),
            pod: "a".to_owned(),
            container: "main".to_owned(),
            uid: uid.map(str::to_owned),
        };
        let gpu = GpuInfo { index: Some(0), ..GpuInfo::default() };
        let mut holders = PastHolders::default();
        let mut take = |what| holders.take(&Event { time: Time(0), gpu: Some(gpu.clone()), what });
        assert!(take(What::HolderBegan { holder: pod(None) }));
        assert!(take(What::HolderGoesOn { holder: pod(Some("1")) }));
        assert!(!take(What::HolderGoesOn { holder: pod(None) }));
        assert!(!take(What::HolderGoesOn { holder: pod(Some("1")) }));
        assert!(take(What::HolderEnded { holder: pod(Some("1")) }));
        assert_eq!(holders.of(&gpu), []);
    }
}
