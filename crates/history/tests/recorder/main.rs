//! What the recorder makes of snapshots.

mod events;
mod layout;
mod machine;
mod rows;
mod truth;
