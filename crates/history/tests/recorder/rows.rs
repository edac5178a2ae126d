//! When there is a row, and what is in it.

use std::time::Duration;

use history::recorder::Recorded;
use model::{Down, Reason, Value, field};

use crate::machine::{BEGIN, Machine, SECOND, millis, number};

/// The temperature of a GPU in the row, if there is a row.
fn temperature(recorded: &Recorded, gpu: usize) -> Option<Option<i64>> {
    let row = recorded.row.as_ref()?;
    Some(number(recorded, row, "gpu_temperature", Some(gpu)))
}

#[test]
fn there_is_one_row_per_interval_with_the_time_of_its_tick() {
    for interval in [millis(100), SECOND, 30 * SECOND] {
        let mut machine = Machine::new(1, interval);
        for tick in 0..20_u32 {
            let at = interval * tick;
            machine.pass(0, at + millis(2), &[(field::GPU_TEMP, Value::Int(tick.into()))]);
            let recorded = machine.observe(at + millis(10));
            assert_eq!(temperature(&recorded, 0), Some(Some(tick.into())), "{interval:?}");
            assert_eq!(recorded.row.unwrap().time, BEGIN.after(at));
            assert_eq!(recorded.layout.host.interval_ms, interval.as_millis() as u64);
            // Something urgent is published.
            for share in [3, 5, 9] {
                assert_eq!(machine.observe(at + interval * share / 10).row, None);
            }
        }
    }
}

#[test]
fn a_pass_between_two_rows_is_not_recorded() {
    let mut machine = Machine::new(1, SECOND);
    let mut rows = Vec::new();
    // A watch with an interval of its own makes passes more frequent.
    for tick in 0..30_u32 {
        let at = millis(100) * tick;
        machine.pass(0, at, &[(field::GPU_TEMP, Value::Int(tick.into()))]);
        rows.extend(temperature(&machine.observe(at + millis(10)), 0).flatten());
    }
    assert_eq!(rows, [0, 10, 20]);
}

#[test]
fn a_row_waits_for_all_gpus_that_are_up_until_the_middle_of_the_interval() {
    let mut machine = Machine::new(3, SECOND);
    machine.down(2, Down::Lost);
    for gpu in 0..2 {
        machine.pass(gpu, millis(5), &[(field::GPU_TEMP, Value::Int(50))]);
    }
    assert!(machine.observe(millis(10)).row.is_some());
    machine.pass(0, millis(1005), &[(field::GPU_TEMP, Value::Int(51))]);
    assert_eq!(machine.recorder.patience(crate::machine::EPOCH + millis(1010)), millis(490));
    assert_eq!(machine.observe(millis(1010)).row, None);
    machine.pass(1, millis(1300), &[(field::GPU_TEMP, Value::Int(61))]);
    let recorded = machine.observe(millis(1303));
    assert_eq!(
        (temperature(&recorded, 0), temperature(&recorded, 1)),
        (Some(Some(51)), Some(Some(61)))
    );
    assert_eq!(recorded.row.unwrap().time, BEGIN.after(SECOND));
    assert_eq!(machine.recorder.patience(crate::machine::EPOCH + millis(1400)), millis(1100));
    // The driver hangs on GPU 1.
    machine.pass(0, millis(2005), &[(field::GPU_TEMP, Value::Int(52))]);
    assert_eq!(machine.observe(millis(2010)).row, None);
    let recorded = machine.observe(millis(2500));
    assert_eq!(temperature(&recorded, 0), Some(Some(52)));
    assert_eq!(temperature(&recorded, 1), Some(None), "what was read before is in the row before");
    let row = recorded.row.as_ref().unwrap();
    assert_eq!(number(&recorded, row, "up", Some(1)), Some(1));
    assert_eq!(number(&recorded, row, "up", Some(2)), Some(0));
    assert_eq!(number(&recorded, row, "down_reason", Some(2)), Some(1));
}

#[test]
fn passes_that_take_more_than_half_an_interval_are_recorded_all_the_same() {
    let mut machine = Machine::new(1, SECOND);
    let mut rows = Vec::new();
    for tick in 0..10_u32 {
        let at = SECOND * tick;
        rows.extend(temperature(&machine.observe(at + millis(10)), 0));
        rows.extend(temperature(&machine.observe(at + millis(500)), 0));
        machine.pass(0, at + millis(700), &[(field::GPU_TEMP, Value::Int(tick.into()))]);
        rows.extend(temperature(&machine.observe(at + millis(700)), 0));
    }
    assert_eq!(rows.len(), 10);
    assert_eq!(rows[1..], (0..9).map(Some).collect::<Vec<_>>()[..]);
}

