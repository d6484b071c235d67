//! A World and an apiserver in memory, for tests of plans.
