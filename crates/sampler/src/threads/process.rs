//! The resource use of this process, from the kernel.

use std::fs;
use std::time::{Duration, SystemTime};

use model::Process;

/// The kernel counts processor time for user space in hundredths of a second, on every machine.
const TICK: Duration = Duration::from_millis(10);

/// Reads the resource use of this process.
pub(crate) fn usage(started: SystemTime) -> Process {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    Process { cpu: cpu(&stat), resident_bytes: resident_bytes(&status), started }
}

/// User and system time are the 14th and 15th word; the second may hold blanks and brackets.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_ascii_whitespace().skip(11);
    let user: u32 = words.next()?.parse().ok()?;
    let system: u32 = words.next()?.parse().ok()?;
    Some(TICK * user + TICK * system)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kibibytes: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_may_contain_brackets() {
        let stat = "1 (a ) b) S 1 1 1 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 5 0 0";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu("malformed"), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        assert_eq!(resident_bytes("VmPeak:\t9 kB\nVmRSS:\t    4096 kB\n"), Some(4_194_304));
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(usage(SystemTime::now()).resident_bytes.is_some_and(|bytes| bytes > 0));
    }
}
