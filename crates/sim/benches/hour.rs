//! How long an hour of eight simulated GPUs takes. `cargo bench -p sim`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use sim::{Scenario, World};

fn main() {
    let mut times: Vec<Duration> = (0..9)
        .map(|seed| {
            let mut world = World::new(Scenario::story(), seed);
            let began = Instant::now();
            world.advance_to(Duration::from_secs(3600));
            black_box(world.gpus());
            began.elapsed()
        })
        .collect();
    times.sort();
    println!("an hour of the story, eight GPUs: median {:?} (at most {:?})", times[4], times[8]);
}
