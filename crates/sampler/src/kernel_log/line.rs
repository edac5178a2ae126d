//! What one message of the kernel log reports about NVIDIA devices.
//!
//! Only the start of a message is the driver's for certain: what follows the code may hold the name
//! of a process, and that may be any text. So the address and the code are read from the start, and
//! a message that does not start as the driver's do is ignored.

use model::{DriverError, LinkFault};

/// The longest name of a process that is kept, in characters. The kernel's are at most 15 bytes.
const LONGEST_NAME: usize = 64;

/// The longest name of a link's unit, in bytes. A longer one is not a name.
const LONGEST_UNIT: usize = 32;

/// How many words of an NVLink XID's text are looked at. The driver cuts it at 512 bytes.
const MOST_WORDS: usize = 256;

/// What one message of the kernel log reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// The driver reports an XID.
    Xid(XidLine),
    /// The NVSwitch driver reports an SXid. Lines that only add detail to one are no event.
    Sxid {
        /// Of the NVSwitch, as [`bus_id`] spells it, with the function that the line gives.
        pci_bus_id: String,
        /// The number of the SXid.
        code: u32,
        /// `fatal`, `nonfatal` or `correctable`; `None` if the line has none of these.
        severity: Option<&'static str>,
        /// The number of the link; `None` if the line is not about one.
        link: Option<u32>,
    },
    /// The driver or the kernel reports a failure of a GPU that is not an XID. The line of one that
    /// has fallen off the bus often follows an XID 79 of the same GPU.
    Driver {
        /// Of the GPU, as [`bus_id`] spells it.
        pci_bus_id: String,
        /// What failed.
        kind: DriverError,
    },
    /// The machine was started: messages before this one belong to an earlier boot.
    Boot,
}

/// A line `NVRM: Xid (PCI:0000:1a:00): 79, pid=4211, name=trainer, …`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct XidLine {
    /// Of the GPU, as [`bus_id`] spells it, always with function 0: the driver prints none here.
    pub(crate) pci_bus_id: String,
    /// The number of the XID. It may be one that the catalog does not know.
    pub(crate) code: u32,
    /// The number of the GPU instance on a partitioned GPU, from `GPU-I`.
    pub(crate) instance: Option<u32>,
    /// The process in the line, unless it is unknown.
    pub(crate) process: Option<Process>,
    /// The fault of the link, of an NVLink XID (144 to 150).
    pub(crate) fault: Option<LinkFault>,
}

/// The process in an XID line. It is not always the one at fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Process {
    /// Its number on the host.
    pub(crate) pid: Option<u32>,
    /// Its name, at most 64 characters, with each control character replaced by U+FFFD. A name that
    /// holds a comma and a space ends at the first of them.
    pub(crate) name: Option<String>,
}

/// The forms of messages.
const FORMS: [fn(&str) -> Option<Event>; 5] = [xid, sxid, driver, off_bus_at_probe, boot];

/// Failures of a GPU in one line: what stands before its address, what after, and what it means.
const FAILURES: [(&str, &str, DriverError); 4] = [
    ("NVRM: GPU ", ": GPU has fallen off the bus", DriverError::FallenOffBus),
    ("NVRM: GPU ", ": RmInitAdapter failed!", DriverError::InitFailed),
    ("nvidia: probe of ", " failed with error ", DriverError::ProbeFailed),
    ("nvidia ", ": probe with driver nvidia failed ", DriverError::ProbeFailed),
];

/// The event in a message; `None` for most messages, and for malformed ones.
///
/// The message is the text of one kernel record, without the prefix of a log. It may hold several
/// lines.
pub(crate) fn event(message: &str) -> Option<Event> {
    let message = message.trim_start();
    FORMS.iter().find_map(|form| form(message))
}

/// An address on the PCI bus as the identities of GPUs spell it, `00000000:1A:00.0`, from
/// `0000:1a:00.0`, `0000:1a:00` or `1a:00`. Without a function it is 0, without a domain also.
pub(crate) fn bus_id(text: &str) -> Option<String> {
    address(text).map(|address| address.to_bus_id())
}

/// An address on the PCI bus.
struct Address {
    domain: u32,
    bus: u32,
    device: u32,
    function: u32,
}

impl Address {
    fn to_bus_id(&self) -> String {
        let Self { domain, bus, device, function } = self;
        format!("{domain:08X}:{bus:02X}:{device:02X}.{function}")
    }
}