#[test]
fn what_has_no_value_is_a_gap() {
    let mut machine = Machine::new(1, SECOND);
    let mut recorded_of = |second: u32, reading, up| {
        let at = SECOND * second;
        machine.pass(0, at, &[]);
        machine.set(0, field::GPU_TEMP, reading);
        machine.snapshot.gpus[0].up = up;
        let recorded = machine.observe(at + millis(500));
        let row = recorded.row.clone().unwrap();
        let of = |signal| number(&recorded, &row, signal, Some(0));
        [of("gpu_temperature"), of("up"), of("down_reason"), of("xid"), of("power")]
    };
    let value = |value| Ok(Value::Int(value));
    assert_eq!(recorded_of(0, value(61), Ok(())), [Some(61), Some(1), None, Some(0), None]);
    let reasons = [Reason::Late, Reason::NoData, Reason::Failed, Reason::Implausible];
    for (second, reason) in (1..).zip(reasons) {
        assert_eq!(recorded_of(second, Err(reason), Ok(()))[0], None);
    }
    let down = [None, Some(0), Some(0), None, None];
    assert_eq!(recorded_of(10, value(61), Err(Down::Late)), down, "a value of a GPU that is down");
    assert_eq!(recorded_of(11, value(i64::MAX), Ok(()))[0], Some(i64::MAX));
    let text = Ok(Value::Text("61".into()));
    assert_eq!(recorded_of(12, text, Ok(()))[0], None);
}

#[test]
fn what_is_derived_is_as_on_the_page() {
    let mut machine = Machine::new(1, SECOND);
    machine.host.memory_available_mib = Some(4096);
    machine.host.memory_pressure_some = Some(12.34);
    machine.pass(
        0,
        millis(1),
        &[
            (field::SM_CLOCK, Value::Int(990)),
            (field::MAX_SM_CLOCK_OF_PSTATE, Value::Int(1980)),
            (field::POWER_USAGE, Value::Float(698.123)),
            (field::PROF_PCIE_TX_BYTES, Value::Int(1_234_567_890)),
            (field::PROF_SM_ACTIVE, Value::Float(0.987_65)),
            (field::NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL, Value::Int(3)),
            (field::NVLINK_REPLAY_ERROR_COUNT_TOTAL, Value::Int(4)),
        ],
    );
    let recorded = machine.observe(millis(10));
    let row = recorded.row.clone().unwrap();
    let of = |signal, gpu| number(&recorded, &row, signal, gpu);
    assert_eq!(of("memory_available", None), Some(4096));
    assert_eq!(of("memory_pressure_some", None), Some(1234));
    assert_eq!(of("memory_pressure_full", None), None);
    assert_eq!(of("slowdown", Some(0)), Some(5000));
    assert_eq!(of("power", Some(0)), Some(698_123));
    assert_eq!(of("pcie_tx", Some(0)), Some(1_235));
    assert_eq!(of("sm_active", Some(0)), Some(9877));
    assert_eq!(of("nvlink_errors", Some(0)), Some(7), "the GPU has no other two");
    assert_eq!(of("links_active", Some(0)), None);
    machine.pass(0, millis(1001), &[]);
    machine.set(0, field::NVLINK_REPLAY_ERROR_COUNT_TOTAL, Err(Reason::Failed));
    let recorded = machine.observe(millis(1010));
    let row = recorded.row.as_ref().unwrap();
    assert_eq!(number(&recorded, row, "nvlink_errors", Some(0)), None, "a sum would be too small");
}

#[test]
fn after_a_pause_there_is_no_row_for_what_was_missed() {
    let mut machine = Machine::new(1, SECOND);
    machine.pass(0, millis(1), &[]);
    assert!(machine.observe(millis(10)).row.is_some());
    let hour = Duration::from_secs(3600);
    machine.pass(0, hour, &[]);
    let row = machine.observe(hour + millis(10)).row;
    assert_eq!(row.map(|row| row.time), Some(BEGIN.after(hour)));
    assert_eq!(machine.observe(hour + millis(20)).row, None);
}
