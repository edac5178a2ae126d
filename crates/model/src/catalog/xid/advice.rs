//! What to do about common codes, where the class alone says too little.

/// The sentence for this code, if it has one of its own.
pub(super) fn of(code: u32) -> Option<&'static str> {
    let index = ADVICE.binary_search_by_key(&code, |(code, _)| *code).ok()?;
    ADVICE.get(index).map(|(_, advice)| *advice)
}

/// The same for all units of an NVLink 5.
const LINK: &str = "Read unit, severity and link in the kernel's log: after a fatal error drain the \
                    GPU and reset it, after others watch the link.";

/// In order of code.
#[rustfmt::skip]
pub(super) static ADVICE: &[(u32, &str)] = &[
    (13,  "Start the application again; it did something illegal. Suspect the GPU only if others fail there too."),
    (31,  "Start the application again; it used an address that it has no memory at. Suspect the GPU only if others fail there too."),
    (43,  "Nothing for the GPU; an application's fault has ended its work there."),
    (45,  "Follow the XIDs beside it; alone it most often means that an application was ended from outside, and needs nothing."),
    (48,  "Drain the GPU and reset it; XID 94 or 95 beside it says whether the error stayed within one application."),
    (61,  "Drain the GPU and ask NVIDIA or the maker of the machine; its power management has stopped."),
    (62,  "Drain the GPU and reset it; if its power management halts again, ask NVIDIA or the maker of the machine."),
    (63,  "Nothing at once; the faulty memory is replaced by spare memory at the GPU's next reset, so plan one."),
    (64,  "Drain the GPU and reset it; if faulty memory still cannot be retired, have the board replaced."),
    (74,  "Check both ends of the link that the kernel's log names; if errors go on, drain the GPU and ask NVIDIA or the maker of the machine."),
    (79,  "Drain the machine and start it again; if the GPU is lost again, check its power, cooling and seating."),
    (92,  "Nothing at once; if it comes again, ask NVIDIA or the maker of the machine about the memory."),
    (94,  "Start the application again, the only one that was hit; reset the GPU when it is free."),
    (95,  "Drain the GPU and reset it; every application on it may have been hit."),
    (109, "Drain the GPU and reset it; if it comes again, ask NVIDIA or the maker of the machine."),
    (110, "Drain the GPU and reset it; if it comes again, look for a newer driver."),
    (119, "Drain the GPU and reset it, or start the machine again if that fails; if its firmware stops answering again, look for a newer driver."),
    (120, "Drain the GPU and reset it, or start the machine again if that fails; if its firmware fails again, look for a newer driver."),
    (136, "Drain the GPU and reset it; if its links still do not train, check cables and connectors."),
    (140, "Drain the GPU and reset it; if it comes again, ask NVIDIA or the maker of the machine about the memory."),
    (143, "Reset the GPU; if it still does not come up, ask NVIDIA or the maker of the machine."),
    (144, LINK),
    (145, LINK),
    (146, LINK),
    (147, LINK),
    (148, LINK),
    (149, LINK),
    (150, LINK),
    (151, "Start the virtual machine again; if keys still cannot be rotated, ask NVIDIA or the maker of the machine."),
    (154, "Do what the driver asks for; nvidia-smi -q shows it as GPU Recovery Action."),
    (155, "Drain the GPU and reset it; software declared the link failed, so look at what reported it."),
    (156, "Drain the GPU and reset it, so that it goes on without the faulty part."),
    (158, "Drain the GPU and reset it; if it comes again, ask NVIDIA or the maker of the machine."),
    (167, "Drain the machine and start it again; if it comes again, check the seat of the GPU and its PCIe link."),
    (171, "Drain the GPU and reset it; if it comes again, ask NVIDIA or the maker of the machine about the memory."),
    (172, "Drain the GPU and reset it; if it comes again, ask NVIDIA or the maker of the machine about the memory."),
];