/// `[PCI:][DOMAIN:]BUS:DEVICE[.FUNCTION]`, all hexadecimal.
fn address(text: &str) -> Option<Address> {
    let text = text.strip_prefix("PCI:").unwrap_or(text);
    let (place, function) = text.split_once('.').unwrap_or((text, "0"));
    let (before, device) = place.rsplit_once(':')?;
    let (domain, bus) = before.rsplit_once(':').unwrap_or(("0", before));
    Some(Address {
        domain: hex(domain, u32::MAX)?,
        bus: hex(bus, 0xff)?,
        device: hex(device, 0x1f)?,
        function: hex(function, 7)?,
    })
}

/// `from_str_radix` alone takes a sign.
fn hex(text: &str, most: u32) -> Option<u32> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(text, 16).ok().filter(|number| is_hex && *number <= most)
}

/// The decimal number that a text begins with, and what follows it.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

/// A text that is a decimal number and no more.
fn whole_number(text: &str) -> Option<u32> {
    number(text).filter(|(_, rest)| rest.is_empty()).map(|(number, _)| number)
}

/// `PLACE): CODE, DETAIL`, which XIDs and SXids share.
fn numbered(text: &str) -> Option<(&str, u32, &str)> {
    let (place, rest) = text.split_once("):")?;
    let (code, rest) = number(rest.trim_start())?;
    let is_whole = rest.is_empty() || rest.starts_with([',', ' ', '\n', '\r']);
    is_whole.then(|| (place, code, rest.trim_start_matches([',', ' '])))
}

/// `NVRM: Xid (PCI:0000:1a:00 GPU-I:05): 79, pid=4211, name=trainer, TEXT`.
fn xid(message: &str) -> Option<Event> {
    let (place, code, detail) = numbered(message.strip_prefix("NVRM: Xid (")?)?;
    let mut words = place.split(' ');
    let address = Address { function: 0, ..address(words.next()?)? };
    // A later driver may add words here that are not known yet.
    let instance = match words.find_map(|word| word.strip_prefix("GPU-I:")) {
        Some(instance) => Some(whole_number(instance)?),
        None => None,
    };
    let (process, text) = process(detail);
    let fault = link_fault(code, text);
    Some(Event::Xid(XidLine { pci_bus_id: address.to_bus_id(), code, instance, process, fault }))
}

/// The process that a detail begins with, `pid=4211, name=trainer, TEXT`, and the text after it.
fn process(detail: &str) -> (Option<Process>, &str) {
    let Some(text) = detail.strip_prefix("pid=") else {
        return (None, detail);
    };
    let (pid, rest) = text.split_once(", ").unwrap_or((text, ""));
    let (name, rest) = match rest.strip_prefix("name=") {
        // A name may hold `, ` too; which one ends it cannot be known.
        Some(text) => text.split_once(", ").unwrap_or((text, "")),
        None => ("", rest),
    };
    let process = Process { pid: whole_number(pid), name: process_name(name) };
    let is_known = process.pid.is_some() || process.name.is_some();
    (is_known.then_some(process), rest)
}

fn process_name(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text == "<unknown>" {
        return None;
    }
    let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    Some(text.chars().take(LONGEST_NAME).map(printable).collect())
}

/// The fault of the link in an NVLink XID (144 to 150): `RLW_CTRL Nonfatal XC0 i0 Link 04 (0x…`.
fn link_fault(code: u32, text: &str) -> Option<LinkFault> {
    if !(144..=150).contains(&code) {
        return None;
    }
    let words = text.lines().next()?.split([' ', ',']).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.take(MOST_WORDS).collect();
    let grade = |word: &str| severity(word).filter(|severity| *severity != "correctable");
    // The last one: the name of a process may hold such a word, and it comes before.
    let at = words.iter().rposition(|word| grade(word).is_some())?;
    let unit = at.checked_sub(1).map(|before| words[before])?;
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/');
    if unit.len() > LONGEST_UNIT || !unit.bytes().all(is_of_name) {
        return None;
    }
    let mut after = words[at..].iter().skip_while(|word| **word != "Link");
    Some(LinkFault {
        code,
        unit: unit.to_owned(),
        severity: grade(words[at])?,
        // "-1" means no link in particular.
        link: after.nth(1).and_then(|number| whole_number(number)),
    })
}

/// SXids spell it with a hyphen, XIDs without.
fn severity(word: &str) -> Option<&'static str> {
    match word {
        "Fatal" => Some("fatal"),
        "Nonfatal" | "Non-fatal" => Some("nonfatal"),
        "Correctable" => Some("correctable"),
        _ => None,
    }
}

