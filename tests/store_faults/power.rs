//! The power goes while clients write, and the disk forgets whatever was not synced.

use std::time::Duration;

use anyhow::{Context, Result};
use balsa_chaos_tests::disk::{Metadata, Survivors};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::crash::judge;
use crate::load::Load;
use crate::members::Members;

/// What outlives each power cut: a disk may have begun to write back what nobody synced.
const CUTS: [Survivors; 4] = [Survivors::Nothing, Survivors::Some, Survivors::Some, Survivors::Nothing];
const WRITES: u64 = 200;
const PATIENCE: Duration = Duration::from_secs(30);
const SEED: u64 = 14370;

/// 14370: a lone member acknowledged a write before it was on its disk.
#[test]
fn bug_14370_what_a_lone_member_acknowledged_outlives_a_power_cut() {
    cut_again_and_again().expect("nothing acknowledged is lost");
}

fn cut_again_and_again() -> Result<()> {
    let mut random = StdRng::seed_from_u64(SEED);
    for (cut, survivors) in CUTS.into_iter().enumerate() {
        one_cut(survivors, &mut random).with_context(|| format!("power cut {cut} with seed {SEED}"))?;
    }
    Ok(())
}

fn one_cut(survivors: Survivors, random: &mut StdRng) -> Result<()> {
    // No more than POSIX promises, also about names.
    let mut members = Members::on_forgetful_disks(1, Metadata::Strict)?;
    members.start(0, None)?;
    let load = Load::start(members.endpoint(0));
    load.wait_for(WRITES, PATIENCE)?;
    members.cut_power(0, survivors, random)?;
    let acknowledged = load.stop();
    members.start(0, None)?;
    judge(&members, 0, &acknowledged)
}
