//! What is in memory, and for how long.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::event::{Event, What};
use crate::fixture::{at, event, layout, moment, read, row};

fn ring() -> Ring {
    Ring::new(Run::new(1))
}

/// Adds the rows of these seconds.
fn push(ring: &mut Ring, layout: &Arc<Layout>, seconds: std::ops::Range<i64>) {
    for second in seconds {
        let now = moment(second.unsigned_abs());
        ring.push(now, layout, Some(&row(layout, second)), &[], false);
    }
}

#[test]
fn rows_can_be_read_at_once() {
    let (mut ring, layout) = (ring(), layout(2, 3));
    push(&mut ring, &layout, 0..8);
    let contents = read(&ring.snapshot(), Range::ALL);
    let expected: Vec<_> = (0..8).map(|second| row(&layout, second)).collect();
    assert_eq!(contents.rows, expected);
    assert_eq!(contents.layouts, [layout]);
    assert_eq!(contents.damage, Damage::default());
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let (mut ring, layout) = (ring(), layout(1, 2));
    push(&mut ring, &layout, 0..7);
    let before = ring.snapshot();
    push(&mut ring, &layout, 7..200);
    assert_eq!(read(&before, Range::ALL).seconds(), Vec::from_iter(0..7));
    assert_eq!(read(&ring.snapshot(), Range::ALL).seconds(), Vec::from_iter(0..200));
}

#[test]
fn a_range_is_answered_alone() {
    let (mut ring, layout) = (ring(), layout(1, 2));
    push(&mut ring, &layout, 0..300);
    let memory = ring.snapshot();
    let range = Range { from: at(120), to: at(131) };
    assert_eq!(read(&memory, range).seconds(), Vec::from_iter(120..=131));
    let nothing = read(&memory, Range { from: at(400), to: at(500) });
    assert!(nothing.rows.is_empty() && nothing.layouts.is_empty());
    let extent = memory.extent().expect("it is in memory");
    assert_eq!(extent, Some(Range { from: at(0), to: at(299) }));
}

#[test]
fn a_new_layout_and_events_keep_their_place() {
    let (mut ring, one, two) = (ring(), layout(1, 2), layout(2, 2));
    push(&mut ring, &one, 0..3);
    ring.push(moment(3), &one, Some(&row(&one, 3)), &[event(3)], false);
    push(&mut ring, &two, 4..6);
    let mut order = Vec::new();
    let memory = ring.snapshot();
    memory
        .read(Range::ALL, &mut |item| {
            order.push(match item {
                Item::Layout(layout) => format!("layout {}", layout.gpus.len()),
                Item::Row(row) => format!("row {}", row.values.len()),
                Item::Event(_) => "event".to_owned(),
            });
            ControlFlow::Continue(())
        })
        .expect("it is in memory");
    let expected =
        ["layout 1", "row 2", "row 2", "row 2", "event", "row 2", "layout 2", "row 4", "row 4"];
    assert_eq!(order, expected);
}

#[test]
fn a_block_never_mixes_times_before_and_after_a_step_of_the_clock() {
    let (mut ring, layout) = (ring(), layout(1, 2));
    push(&mut ring, &layout, 0..20);
    for (now, second) in (20..).zip([5, 6, 7, 500, 501]) {
        ring.push(moment(now), &layout, Some(&row(&layout, second)), &[], false);
    }
    ring.finish_frame(moment(30));
    let memory = ring.snapshot();
    let ranges: Vec<_> = memory.blocks.iter().map(|block| block.range).collect();
    let of = |from, to| Range { from: at(from), to: at(to) };
    assert_eq!(ranges, [of(0, 19), of(5, 7), of(500, 501)]);
    let seconds = read(&memory, of(6, 6)).seconds();
    assert_eq!(seconds, [6, 6], "in the order in which they were recorded");
}

#[test]
fn rows_that_come_seldom_are_not_a_gap_each() {
    let (mut ring, layout) = (ring(), layout(1, 2));
    for step in 0..10 {
        let row = row(&layout, step * 60);
        ring.push(moment(step.unsigned_abs()), &layout, Some(&row), &[], false);
    }
    ring.finish_frame(moment(10));
    assert_eq!(ring.snapshot().blocks.len(), 2);
}

