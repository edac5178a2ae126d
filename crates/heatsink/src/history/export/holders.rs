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
            (What::HolderBegan { holder }, Some(gpu)) => {
                let holders = self.of_mut(gpu);
                let is_new = !holders.contains(holder);
                if is_new {
                    holders.push(holder.clone());
                }
                is_new
            }
            (What::HolderEnded { holder }, Some(gpu)) => {
                let holders = self.of_mut(gpu);
                let before = holders.len();
                holders.retain(|known| known != holder);
                holders.len() < before
            }
            _ => false,
        }
    }

    /// Who has this GPU.
    pub(super) fn of(&self, gpu: &GpuInfo) -> &[HolderInfo] {
        let known = self.by_gpu.iter().find(|(known, _)| known.is_same(gpu));
        known.map(|(_, holders)| holders.as_slice()).unwrap_or_default()
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
        assert_eq!(holders.of(&gpu(0)), [job("2")]);
        assert_eq!(holders.of(&gpu(1)), [job("1")]);
        assert_eq!(holders.of(&gpu(2)), []);
        let started = Event { time: Time(1), gpu: None, what: What::Started { before: None } };
        assert!(holders.take(&started) && !holders.take(&started));
        assert_eq!(holders.of(&gpu(1)), []);
    }
}
