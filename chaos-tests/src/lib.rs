//! Fault injection, workloads, models and checkers for the whole system
