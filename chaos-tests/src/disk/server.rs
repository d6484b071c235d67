//! A disk that forgets in a process of its own, for a cluster that outlives the command that started it.
//!
//! Orders come over a socket without a file, which only the network namespace of the process knows: one line of JSON
//! each way.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::{ForgetfulDisk, Metadata, Survivors, Trouble};
use crate::cluster::init;

const NAME: &str = "balsa-chaos-disk";
/// A power cut waits for the unmount of what hangs.
const ANSWER_MAX: Duration = Duration::from_secs(30);
const DONE: &str = "done";

/// What may be done to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    Trouble(Trouble),
    /// Nothing may use the disk.
    PowerCut {
        survivors: Survivors,
        seed: u64,
    },
}

/// Mounts an empty disk at `place` and serves until the process is killed. Says first that it is ready.
pub fn serve(place: &Path, metadata: Metadata) -> Result<Infallible> {
    let mut disk = ForgetfulDisk::mount(place, metadata)?;
    let listener = UnixListener::bind_addr(&address()?).context("listen for orders")?;
    init::say_ready()?;
    loop {
        let (stream, _) = listener.accept().context("wait for an order")?;
        // Whoever asked is told, or is gone.
        let _ = answer(&mut disk, stream);
    }
}

fn answer(disk: &mut ForgetfulDisk, mut stream: UnixStream) -> Result<()> {
    let order = read_line(&stream)?;
    let order: Order = serde_json::from_str(&order).context("an order is not understood")?;
    let done = match order {
        Order::Trouble(trouble) => {
            disk.set_trouble(trouble);
            Ok(())
        }
        Order::PowerCut { survivors, seed } => disk.power_cut(survivors, &mut StdRng::seed_from_u64(seed)),
    };
    let text = done.map_or_else(|error| format!("{error:#}"), |()| DONE.to_owned());
    writeln!(stream, "{}", text.replace('\n', " ")).context("answer")
}

/// Gives an order to the disk of the network namespace that this thread is in, and waits until it is done.
pub fn give(order: Order) -> Result<()> {
    let mut stream = UnixStream::connect_addr(&address()?).context("reach the disk's process")?;
    stream.set_read_timeout(Some(ANSWER_MAX)).context("limit the wait for the disk's process")?;
    let line = serde_json::to_string(&order).context("write an order")?;
    writeln!(stream, "{line}").context("give the disk's process an order")?;
    let answer = read_line(&stream)?;
    ensure!(answer == DONE, "the disk's process says: {answer}");
    Ok(())
}

fn read_line(stream: &UnixStream) -> Result<String> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).context("hear from the other side of the disk's socket")?;
    Ok(line.trim_end().to_owned())
}

fn address() -> Result<SocketAddr> {
    SocketAddr::from_abstract_name(NAME).context("name a socket")
}
