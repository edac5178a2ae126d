//! What is read of the machine: memory that is available, and memory pressure.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The most bytes that are read of a file. The kernel's files are far smaller.
const MOST_BYTES: u64 = 64 << 10;

/// One look at the machine's memory.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct HostReading {
    /// Memory that programs can still get, in MiB (`MemAvailable` of `/proc/meminfo`).
    pub memory_available_mib: Option<i64>,
    /// `some avg10` of `/proc/pressure/memory`, in percent. Kernels without PSI do not have it.
    pub memory_pressure_some: Option<f64>,
    /// `full avg10`.
    pub memory_pressure_full: Option<f64>,
}

impl HostReading {
    /// Reads `/proc` under `root` or, where nothing of `/proc` is there, at its usual place. What cannot be
    /// read is `None`.
    pub fn now(root: &Path) -> Self {
        Self::below(root).or_else(|_| Self::below(Path::new("/"))).unwrap_or_default()
    }

    fn below(root: &Path) -> io::Result<Self> {
        let memory = read(&root.join("proc/meminfo"))?;
        let pressure = read(&root.join("proc/pressure/memory")).unwrap_or_default();
        Ok(Self {
            memory_available_mib: available_mib(&memory),
            memory_pressure_some: pressure_of(&pressure, "some "),
            memory_pressure_full: pressure_of(&pressure, "full "),
        })
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// `MemAvailable:    5432100 kB`.
fn available_mib(text: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: i64 = line.trim().strip_suffix(" kB")?.trim_end().parse().ok()?;
    (kib >= 0).then_some(kib / 1024)
}

/// `some avg10=0.12 avg60=0.00 avg300=0.00 total=123`.
fn pressure_of(text: &str, kind: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
    let average = line.split(' ').find_map(|part| part.strip_prefix("avg10="))?;
    average.parse().ok().filter(|percent| (0.0..=100.0).contains(percent))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn memory_and_pressure_are_read_below_the_root() {
        let root = tempfile::tempdir().unwrap();
        let proc = root.path().join("proc");
        let here = HostReading::now(root.path());
        assert!(here.memory_available_mib.is_some(), "a root without /proc: {here:?}");
        fs::create_dir_all(proc.join("pressure")).unwrap();
        let meminfo = "MemTotal:       65812345 kB\nMemFree:  1 kB\nMemAvailable:   52428800 kB\n";
        fs::write(proc.join("meminfo"), meminfo).unwrap();
        let reading = HostReading::now(root.path());
        assert_eq!(reading.memory_available_mib, Some(51_200));
        assert_eq!(reading.memory_pressure_some, None, "a kernel without PSI");
        let pressure = "some avg10=12.34 avg60=0.00 avg300=0.00 total=123\n\
                        full avg10=0.00 avg60=0.00 avg300=0.00 total=45\n";
        fs::write(proc.join("pressure/memory"), pressure).unwrap();
        let reading = HostReading::now(root.path());
        assert_eq!(reading.memory_pressure_some, Some(12.34));
        assert_eq!(reading.memory_pressure_full, Some(0.0));
    }

    #[test]
    fn what_is_no_number_is_absent() {
        for text in
            ["", "MemAvailable:", "MemAvailable: x kB", "MemAvailable: -1 kB", "MemAvailable: 7"]
        {
            assert_eq!(available_mib(text), None, "{text}");
        }
        for text in
            ["", "some", "some avg60=1.0", "some avg10=x", "some avg10=NaN", "some avg10=101"]
        {
            assert_eq!(pressure_of(text, "some "), None, "{text}");
        }
    }
}