/// `nvidia-nvswitch3: SXid (PCI:0000:0b:00.0): 20034, Fatal, Link 30 TEXT`.
fn sxid(message: &str) -> Option<Event> {
    let (_, text) = number(message.strip_prefix("nvidia-nvswitch")?)?;
    let (place, code, text) = numbered(text.strip_prefix(": SXid (")?)?;
    let pci_bus_id = bus_id(place)?;
    if text.starts_with("Data {") || text.starts_with("Severity ") {
        return None;
    }
    let (word, rest) = text.split_once(',').unwrap_or((text, ""));
    let severity = severity(word.trim_end());
    let link = rest.trim_start().strip_prefix("Link ").filter(|_| severity.is_some());
    let link = link.and_then(|text| whole_number(text.split_whitespace().next()?));
    Some(Event::Sxid { pci_bus_id, code, severity, link })
}

/// A failure in one line.
fn driver(message: &str) -> Option<Event> {
    FAILURES.iter().find_map(|(before, after, kind)| {
        let (place, _) = message.strip_prefix(before)?.split_once(after)?;
        Some(Event::Driver { pci_bus_id: bus_id(place)?, kind: *kind })
    })
}

/// One record of three lines: `NVRM: The NVIDIA GPU 0000:0a:00.0`, `NVRM: (PCI ID: 10de:2330)
/// installed in this system has`, `NVRM: fallen off the bus and is not responding to commands.`
fn off_bus_at_probe(message: &str) -> Option<Event> {
    let text = message.strip_prefix("NVRM: The NVIDIA GPU ")?;
    let is_of_address = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.');
    let (place, rest) = text.split_at(text.find(|c| !is_of_address(c))?);
    let pci_bus_id = bus_id(place)?;
    let kind = DriverError::FallenOffBus;
    rest.contains("NVRM: fallen off the bus").then_some(Event::Driver { pci_bus_id, kind })
}

