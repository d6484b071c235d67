//! Processes of the store that end, stand still or stumble; what was acknowledged stays true.

mod crash;
mod load;
mod members;
mod pause;
