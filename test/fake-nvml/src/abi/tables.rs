//! Tables of functions. Each row is a function of the library that takes a device and fills places of
//! its caller.

use crate::{call::Call, refusal::Refusal};

/// The result of a row: an answer, `None` if the board has none, or an error.
pub(super) trait Reading<T> {
    fn answer(self) -> Result<T, Refusal>;
}

impl<T> Reading<T> for Option<T> {
    fn answer(self) -> Result<T, Refusal> {
        self.ok_or(Refusal::NOT_SUPPORTED)
    }
}

impl<T> Reading<T> for Result<T, Refusal> {
    fn answer(self) -> Self {
        self
    }
}

impl<T> Reading<T> for Result<Option<T>, Refusal> {
    fn answer(self) -> Result<T, Refusal> {
        self?.ok_or(Refusal::NOT_SUPPORTED)
    }
}

/// A number, or what a fault command puts in its place.
pub(super) fn number<T>(
    call: &Call,
    reading: impl Reading<T>,
    convert: impl Fn(u64) -> T,
) -> Result<T, Refusal> {
    match (reading.answer(), call.nonsense()) {
        (Err(refusal), _) if refusal != Refusal::NOT_SUPPORTED => Err(refusal),
        (_, Some(nonsense)) => Ok(convert(nonsense)),
        (answer, None) => answer,
    }
}

/// `name[on or on_any](further arguments) -> C type, version: reader;`
///
/// `on` takes GPUs, `on_any` MIG devices as well. `version N` is of a struct that begins with its
/// version, which the caller must fill in.
macro_rules! device_functions {
    ($(
        $name:ident[$on:ident]($($argument:ident: $of:ty),*)
            -> $answer:ty $(, version $version:literal)?: $read:expr;
    )*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            device: nvml_wrapper_sys::bindings::nvmlDevice_t,
            $($argument: $of,)*
            place: *mut $answer,
        ) -> nvml_wrapper_sys::bindings::nvmlReturn_t {
            $crate::abi::answer(|| {
                $crate::session::current()?;
                // SAFETY: the caller promises NVML a place for the answer.
                let out = unsafe { $crate::abi::out::Out::new(place) }?;
                $(
                    // SAFETY: the caller promises that the version is filled in.
                    unsafe { $crate::abi::out::check_version(&out, $version) }?;
                )?
                let call = $crate::call::Call::$on(stringify!($name), device)?;
                let read: fn(&$crate::call::Call $(, $of)*) -> _ = $read;
                out.set($crate::abi::tables::Reading::answer(read(&call $(, $argument)*))?);
                Ok(())
            })
        }
    )*};
}

/// `name(further arguments) -> number: reader;`, on GPUs. A fault command may replace the number.
macro_rules! device_numbers {
    ($($name:ident($($argument:ident: $of:ty),*) -> $number:ty: $read:expr;)*) => {
        device_functions! {$(
            $name[on]($($argument: $of),*) -> $number: |call $(, $argument)*| {
                let read: fn(&$crate::call::Call $(, $of)*) -> _ = $read;
                let reading = read(call $(, $argument)*);
                $crate::abi::tables::number(call, reading, |nonsense| nonsense as $number)
            };
        )*}
    };
}

/// `name[on or on_any](places): reader;`, for as many numbers as there are places. A fault command may
/// replace the first.
macro_rules! device_several {
    ($($name:ident[$on:ident]($($place:ident),+): $read:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            device: nvml_wrapper_sys::bindings::nvmlDevice_t,
            $($place: *mut std::ffi::c_uint,)+
        ) -> nvml_wrapper_sys::bindings::nvmlReturn_t {
            $crate::abi::answer(|| {
                $crate::session::current()?;
                // SAFETY: the caller promises NVML a place for each number.
                let outs = unsafe { [$($crate::abi::out::Out::new($place)?),+] };
                let call = $crate::call::Call::$on(stringify!($name), device)?;
                const PLACES: usize = [$(stringify!($place)),+].len();
                let read: fn(&$crate::call::Call) -> Option<[std::ffi::c_uint; PLACES]> = $read;
                let mut numbers = read(&call).ok_or($crate::refusal::Refusal::NOT_SUPPORTED)?;
                if let Some(nonsense) = call.nonsense() {
                    numbers[0] = nonsense as std::ffi::c_uint;
                }
                for (out, number) in outs.iter().zip(numbers) {
                    out.set(number);
                }
                Ok(())
            })
        }
    )*};
}

/// `name[on or on_any](further arguments): reader;`, for a text.
macro_rules! device_texts {
    ($($name:ident[$on:ident]($($argument:ident: $of:ty),*): $read:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            device: nvml_wrapper_sys::bindings::nvmlDevice_t,
            $($argument: $of,)*
            text: *mut std::ffi::c_char,
            length: std::ffi::c_uint,
        ) -> nvml_wrapper_sys::bindings::nvmlReturn_t {
            $crate::abi::answer(|| {
                $crate::session::current()?;
                // SAFETY: the caller promises NVML a buffer of this length.
                let out = unsafe { $crate::abi::out::TextOut::new(text, length) }?;
                let call = $crate::call::Call::$on(stringify!($name), device)?;
                let read: fn(&$crate::call::Call $(, $of)*) -> _ = $read;
                let text = $crate::abi::tables::Reading::answer(read(&call $(, $argument)*))?;
                let text: String = text;
                out.set(&text)
            })
        }
    )*};
}
