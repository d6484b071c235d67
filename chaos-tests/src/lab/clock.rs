//! A process whose wall clock is not the machine's: what it reads as the time of day is some seconds off.
//!
//! Programs ask for the time in the vDSO, a page of code that the kernel maps into each process. Here the first bytes of
//! its functions are replaced, in the private copy of one process, by a jump to code that makes the system call and adds
//! the seconds. So the clock jumps while the process runs, and jumps back; nothing is preloaded, and a program in Go, which
//! asks the vDSO and not the C library, is fooled as well as one in Rust or C: a stock etcd does not notice libfaketime.
//!
//! Not moved: the monotonic clock, the kernel's own timers, times of files, and whoever makes the system call directly.
//! Only x86_64.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::eventually;

/// Longest time until every thread has taken the signal to stop.
const STOP_MAX: Duration = Duration::from_secs(1);
/// Until a thread is out of the functions that read the clock.
const CLOCK_MAX: Duration = Duration::from_secs(5);

/// A jump to an address that is relative to its end.
const JUMP_BYTES: usize = 5;
/// Code that adds so many seconds.
type Replacement = fn(i32) -> Vec<u8>;
/// Functions that tell the time of day, and what replaces each.
const FUNCTIONS: [(&str, Replacement); 3] =
    [("__vdso_clock_gettime", clock_gettime), ("__vdso_gettimeofday", gettimeofday), ("__vdso_time", time)];

/// What was changed in one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShiftedClock {
    pid: u32,
    /// Address, and the bytes that were there.
    originals: Vec<(u64, Vec<u8>)>,
}

impl ShiftedClock {
    /// Of a process that runs, or that is paused and stays so.
    pub fn shift_running(pid: u32, paused: bool, seconds: i32) -> Result<Self> {
        while_stopped(pid, paused, || Self::shift(pid, seconds))
    }

    /// The same for [`Self::undo`].
    pub fn undo_running(&self, paused: bool) -> Result<()> {
        while_stopped(self.pid, paused, || self.undo())
    }

    /// The process must be stopped. Refused if one of its threads stands in the bytes that would change: it may go on a
    /// little and be stopped again.
    fn shift(pid: u32, seconds: i32) -> Result<Self> {
        ensure!(cfg!(target_arch = "x86_64"), "a clock can be moved on x86_64 only");
        let memory = open_memory(pid)?;
        let (begin, image) = read_vdso(pid, &memory)?;
        let sections = Sections::of(&image).context("the vDSO is not understood")?;
        let symbols = symbols(&sections).context("the vDSO is not understood")?;
        let mut place = end_of_content(&sections);
        let (mut changes, mut originals) = (Vec::new(), Vec::new());
        for (name, replacement) in FUNCTIONS {
            let code = replacement(seconds);
            let entry = symbols.iter().find(|(known, _)| known == name);
            let &(_, entry) = entry.with_context(|| format!("the vDSO has no {name}"))?;
            ensure!(place + code.len() <= image.len(), "the vDSO has no room for {} bytes more", code.len());
            let original = image.get(entry..entry + JUMP_BYTES).context("a function outside of the vDSO")?;
            originals.push((begin + entry as u64, original.to_vec()));
            changes.push((begin + entry as u64, jump(entry, place).to_vec()));
            let room = code.len().next_multiple_of(16);
            changes.push((begin + place as u64, code));
            place += room;
        }
        let shifted = Self { pid, originals };
        shifted.write(&changes)?;
        Ok(shifted)
    }

    /// The machine's clock again; the process must be stopped here as well.
    fn undo(&self) -> Result<()> {
        self.write(&self.originals)
    }

    /// All of it or nothing: no thread may stand in what is changed.
    fn write(&self, changes: &[(u64, Vec<u8>)]) -> Result<()> {
        self.originals.iter().try_for_each(|(entry, _)| nobody_stands_in(self.pid, *entry))?;
        let memory = open_memory(self.pid)?;
        for (address, bytes) in changes {
            memory.write_all_at(bytes, *address).context("write into the vDSO")?;
        }
        Ok(())
    }
}

/// Stops the process for a moment, again and again until the work can be done.
fn while_stopped<T>(pid: u32, paused: bool, work: impl Fn() -> Result<T>) -> Result<T> {
    let process = Pid::from_raw(i32::try_from(pid).context("a pid fits an i32")?);
    let send = |signal| kill(process, signal).with_context(|| format!("send {signal} to process {pid}"));
    eventually(&format!("the clock of process {pid}"), CLOCK_MAX, || {
        if paused {
            return work();
        }
        send(Signal::SIGSTOP)?;
        let stopped = eventually("a stopped process", STOP_MAX, || is_stopped(pid));
        let done = stopped.and_then(|()| work());
        send(Signal::SIGCONT)?;
        done
    })
}