#[test]
fn the_last_hour_is_kept_and_no_more_than_fits() {
    let (mut ring, layout) = (ring(), layout(1, 2));
    push(&mut ring, &layout, 0..4_000);
    let oldest = ring.snapshot().oldest_row().expect("there are rows");
    assert!(at(4_000).since(oldest) >= Duration::from_secs(3_600));
    assert!(at(4_000).since(oldest) <= Duration::from_secs(3_600 + 65));

    let large = self::layout(8, 400);
    let mut ring = self::ring();
    push(&mut ring, &large, 0..1_500);
    let memory = ring.snapshot();
    assert!(memory.bytes() <= 2 << 20, "{}", memory.bytes());
    assert!(memory.bytes() > 1 << 20, "{}", memory.bytes());
}

#[test]
fn a_layout_that_comes_and_goes_is_kept_once_and_counted() {
    let (mut ring, one, two) = (ring(), layout(8, 300), layout(7, 300));
    for second in 0..200 {
        let layout = if second % 2 == 0 { &one } else { &two };
        let layout = Arc::new(Layout::clone(layout));
        push(&mut ring, &layout, second..second + 1);
    }
    let memory = ring.snapshot();
    let layouts: std::collections::BTreeSet<_> =
        memory.blocks.iter().map(|block| block.layout.frame.sequence).collect();
    assert_eq!(layouts.len(), 2);
    let of_layouts = memory.blocks[0].layout.bytes() + memory.blocks[1].layout.bytes();
    let of_frames: usize = memory.blocks.iter().map(|block| block.bytes).sum();
    assert_eq!(memory.bytes(), of_layouts + of_frames);
    assert_eq!(read(&memory, Range::ALL).seconds(), Vec::from_iter(0..200));
}

#[test]
fn layouts_that_change_for_ever_take_no_more_than_fits() {
    let (mut ring, layout) = (ring(), layout(8, 300));
    for second in 0..200 {
        let mut layout = Layout::clone(&layout);
        layout.host.hostname = Some(second.to_string());
        push(&mut ring, &Arc::new(layout), second..second + 1);
    }
    let memory = ring.snapshot();
    assert!(memory.bytes() <= 2 << 20, "{}", memory.bytes());
    assert!(memory.blocks.len() < 100, "{}", memory.blocks.len());
}

#[test]
fn a_flood_of_events_leaves_room_for_rows() {
    let (mut ring, layout) = (ring(), layout(1, 2));
    let events: Vec<_> = (0..5_000).map(|_| event(0)).collect();
    ring.push(moment(0), &layout, Some(&row(&layout, 0)), &events, true);
    let memory = ring.snapshot();
    let contents = read(&memory, Range::ALL);
    assert_eq!((contents.events.len(), memory.dropped_events), (1_000, 4_000));
}

#[test]
fn a_layout_that_no_reader_would_take_is_not_recorded() {
    let (mut ring, huge) = (ring(), layout(400, 50));
    ring.push(moment(0), &huge, Some(&row(&huge, 0)), &[event(0)], true);
    assert!(ring.snapshot().blocks.is_empty());
    push(&mut ring, &layout(1, 1), 1..3);
    assert_eq!(read(&ring.snapshot(), Range::ALL).seconds(), [1, 2]);
}

#[test]
fn a_flood_of_lines_leaves_room_for_what_went_wrong() {
    let (mut ring, layout) = (ring(), layout(1, 2));
    let lines: Vec<_> = (0..2_000).map(|_| event(0)).collect();
    ring.push(moment(0), &layout, None, &lines, true);
    let set = Event { time: at(1), gpu: None, what: What::ClockSet { by_ms: 5_000 } };
    ring.push(moment(1), &layout, None, std::slice::from_ref(&set), true);
    let contents = read(&ring.snapshot(), Range::ALL);
    assert_eq!(contents.events.len(), 1_001);
    assert_eq!(contents.events.last(), Some(&set));
    assert_eq!(ring.snapshot().dropped_events, 1_000);
}
