//! Random numbers for what may be predicted: timeouts, jitter, ids that only need to differ.

use std::convert::Infallible;

use rand::TryRng;

use super::simulated;

/// The generator of this thread, or of the machine that it plays.
#[derive(Debug, Clone, Copy)]
pub struct Chance;

pub fn chance() -> Chance {
    Chance
}

impl TryRng for Chance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        match simulated::current(|host| host.chance.borrow_mut().try_next_u32()) {
            Some(number) => number,
            None => rand::rng().try_next_u32(),
        }
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        match simulated::current(|host| host.chance.borrow_mut().try_next_u64()) {
            Some(number) => number,
            None => rand::rng().try_next_u64(),
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        match simulated::current(|host| host.chance.borrow_mut().try_fill_bytes(bytes)) {
            Some(filled) => filled,
            None => rand::rng().try_fill_bytes(bytes),
        }
    }
}