/// The first message of every boot.
fn boot(message: &str) -> Option<Event> {
    message.starts_with("Linux version ").then_some(Event::Boot)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The event in one line, with only what is known.
    fn describe(message: &str) -> String {
        let Some(event) = event(message) else {
            return "nothing".to_owned();
        };
        let some = |name: &str, number: Option<u32>| {
            number.map(|number| format!(" {name} {number}")).unwrap_or_default()
        };
        match event {
            Event::Boot => "boot".to_owned(),
            Event::Driver { pci_bus_id, kind } => format!("{pci_bus_id} {}", kind.as_str()),
            Event::Sxid { pci_bus_id, code, severity, link } => {
                let severity = severity.unwrap_or("unknown");
                format!("{pci_bus_id} sxid {code} {severity}{}", some("link", link))
            }
            Event::Xid(XidLine { pci_bus_id, code, instance, process, fault }) => {
                let mut line = format!("{pci_bus_id} xid {code}{}", some("instance", instance));
                if let Some(Process { pid, name }) = process {
                    line += &some("pid", pid);
                    line += &name.map(|name| format!(" name {name}")).unwrap_or_default();
                }
                if let Some(LinkFault { code: _, unit, severity, link }) = fault {
                    line += &format!(" unit {unit} {severity}{}", some("link", link));
                }
                line
            }
        }
    }

    /// Checks lines of the form `MESSAGE => EVENT`, and comments.
    fn check_table(table: &str) {
        let rows = table.lines().map(str::trim).filter(|row| !row.is_empty());
        for row in rows.filter(|row| !row.starts_with("//")) {
            let (message, expected) = row.split_once(" => ").expect("a message and an event");
            check(&[(message, expected)]);
        }
    }

    fn check(rows: &[(&str, &str)]) {
        for (message, expected) in rows {
            assert_eq!(describe(message), *expected, "{message}");
        }
    }

    #[test]
    fn every_variant_of_an_xid_line() {
        check_table(
            "
            NVRM: Xid (0007:00): 13, 0002 00000000 000090c0 => 00000000:07:00.0 xid 13
            NVRM: Xid (0000:0a:00): 31, Ch 00000007, engmask 00000101, intr 10000000 => 00000000:0A:00.0 xid 31
            NVRM: Xid (PCI:0000:0a:00): 79, GPU has fallen off the bus. => 00000000:0A:00.0 xid 79
            NVRM: Xid (PCI:0000:0a:00): 79, GPU has fallen off the bus => 00000000:0A:00.0 xid 79
            NVRM: Xid (PCI:0000:0a:00): 79, pid=4211, GPU has fallen off the bus. => 00000000:0A:00.0 xid 79 pid 4211
            NVRM: Xid (PCI:0000:0a:00): 13, pid='<unknown>', name=<unknown>, Graphics Exception: ESR 0x504648=0x10 => 00000000:0A:00.0 xid 13
            NVRM: Xid (PCI:0000:0a:00): 43, pid=4211, name=trainer, Ch 00000008 => 00000000:0A:00.0 xid 43 pid 4211 name trainer
            NVRM: Xid (PCI:0000:0a:00): 46 => 00000000:0A:00.0 xid 46
            NVRM: Xid (PCI:0000:0a:00): 45, pid=4211, name=trainer, Ch 00000008 caused by previous Xid 149 => 00000000:0A:00.0 xid 45 pid 4211 name trainer
            // The place.
            NVRM: Xid (PCI:0000:0a:00.0): 48, x => 00000000:0A:00.0 xid 48
            NVRM: Xid (PCI:0000:0a:00.3): 48, x => 00000000:0A:00.0 xid 48
            NVRM: Xid (PCI:10000:0a:1f): 48, x => 00010000:0A:1F.0 xid 48
            NVRM: Xid (PCI:FEDCBA98:0A:00): 48, x => FEDCBA98:0A:00.0 xid 48
            NVRM: Xid (PCI:0000:0a:00 GPU-I:05): 94, pid=7, name=a, Contained: SM (0x1). RST: No, D-RST: No => 00000000:0A:00.0 xid 94 instance 5 pid 7 name a
            NVRM: Xid (PCI:0000:0a:00 GPU-I:11 GPU-CI:02): 13, pid=7, name=a, Graphics SM => 00000000:0A:00.0 xid 13 instance 11 pid 7 name a
            NVRM: Xid (PCI:0000:0a:00 NEW:1): 48, x => 00000000:0A:00.0 xid 48
            // Codes.
            NVRM: Xid (PCI:0000:0a:00): 0, x => 00000000:0A:00.0 xid 0
            NVRM: Xid (PCI:0000:0a:00): 185, x => 00000000:0A:00.0 xid 185
            NVRM: Xid (PCI:0000:0a:00): 4294967295, x => 00000000:0A:00.0 xid 4294967295
            // White space around it.
            ",
        );
        check(&[(" \tNVRM: Xid (PCI:0000:0a:00): 79, x", "00000000:0A:00.0 xid 79")]);
        check(&[("NVRM: Xid (PCI:0000:0a:00): 79\n", "00000000:0A:00.0 xid 79")]);
    }

    #[test]
    fn every_shape_of_a_body() {
        let rows = [
            (13, "Graphics SM Warp Exception on (GPC 1, TPC 0, SM 1): Out Of Range Address"),
            (13, "Graphics SM Global Exception on (GPC 1, TPC 0, SM 1): Multiple Warp Errors"),
            (13, "Graphics Exception: ESR 0x50d730=0x8000e 0x50d734=0x4 0x50d728=0xf812b60"),
            (13, "Graphics Exception: ChID 0008, Class 0000c7c0, Offset 00000000, Data 00000000"),
            (
                31,
                "Ch 00000008, intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_0 faulted @ \
                 0x7f_c0000000. Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_READ",
            ),
            (32, "Channel ID 00000008 intr0 00040000"),
            (69, "Class Error: ChId 0008, Class 0000c7c0, Offset 0, Data 0, ErrorCode 00000004"),
            (43, "Ch 00000008"),
            (45, "channel 0x00000008"),
            (109, "channel 0x00000008, errorString CTX SWITCH TIMEOUT, Info 0x1c001"),
            (74, "NVLink: fatal error detected on link 3(0x10000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)"),
            (74, "NVLink: Failed to train link 3 to remote PCI:0000:0b:00"),
            (95, "Uncontained: LTC TAG (0x2,0x0). physAddr: 0x1a2b RST: Yes, D-RST: No"),
            (
                119,
                "Timeout after 6s of waiting for RPC response from GPU1 GSP! Expected function \
                 76 (GSP_RM_CONTROL) sequence 12 (0x20802a02 0x5d).",
            ),
            (120, "GSP task exception: load access page fault (code:0xd) @ 0x1234"),
            (140, "An uncorrectable ECC error detected (possible GPU reset) DRAM:1, LTC:0, MMU:0"),
            (154, "GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)"),
            (154, "GPU recovery action changed from 0x2 (Node Reboot Required) to 0x0 (None)"),
        ];
        for (code, body) in rows {
            let place = "NVRM: Xid (PCI:0018:01:00): ";
            let xid = format!("00000018:01:00.0 xid {code}");
            check(&[
                (&format!("{place}{code}, {body}"), &xid),
                (&format!("{place}{code}, pid='<unknown>', name=<unknown>, {body}"), &xid),
                (
                    &format!("{place}{code}, pid=4211, name=trainer, {body}"),
                    &format!("{xid} pid 4211 name trainer"),
                ),
            ]);
        }
    }

    #[test]
    fn faults_of_links() {
        let long = "U".repeat(32);
        let rows = [
            ("RLW_CTRL Nonfatal XC0 i0 Link 04 (0x4 0x40000000)", "unit RLW_CTRL nonfatal link 4"),
            (
                "RLW_SRC_TRACK Fatal   XC0 i0 Link 03 (0x1 0x2 0x3 0x4 0x5 0x6)",
                "unit RLW_SRC_TRACK fatal link 3",
            ),
            (
                "NETIR_LINK_EVT/NETIR_LINK_DOWN  Fatal XC1 i1 Link 17 (0x004505c6)",
                "unit NETIR_LINK_EVT/NETIR_LINK_DOWN fatal link 17",
            ),
            ("NETIR_INT  Fatal   XC0 i0 Link -1", "unit NETIR_INT fatal"),
            ("NETIR_INT Fatal XC 1 i 2 Link 17 [0xdeadbeef]", "unit NETIR_INT fatal link 17"),
            ("NETIR_INT Fatal", "unit NETIR_INT fatal"),
            ("NETIR_INT Fatal XC0 i0 Link", "unit NETIR_INT fatal"),
            ("NETIR_INT Fatal XC0 i0 Link +7", "unit NETIR_INT fatal"),
            ("NETIR_INT Fatal XC0 i0 Link 99999999999999", "unit NETIR_INT fatal"),
            (
                "pid=4211, name=trainer, RLW_CTRL Nonfatal XC0 i0 Link 04 (0x4)",
                "pid 4211 name trainer unit RLW_CTRL nonfatal link 4",
            ),
            (
                "pid='<unknown>', name=<unknown>, RLW_CTRL Nonfatal XC0 i0 Link 04 (0x4)",
                "unit RLW_CTRL nonfatal link 4",
            ),
            // A process may be called `a, b Fatal c`.
            (
                "pid=1, name=a, b Fatal c, RLW_CTRL Nonfatal XC0 i0 Link 04 (0x4)",
                "pid 1 name a unit RLW_CTRL nonfatal link 4",
            ),
            // Tools may join lines.
            (
                "RLW_CTRL Nonfatal XC0 i0 Link 04 (0x4)\nNETIR_INT Fatal XC0 i0 Link 05",
                "unit RLW_CTRL nonfatal link 4",
            ),
            (&format!("{long} Fatal Link 1"), &format!("unit {long} fatal link 1")),
            (&format!("{long}U Fatal Link 1"), ""),
            ("RLW\u{1b}[31m Fatal Link 1", ""),
            ("RLW=CTRL Fatal Link 1", ""),
            ("RLWé Fatal Link 1", ""),
            ("RLW_CTRL Correctable XC0 i0 Link 04", ""),
            ("RLW_CTRL fatal XC0 i0 Link 04", ""),
            ("something else", ""),
            ("Fatal", ""),
            ("", ""),
        ];
        for (detail, expected) in rows {
            for code in 144..=150 {
                let expected = format!("00000018:01:00.0 xid {code} {expected}");
                let message = format!("NVRM: Xid (PCI:0018:01:00): {code}, {detail}");
                assert_eq!(describe(&message), expected.trim_end(), "{message}");
            }
        }
        for code in [137, 143, 151] {
            let message = format!("NVRM: Xid (PCI:0018:01:00): {code}, RLW_CTRL Fatal Link 04");
            assert_eq!(describe(&message), format!("00000018:01:00.0 xid {code}"));
        }
    }

    #[test]
    fn names_of_processes() {
        let long = "n".repeat(LONGEST_NAME + 1);
        for (detail, expected) in [
            ("pid=4211, name=my trainer, x", " pid 4211 name my trainer"),
            ("pid=4211, name=a:b[c](d),e, x", " pid 4211 name a:b[c](d),e"),
            ("pid=4211, name=a, b, x", " pid 4211 name a"),
            ("pid=4211, name=a\u{1b}\n\0b, x", " pid 4211 name a\u{fffd}\u{fffd}\u{fffd}b"),
            ("pid=4211, name=größe, x", " pid 4211 name größe"),
            ("pid=4211, name=<unknown>, x", " pid 4211"),
            ("pid=4211, name=, x", " pid 4211"),
            ("pid=4211, name=trainer", " pid 4211 name trainer"),
            ("pid=4211", " pid 4211"),
            ("pid=0, name=swapper/0, x", " pid 0 name swapper/0"),
            ("pid='<unknown>', name=trainer, x", " name trainer"),
            ("pid=<unknown>, name=<unknown>, x", ""),
            ("pid=-1, name=trainer, x", " name trainer"),
            ("pid=99999999999999, name=trainer, x", " name trainer"),
            ("pid=", ""),
            ("name=trainer, x", ""),
            ("x, pid=4211, name=trainer", ""),
            // The name of a process does not change what the line is about.
            ("pid=1, name=): 79, NVRM: Xid (PCI:0000:0b:00): 79, x", " pid 1 name ): 79"),
            ("pid=1, name=NVRM: Xid (PCI:, x", " pid 1 name NVRM: Xid (PCI:"),
            (&format!("pid=1, name={long}, x"), &format!(" pid 1 name {}", &long[1..])),
        ] {
            let message = format!("NVRM: Xid (PCI:0000:0a:00): 119, {detail}");
            assert_eq!(
                describe(&message),
                format!("00000000:0A:00.0 xid 119{expected}"),
                "{message}"
            );
        }
    }

    #[test]
    fn lines_without_an_xid() {
        check_table(
            "
            NVRM: GPU 0000:0a:00.0: GPU has fallen off the bus. => 00000000:0A:00.0 fallen_off_bus
            // As rsyslog writes a line break.
            NVRM: The NVIDIA GPU 0000:0a:00.0#012NVRM: (PCI ID: 10de:2330) installed in this system has#012NVRM: fallen off the bus and is not responding to commands. => 00000000:0A:00.0 fallen_off_bus
            NVRM: The NVIDIA GPU 0000:0a:00.0 => nothing
            NVRM: fallen off the bus and is not responding to commands. => nothing
            NVRM: GPU 0000:0a:00.1: RmInitAdapter failed! (0x62:0x65:1860) => 00000000:0A:00.1 init_failed
            NVRM: RmInitAdapter failed! (0x62:0x65:1860) => nothing
            NVRM: GPU 0000:0a:00.0: rm_init_adapter failed, device minor number 0 => nothing
            nvidia: probe of 0000:0a:00.0 failed with error -1 => 00000000:0A:00.0 probe_failed
            nvidia 0000:0a:00.0: probe with driver nvidia failed with error -1 => 00000000:0A:00.0 probe_failed
            nvidia 0000:0a:00.0: enabling device (0000 -> 0003) => nothing
            nouveau: probe of 0000:0a:00.0 failed with error -1 => nothing
            nvidia: probe of x failed with error -1 => nothing
            NVRM: GPU at PCI:0000:0a:00: GPU-8ac0b1ff-8c38-35a7 => nothing
            NVRM: GPU at 0000:0a:00: GPU-8ac0b1ff-8c38-35a7 => nothing
            NVRM: GPU Board Serial Number: 1650123456789 => nothing
            NVRM: The NVIDIA probe routine was not called for 1 device(s). => nothing
            NVRM: The NVIDIA probe routine failed for 1 device(s). => nothing
            NVRM: No NVIDIA devices probed. => nothing
            NVRM: Rate limiting GSP RPC error prints for GPU at PCI:0000:0a:00 (printing 1 of every 30).  The GPU likely needs to be reset. => nothing
            Linux version 6.8.0-45-generic (buildd@lcy02) (gcc) #45-Ubuntu SMP => boot
            x Linux version 6.8.0 => nothing
            Missed 12 kernel messages => nothing
            ",
        );
        check(&[(
            "NVRM: The NVIDIA GPU 0000:0a:00.0\nNVRM: (PCI ID: 10de:2330) installed in this system has\nNVRM: fallen off the bus and is not responding to commands.",
            "00000000:0A:00.0 fallen_off_bus",
        )]);
        check(&[(
            "NVRM: The NVIDIA GPU 0000:0a:00.0 (PCI ID: 10de:0fff)\nNVRM: installed in this system is not supported by the NVIDIA 580.82.07 driver release.",
            "nothing",
        )]);
    }

    #[test]
    fn sxids() {
        check_table(
            "
            nvidia-nvswitch3: SXid (PCI:0000:0b:00.0): 28006, Non-fatal, Link 46 MC TS crumbstore MCTO (First) => 00000000:0B:00.0 sxid 28006 nonfatal link 46
            nvidia-nvswitch0: SXid (PCI:0000:0b:00.2): 20034, Fatal, Link 03 LTSSM Fault Up => 00000000:0B:00.2 sxid 20034 fatal link 3
            nvidia-nvswitch12: SXid (PCI:0000:0b:00.0): 00123, Correctable, Link 00 x => 00000000:0B:00.0 sxid 123 correctable link 0
            nvidia-nvswitch0: SXid (PCI:0000:0b:00.0): 10003, Fatal, Host_priv, instance=0, chiplet=1 => 00000000:0B:00.0 sxid 10003 fatal
            nvidia-nvswitch0: SXid (PCI:0000:0b:00.0): 10003, Fatal, Link -1 => 00000000:0B:00.0 sxid 10003 fatal
            nvidia-nvswitch0: SXid (PCI:0000:0b:00.0): 10003, Fatal => 00000000:0B:00.0 sxid 10003 fatal
            nvidia-nvswitch0: SXid (PCI:0000:0b:00.0): 10003, Link 3 x => 00000000:0B:00.0 sxid 10003 unknown
            nvidia-nvswitch0: SXid (PCI:0000:0b:00.0): 10003 => 00000000:0B:00.0 sxid 10003 unknown
            nvidia-nvswitch3: SXid (PCI:0000:0b:00.0): 28006, Severity 0 Engine instance 46 Sub-engine instance 00 => nothing
            nvidia-nvswitch3: SXid (PCI:0000:0b:00.0): 28006, Data {0x00140004, 0x00100000} => nothing
            nvidia-nvswitch3: SXid (PCI:0000:0b:00.0): 99999999999, Fatal, x => nothing
            nvidia-nvswitch3: SXid (PCI:0000:0b:00.0): garbled, Fatal => nothing
            nvidia-nvswitch3: SXid (PCI:0b): 28006, Fatal, x => nothing
            nvidia-nvswitch: SXid (PCI:0000:0b:00.0): 28006, Fatal, x => nothing
            x: SXid (PCI:0000:0b:00.0): 28006, Fatal, x => nothing
            ",
        );
    }

    #[test]
    fn other_messages_are_no_events() {
        for message in [
            "",
            " ",
            "NVRM: ",
            "NVRM: Xid",
            "NVRM: Xid (",
            "NVRM: Xid ()",
            "NVRM: Xid (): 79",
            "NVRM: Xid (PCI:0000:0a:00)",
            "NVRM: Xid (PCI:0000:0a:00): ",
            "NVRM: Xid (PCI:0000:0a:00): , x",
            "NVRM: Xid (PCI:0000:0a:00): x, 79",
            "NVRM: Xid (PCI:0000:0a:00): -79, x",
            "NVRM: Xid (PCI:0000:0a:00): +79, x",
            "NVRM: Xid (PCI:0000:0a:00): 79x",
            "NVRM: Xid (PCI:0000:0a:00): 4294967296, x",
            "NVRM: Xid (PCI:0000:0a:00): 99999999999999999999999999, x",
            "NVRM: Xid (PCI:0000:0a:00): ٧٩, x",
            "NVRM: Xid (PCI:0a): 79",
            "NVRM: Xid (79): GPU has fallen off the bus",
            "NVRM: Xid (PCI:zz:0a:00): 79, x",
            "NVRM: Xid (PCI:100000000:0a:00): 79, x",
            "NVRM: Xid (PCI:0000:100:00): 79, x",
            "NVRM: Xid (PCI:0000:0a:20): 79, x",
            "NVRM: Xid (PCI:0000:0a:00.8): 79, x",
            "NVRM: Xid (PCI:0000:0a:00.): 79, x",
            "NVRM: Xid (PCI:0000:+a:00): 79, x",
            "NVRM: Xid (PCI:0:0000:0a:00): 79, x",
            "NVRM: Xid (PCI:0000:0a:00 GPU-I:x): 79, x",
            "NVRM: Xid (PCI:0000:0a:00 GPU-I:99999999999): 79, x",
            // Not the driver's.
            "Xid (PCI:0000:0a:00.0): 79, GPU has fallen off the bus",
            "x NVRM: Xid (PCI:0000:0a:00): 79, x",
            "nvrm: xid (pci:0000:0a:00): 79, x",
            "root: NVRM: Xid (PCI:0000:0a:00): 79, x",
            "NVRM: x NVRM: Xid (PCI:0000:0a:00): 79, x",
            "nvidia-x: SXid (PCI:0000:0b:00.0): 28006, Fatal, x",
            // Of the OOM killer, which a process may have given any name.
            "NVRM: Xid (PCI invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER), order=0, \
             oom_score_adj=0",
            "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0-1,\
             global_oom,task_memcg=/a,task=NVRM: Xid (PCI,pid=7,uid=0",
            "Out of memory: Killed process 7 (NVRM: Xid (PCI) total-vm:1kB, anon-rss:1kB",
            "Memory cgroup out of memory: Kill process 7 ((sd-pam)) score 9 or sacrifice child",
            "oom_reaper: reaped process 7 (a), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
        ] {
            assert_eq!(event(message), None, "{message}");
        }
    }

    #[test]
    fn long_messages_give_short_events() {
        for filler in ["x", " ", ", ", ":", "0", "9", "\0", "é", "Fatal ", "):"] {
            let long = filler.repeat((1 << 20) / filler.len());
            let start = "NVRM: Xid (PCI:0000:0a:00): 145, ";
            for message in [
                long.clone(),
                format!("NVRM: Xid (PCI:{long}"),
                format!("NVRM: Xid ({long}): 79, x"),
                format!("NVRM: Xid (PCI:0000:0a:00{long}): 79, x"),
                format!("NVRM: Xid (PCI:0000:0a:00): {long}"),
                format!("{start}{long}"),
                format!("{start}pid={long}, name=x, A Fatal Link {long}"),
                format!("{start}pid=7, name={long}"),
                format!("{start}{long} Fatal Link 1"),
                format!("nvidia-nvswitch{long}: SXid (PCI:0000:0b:00.0): 28006, Fatal"),
                format!("nvidia-nvswitch1: SXid (PCI:0000:0b:00.0): 28006, Fatal, Link {long}"),
                format!("NVRM: The NVIDIA GPU {long}"),
                format!("nvidia: probe of {long} failed with error -1"),
            ] {
                assert!(describe(&message).chars().count() < 200, "{filler:?}");
            }
        }
    }

    #[test]
    fn addresses_have_one_spelling() {
        for (text, expected) in [
            ("0000:1a:00", Some("00000000:1A:00.0")),
            ("0000:1a:00.0", Some("00000000:1A:00.0")),
            ("0000:1a:00.7", Some("00000000:1A:00.7")),
            ("1a:00", Some("00000000:1A:00.0")),
            ("001a:00", Some("00000000:1A:00.0")),
            ("00000000:1A:00.0", Some("00000000:1A:00.0")),
            ("PCI:0000:1a:00", Some("00000000:1A:00.0")),
            ("ffffffff:ff:1f.7", Some("FFFFFFFF:FF:1F.7")),
            ("", None),
            (":", None),
            ("::", None),
            ("1a", None),
            ("0000:1a:00 ", None),
            ("0000:1a:-0", None),
            ("0000:1a:00.0.0", None),
            ("0000:1à:00", None),
        ] {
            assert_eq!(bus_id(text).as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(
            start in proptest::sample::select(vec![
                "",
                "NVRM: ",
                "NVRM: Xid (",
                "NVRM: Xid (PCI:0000:0a:00",
                "NVRM: Xid (PCI:0000:0a:00): ",
                "NVRM: Xid (PCI:0000:0a:00): 145, ",
                "NVRM: Xid (PCI:0000:0a:00): 145, pid=7, name=",
                "NVRM: Xid (PCI:0000:0a:00): 145, UNIT Fatal Link ",
                "NVRM: GPU ",
                "NVRM: The NVIDIA GPU ",
                "nvidia-nvswitch",
                "nvidia-nvswitch0: SXid (PCI:0000:0a:00.0): 1",
                "nvidia: probe of ",
            ]),
            rest in any::<String>(),
        ) {
            let (pci_bus_id, name, unit) = match event(&format!("{start}{rest}")) {
                None | Some(Event::Boot) => return Ok(()),
                Some(Event::Driver { pci_bus_id, .. } | Event::Sxid { pci_bus_id, .. }) => {
                    (pci_bus_id, None, None)
                }
                Some(Event::Xid(xid)) => {
                    let name = xid.process.and_then(|process| process.name);
                    (xid.pci_bus_id, name, xid.fault.map(|fault| fault.unit))
                }
            };
            prop_assert_eq!(bus_id(&pci_bus_id), Some(pci_bus_id));
            let name = name.unwrap_or_default();
            prop_assert!(name.chars().count() <= LONGEST_NAME && !name.contains(char::is_control));
            prop_assert!(unit.unwrap_or_default().len() <= LONGEST_UNIT);
        }

        #[test]
        fn a_process_changes_neither_place_nor_code(
            (domain, bus, device) in (any::<u32>(), any::<u8>(), 0..32u8),
            (code, pid) in (any::<u32>(), any::<u32>()),
            name in any::<String>(),
        ) {
            let line = format!(
                "NVRM: Xid (PCI:{domain:04x}:{bus:02x}:{device:02x}): {code}, pid={pid}, \
                 name={name}, Ch 00000008"
            );
            let Some(Event::Xid(xid)) = event(&line) else {
                return Err(TestCaseError::fail(line));
            };
            prop_assert_eq!(xid.pci_bus_id, format!("{domain:08X}:{bus:02X}:{device:02X}.0"));
            prop_assert_eq!((xid.code, xid.process.and_then(|process| process.pid)), (code, Some(pid)));
        }
    }
}
