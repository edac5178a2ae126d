//! Whole reports, and what is true of all of them.