fn open_memory(pid: u32) -> Result<File> {
    let path = format!("/proc/{pid}/mem");
    File::options().read(true).write(true).open(&path).with_context(|| format!("open {path}"))
}

/// Its address and all its bytes.
fn read_vdso(pid: u32, memory: &File) -> Result<(u64, Vec<u8>)> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).context("list the process's memory")?;
    let line = maps.lines().find(|line| line.ends_with("[vdso]"));
    let line = line.context("this kernel gives its processes no vDSO")?;
    let range = line.split(' ').next().and_then(|range| range.split_once('-'));
    let (begin, end) = range.context("a line of the memory's list has no range")?;
    let address = |text: &str| u64::from_str_radix(text, 16).context("an address is no number");
    let (begin, end) = (address(begin)?, address(end)?);
    let mut image = vec![0; usize::try_from(end - begin).context("the vDSO is small")?];
    memory.read_exact_at(&mut image, begin).context("read the vDSO")?;
    Ok((begin, image))
}

/// Whether every thread has taken the signal to stop. One that waits in the kernel has a place as well, and leaves it then.
fn is_stopped(pid: u32) -> Result<()> {
    for thread in fs::read_dir(format!("/proc/{pid}/task")).context("list the process's threads")? {
        let thread = thread.context("list the process's threads")?.path();
        let stat = fs::read_to_string(thread.join("stat")).context("look at a thread")?;
        let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
        ensure!(state == Some('T'), "a thread of process {pid} is not stopped");
    }
    Ok(())
}

/// Every thread must be stopped, and none within the jump that is written at `entry`.
fn nobody_stands_in(pid: u32, entry: u64) -> Result<()> {
    for thread in fs::read_dir(format!("/proc/{pid}/task")).context("list the process's threads")? {
        let thread = thread.context("list the process's threads")?.path();
        let text = fs::read_to_string(thread.join("syscall")).context("look at a thread")?;
        // The last word is where it goes on: `-1 0x7ffd… 0x7f01…`; a thread that runs says `running`.
        let place = text.split_whitespace().last().and_then(|place| place.strip_prefix("0x"));
        let Some(place) = place.and_then(|place| u64::from_str_radix(place, 16).ok()) else {
            bail!("a thread of process {pid} still runs");
        };
        ensure!(
            place <= entry || place >= entry + JUMP_BYTES as u64,
            "a thread of process {pid} reads the clock just now"
        );
    }
    Ok(())
}

const SECTION_BYTES: usize = 64;

/// The table of sections of an ELF file of 64 bits.
struct Sections<'a> {
    image: &'a [u8],
    begin: usize,
    count: usize,
}

impl<'a> Sections<'a> {
    fn of(image: &'a [u8]) -> Option<Self> {
        let count = u16::from_le_bytes(image.get(60..62)?.try_into().ok()?);
        Some(Self { image, begin: offset(image, 40)?, count: count.into() })
    }

    fn get(&self, number: usize) -> Option<&'a [u8]> {
        self.image.get(self.begin + number * SECTION_BYTES..)
    }
}

/// Name and offset of all functions: the section of type DYNSYM and the strings that it links to.
fn symbols(sections: &Sections) -> Option<Vec<(String, usize)>> {
    const SYMBOL_BYTES: usize = 24;
    const DYNSYM: u32 = 11;
    let image = sections.image;
    let mut all = (0..sections.count).filter_map(|number| sections.get(number));
    let dynsym = all.find(|section| number(section, 4) == Some(DYNSYM))?;
    let strings = offset(sections.get(number(dynsym, 40)? as usize)?, 24)?;
    let (from, bytes) = (offset(dynsym, 24)?, offset(dynsym, 32)?);
    let table = image.get(from..from + bytes)?.chunks_exact(SYMBOL_BYTES);
    table
        .map(|symbol| {
            let name = image.get(strings + number(symbol, 0)? as usize..)?;
            let name = name.split(|byte| *byte == 0).next()?;
            Some((String::from_utf8_lossy(name).into_owned(), offset(symbol, 8)?))
        })
        .collect()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn offset(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?)).ok()
}

