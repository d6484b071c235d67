//! Processes of the store that end, stand still or stumble; what was acknowledged stays true. And what a process makes of
//! its settings and of a damaged directory, and what it keeps to itself.

mod alone;
mod crash;
mod damage;
mod load;
mod members;
mod pause;
mod power;
mod secrets;
mod settings;
