//! Test only: a library to preload, so that a program finds its clocks set forward or back.
//!
//! Linux has no namespace for the wall clock, and none whose clocks can be set while a program runs. So
//! this replaces the C library's `clock_gettime`, and adds the seconds of the file that the variable
//! `FAKE_CLOCK` names: lines such as `realtime 9.0` and `boottime 3600`. A step of both is a
//! suspend; one of the wall clock alone is a clock that was set.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::fs;
use std::path::{Path, PathBuf};

use libc::{CLOCK_BOOTTIME, CLOCK_REALTIME, clockid_t, timespec};

const VARIABLE: &CStr = c"FAKE_CLOCK";

/// Sets the clocks of the programs that preload the library.
#[derive(Debug)]
pub struct Clocks {
    file: PathBuf,
}

impl Clocks {
    /// Clocks that are right, until they are set by a file in this folder.
    ///
    /// # Panics
    ///
    /// When the folder cannot be written.
    pub fn in_folder(folder: &Path) -> Self {
        let clocks = Self { file: folder.join("clocks") };
        clocks.set(0.0, 0.0);
        clocks
    }

    /// The variables that a program has to be started with.
    ///
    /// # Panics
    ///
    /// When the library is not built.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let library = fake_nvml::built("fake-clock");
        let file = self.file.display().to_string();
        [("LD_PRELOAD", library.display().to_string()), ("FAKE_CLOCK", file)]
    }

    /// Sets the wall clock and the clock that counts suspend ahead by so many seconds.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    pub fn set(&self, realtime: f64, boottime: f64) {
        let new = self.file.with_extension("new");
        let text = format!("realtime {realtime}\nboottime {boottime}\n");
        // As a whole, so that no reader sees half of it.
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, &self.file));
        written.unwrap_or_else(|error| panic!("{}: {error}", self.file.display()));
    }
}

/// How many nanoseconds a clock is ahead.
fn ahead(clock: clockid_t) -> i64 {
    let name = match clock {
        CLOCK_REALTIME => "realtime",
        CLOCK_BOOTTIME => "boottime",
        _ => return 0,
    };
    // SAFETY: the name ends with a zero; the value that is found is not changed while tests run.
    let path = unsafe { libc::getenv(VARIABLE.as_ptr()) };
    if path.is_null() {
        return 0;
    }
    // SAFETY: an environment's values end with a zero.
    let path = unsafe { CStr::from_ptr(path) };
    let text = path.to_str().ok().and_then(|path| fs::read_to_string(path).ok());
    let seconds = text.as_deref().unwrap_or_default().lines().find_map(|line| {
        let (of, seconds) = line.split_once(' ')?;
        if of == name { seconds.parse::<f64>().ok() } else { None }
    });
    (seconds.unwrap_or_default() * 1e9) as i64
}

/// The C library's function, with what the file adds.
///
/// # Safety
///
/// `time` has to be a place for a time, as the C library wants it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    // SAFETY: the system call takes what the caller gave.
    let answer = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
    if answer == 0 {
        // SAFETY: the caller gave a place for a time, and the kernel has written it.
        let time = unsafe { &mut *time };
        let nanos = time.tv_nsec + ahead(clock);
        time.tv_sec += nanos.div_euclid(1_000_000_000);
        time.tv_nsec = nanos.rem_euclid(1_000_000_000);
    }
    c_int::try_from(answer).unwrap_or(-1)
}