/// After it the last page is zeroes, and room for code of ours: always in the same place, so that a thread that was
/// stopped in code of an earlier jump goes on in the same code with other seconds.
fn end_of_content(sections: &Sections) -> usize {
    const NOBITS: u32 = 8;
    let contents = (0..sections.count)
        .filter_map(|number| sections.get(number))
        .filter(|section| number(section, 4) != Some(NOBITS))
        .filter_map(|section| Some(offset(section, 24)? + offset(section, 32)?));
    contents.fold(sections.begin + sections.count * SECTION_BYTES, usize::max).next_multiple_of(16)
}

fn jump(from: usize, to: usize) -> [u8; JUMP_BYTES] {
    let distance = to as i64 - (from + JUMP_BYTES) as i64;
    let distance = i32::try_from(distance).expect("the vDSO is a few pages");
    let [a, b, c, d] = distance.to_le_bytes();
    [0xe9, a, b, c, d]
}

/// `int clock_gettime(clock, time)`: seconds are added to CLOCK_REALTIME (0) and CLOCK_REALTIME_COARSE (5).
fn clock_gettime(seconds: i32) -> Vec<u8> {
    let mut code = vec![
        0xb8, 0xe4, 0, 0, 0, // mov eax, SYS_clock_gettime
        0x0f, 0x05, // syscall
        0x85, 0xc0, // test eax, eax
        0x75, 0x10, // jnz end
        0x85, 0xff, // test edi, edi
        0x74, 0x05, // jz add
        0x83, 0xff, 0x05, // cmp edi, 5
        0x75, 0x07, // jne end
        0x48, 0x81, 0x06, // add: add qword [rsi], seconds
    ];
    code.extend(seconds.to_le_bytes());
    code.push(0xc3); // end: ret
    code
}

/// `int gettimeofday(time, zone)`; both may be null.
fn gettimeofday(seconds: i32) -> Vec<u8> {
    let mut code = vec![
        0xb8, 0x60, 0, 0, 0, // mov eax, SYS_gettimeofday
        0x0f, 0x05, // syscall
        0x85, 0xc0, // test eax, eax
        0x75, 0x0c, // jnz end
        0x48, 0x85, 0xff, // test rdi, rdi
        0x74, 0x07, // jz end
        0x48, 0x81, 0x07, // add qword [rdi], seconds
    ];
    code.extend(seconds.to_le_bytes());
    code.push(0xc3); // end: ret
    code
}

/// `time_t time(time)`; the pointer may be null.
fn time(seconds: i32) -> Vec<u8> {
    let mut code = vec![
        0xb8, 0xc9, 0, 0, 0, // mov eax, SYS_time
        0x0f, 0x05, // syscall
        0x48, 0x05, // add rax, seconds
    ];
    code.extend(seconds.to_le_bytes());
    code.extend([
        0x48, 0x85, 0xff, // test rdi, rdi
        0x74, 0x03, // jz end
        0x48, 0x89, 0x07, // mov [rdi], rax
        0xc3, // end: ret
    ]);
    code
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use super::*;

    const DAY: i32 = 24 * 3600;

    /// A shell that tells the time whenever it is asked.
    struct Teller {
        child: std::process::Child,
        answers: BufReader<std::process::ChildStdout>,
    }

    impl Teller {
        fn start() -> Self {
            let mut child = Command::new("bash")
                .args(["-c", "while read -r line; do printf '%(%s)T\\n' -1; done"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let answers = BufReader::new(child.stdout.take().unwrap());
            Self { child, answers }
        }

        /// Seconds that it is ahead of this process.
        fn ahead(&mut self) -> i64 {
            self.child.stdin.as_mut().unwrap().write_all(b"now\n").unwrap();
            let mut line = String::new();
            self.answers.read_line(&mut line).unwrap();
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            line.trim().parse::<i64>().unwrap() - i64::try_from(now.as_secs()).unwrap()
        }
    }

    impl Drop for Teller {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    #[test]
    fn a_process_sees_its_clock_jump_and_jump_back() {
        let mut teller = Teller::start();
        assert!((-2..=2).contains(&teller.ahead()));
        for seconds in [DAY, -DAY] {
            let shifted = ShiftedClock::shift_running(teller.child.id(), false, seconds).unwrap();
            let ahead = teller.ahead();
            assert!((ahead - i64::from(seconds)).abs() <= 2, "{ahead} s ahead, should be {seconds} s");
            shifted.undo_running(false).unwrap();
            assert!((-2..=2).contains(&teller.ahead()));
        }
    }
}
