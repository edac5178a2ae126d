//! What was encoded comes back, and nothing else does harm.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Numbers as they occur, and the extremes.
fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => 0_i64..100,
        2 => -1_000_000_i64..1_000_000,
        1 => any::<i64>(),
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(0)],
    ]
}

/// A column: constant, growing, noisy, or with gaps.
fn column(rows: usize) -> BoxedStrategy<Vec<Option<i64>>> {
    prop_oneof![
        number().prop_map(move |value| vec![Some(value); rows]),
        Just(vec![None; rows]),
        (number(), number()).prop_map(move |(begin, step)| {
            let value = |row: i64| Some(begin.wrapping_add(step.wrapping_mul(row)));
            (0..).take(rows).map(value).collect()
        }),
        vec(number().prop_map(Some), rows),
        vec(prop::option::of(number()), rows),
    ]
    .boxed()
}

/// Frames of rows with times that never go back.
fn frames() -> impl Strategy<Value = (usize, Vec<Vec<Row>>)> {
    (0_usize..20, vec(1_usize..8, 1..6)).prop_flat_map(|(width, sizes)| {
        let count: usize = sizes.iter().sum();
        let columns = vec(column(count), width);
        (columns, vec(0_i64..5_000, count), any::<i32>(), Just(sizes)).prop_map(
            move |(columns, steps, begin, sizes)| {
                let mut time = i64::from(begin);
                let mut rows = steps.into_iter().enumerate().map(|(row, step)| {
                    time += step;
                    let values = columns.iter().map(|column| column[row]).collect();
                    Row { time: Time(time), values }
                });
                let frames = sizes.iter().map(|size| rows.by_ref().take(*size).collect());
                (width, frames.collect())
            },
        )
    })
}

fn encode(width: usize, frames: &[Vec<Row>]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::default();
    encoder.begin(7, width);
    let payloads = (100..).zip(frames).map(|(sequence, rows)| encoder.encode(sequence, rows));
    payloads.map(|frame| frame.expect("it has rows").1).collect()
}

fn decode(decoder: &mut Decoder, width: usize, payload: &[u8]) -> Option<Vec<Row>> {
    let (header, rest) = RowsHeader::read(payload)?;
    decoder.decode(1, header, rest, width)
}

proptest! {
    #[test]
    fn rows_come_back((width, frames) in frames()) {
        let payloads = encode(width, &frames);
        let mut decoder = Decoder::default();
        for (payload, rows) in payloads.iter().zip(&frames) {
            let decoded = decode(&mut decoder, width, payload);
            prop_assert_eq!(decoded.as_ref(), Some(rows));
        }
    }

    #[test]
    fn the_rest_of_a_block_is_not_decoded_without_a_frame_before_it(
        (width, frames) in frames(),
        lost: prop::sample::Index,
    ) {
        let payloads = encode(width, &frames);
        let lost = lost.index(payloads.len());
        let mut decoder = Decoder::default();
        for (position, payload) in payloads.iter().enumerate() {
            if position != lost {
                let decoded = decode(&mut decoder, width, payload);
                prop_assert_eq!(decoded.is_some(), position < lost);
            }
        }
    }

    #[test]
    fn mutated_payloads_do_no_harm(
        (width, frames) in frames(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut: prop::sample::Index,
        other_width in 0_usize..40,
    ) {
        let mut decoder = Decoder::default();
        for mut payload in encode(width, &frames) {
            for (at, byte) in &changes {
                let at = at.index(payload.len());
                payload[at] = *byte;
            }
            payload.truncate(cut.index(payload.len() + 1));
            if let Some(rows) = decode(&mut decoder, other_width, &payload) {
                prop_assert!(rows.len() <= MAX_ROWS);
                prop_assert!(rows.iter().all(|row| row.values.len() == other_width));
            }
        }
    }

    #[test]
    fn random_bytes_do_no_harm(payload in vec(any::<u8>(), 0..300), width in 0_usize..400) {
        let _ = decode(&mut Decoder::default(), width, &payload);
        let header = RowsHeader {
            layout: 0,
            block: 0,
            part: 0,
            rows: 5,
            range: Range { from: Time(0), to: Time(4) },
        };
        let _ = Decoder::default().decode(0, header, &payload, width);
    }
}

#[test]
fn a_column_that_does_not_change_costs_a_bit_per_frame() {
    let row = |time| Row { time: Time(time), values: vec![Some(4_711); 800] };
    let frame = |begin: i64| (0..5).map(|row_of| row(begin + 1_000 * row_of)).collect();
    let payloads = encode(800, &[frame(0), frame(5_000)]);
    assert!(payloads[1].len() <= HEADER_BYTES + 100 + 4, "{}", payloads[1].len());
}

#[test]
fn a_frame_does_not_ask_for_more_than_its_bytes_can_hold() {
    let header = RowsHeader {
        layout: 0,
        block: 0,
        part: 0,
        rows: 64,
        range: Range { from: Time(0), to: Time(0) },
    };
    assert_eq!(Decoder::default().decode(0, header, &[0; 10], MAX_COLUMNS), None);
    assert_eq!(Decoder::default().decode(0, header, &[0; 9_999], MAX_COLUMNS + 1), None);
}
