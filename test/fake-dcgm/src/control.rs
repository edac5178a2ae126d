//! The control file: faults of the engine on command, while the program under test runs.
//!
//! A text file, one command a line; `#` starts a comment. The library looks for a change at most
//! every 5 ms, within calls, and at each tick of an engine. A line is in force while it stands in
//! the file; one that is not understood is named once on stderr and ignored. Faults of
//! GPUs are set in the control file of `fake-nvml`, through which the engine reads.
//!
//! | line | effect |
//! |---|---|
//! | `engine down` | connecting waits its whole timeout, then -21; handles there are dead for ever |
//! | `engine stopped` | as after SIGSTOP: calls block while the line is there, those on handles for `FAKE_DCGM_HANG_SECONDS` at most, then -11; nothing is sampled |
//! | `engine restart 1` | when the number is new, all handles there are dead |
//! | `engine version 3.3.9` | the version of the host engine |
//! | `engine dead-handle` | connecting succeeds, and every call on that handle answers -21 |
//! | `engine lists 48` | it lists 48 GPUs; those that do not exist come first, and are detached |
//! | `engine counts gpus 5000` | the list of GPUs has the false length 5000; `entities`: all other lists |
//! | `limit groups 50` | other clients have 50 of the 64 groups; beyond: -24 |
//! | `limit field-groups 50` | the same of field groups |
//! | `field 155 unsupported` | watching it answers -33 and watches the rest; its values are -16 |
//! | `field 155 refused` | a field group with it is not created: -1 |
//! | `field 155 blank` | its values are blank, and fresh |
//! | `field 155 value 12345` | its values are that |
//! | `no-profiling` | there is no profiling module: fields 1001 to 1096, 1532 and 1533 are unsupported |
//! | `stale` | the engine answers, and does not sample |
//! | `gpu 3 stale` | the values of this GPU stand still |
//! | `gpu 0 fake` | its status says fake; `gpu 0 detached`: detached |
//! | `gpu 3 health MEM 20 46 some message` | an incident: system by name or number, result, error code, message |
//! | `clock 3600` | the engine's clock is 3600 s ahead; negative: behind |
//!
//! `down`, `stopped`, `restart`, `version` and `dead-handle` are about the host engine that is
//! connected to, and leave an embedded engine alone.

pub use fake_nvml::control::Control;
