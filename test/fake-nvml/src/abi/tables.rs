//! Tables of functions that differ in what they read only: each row is a function of the library.

/// `name -> C type: reader`, where the reader says what the board has, if it has it.
macro_rules! device_numbers {
    ($($name:ident -> $number:ty: $read:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(device: nvml_wrapper_sys::bindings::nvmlDevice_t, number: *mut $number) -> nvml_wrapper_sys::bindings::nvmlReturn_t {
            $crate::abi::answer(|| {
                $crate::session::current()?;
                // SAFETY: the caller promises NVML a place for one number.
                let out = unsafe { $crate::abi::out::Out::new(number) }?;
                let call = $crate::call::Call::on(stringify!($name), device)?;
                let read: fn(&$crate::call::Call) -> Option<$number> = $read;
                let nonsense = call.nonsense().map(|number| number as $number);
                out.set(nonsense.or_else(|| read(&call)).ok_or($crate::refusal::Refusal::NOT_SUPPORTED)?);
                Ok(())
            })
        }
    )*};
}

/// `name(C type of the choice) -> C type: reader`, where a choice that does not exist is an error.
macro_rules! device_choices {
    ($($name:ident($choice:ty) -> $number:ty: $read:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            device: nvml_wrapper_sys::bindings::nvmlDevice_t,
            choice: $choice,
            number: *mut $number,
        ) -> nvml_wrapper_sys::bindings::nvmlReturn_t {
            $crate::abi::answer(|| {
                $crate::session::current()?;
                // SAFETY: the caller promises NVML a place for one number.
                let out = unsafe { $crate::abi::out::Out::new(number) }?;
                let call = $crate::call::Call::on(stringify!($name), device)?;
                let read: fn(&$crate::call::Call, $choice) -> Result<Option<$number>, $crate::refusal::Refusal> = $read;
                let nonsense = call.nonsense().map(|number| number as $number);
                let number = read(&call, choice)?;
                out.set(nonsense.or(number).ok_or($crate::refusal::Refusal::NOT_SUPPORTED)?);
                Ok(())
            })
        }
    )*};
}

/// `name -> C struct: reader`, as for numbers.
macro_rules! device_structs {
    ($($name:ident -> $of:ty: $read:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            device: nvml_wrapper_sys::bindings::nvmlDevice_t,
            place: *mut $of,
        ) -> nvml_wrapper_sys::bindings::nvmlReturn_t {
            $crate::abi::answer(|| {
                $crate::session::current()?;
                // SAFETY: the caller promises NVML a place for the struct.
                let out = unsafe { $crate::abi::out::Out::new(place) }?;
                let call = $crate::call::Call::on(stringify!($name), device)?;
                let read: fn(&$crate::call::Call) -> Option<$of> = $read;
                out.set(read(&call).ok_or($crate::refusal::Refusal::NOT_SUPPORTED)?);
                Ok(())
            })
        }
    )*};
}

/// `name(places): reader`, for as many numbers as there are places.
macro_rules! device_several {
    ($($name:ident($($place:ident),+): $read:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            device: nvml_wrapper_sys::bindings::nvmlDevice_t,
            $($place: *mut std::ffi::c_uint,)+
        ) -> nvml_wrapper_sys::bindings::nvmlReturn_t {
            $crate::abi::answer(|| {
                $crate::session::current()?;
                // SAFETY: the caller promises NVML a place for each number.
                let outs = unsafe { [$($crate::abi::out::Out::new($place)?),+] };
                let call = $crate::call::Call::on(stringify!($name), device)?;
                const PLACES: usize = [$(stringify!($place)),+].len();
                let read: fn(&$crate::call::Call) -> Option<[std::ffi::c_uint; PLACES]> = $read;
                let numbers = read(&call).ok_or($crate::refusal::Refusal::NOT_SUPPORTED)?;
                for (out, number) in outs.iter().zip(numbers) {
                    out.set(number);
                }
                Ok(())
            })
        }
    )*};
}
