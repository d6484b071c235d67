//! The first process of every pod: it holds the pod's namespaces open and does nothing else.
//!
//! Without a libc and without std, so that the image is one file of a few kilobytes that no registry has to serve.
//! As process 1 of a shared PID namespace it reaps orphans; SIGTERM and SIGINT end it with status 0.
//! `build.rs` compiles it with `-nostartfiles -static`; the kernel enters at `_start`.
#![no_std]
#![no_main]

use core::arch::asm;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    exit(2)
}

const SIGINT: u64 = 2;
const SIGTERM: u64 = 15;
const SIGCHLD: u64 = 17;
const SIG_BLOCK: usize = 0;
const WNOHANG: usize = 1;
/// Size of the kernel's signal set, which rt_sigprocmask and rt_sigtimedwait want to be told.
const SIGNAL_SET_BYTES: usize = 8;

#[cfg(target_arch = "x86_64")]
mod number {
    pub const RT_SIGPROCMASK: usize = 14;
    pub const RT_SIGTIMEDWAIT: usize = 128;
    pub const WAIT4: usize = 61;
    pub const EXIT_GROUP: usize = 231;
}
#[cfg(target_arch = "aarch64")]
mod number {
    pub const RT_SIGPROCMASK: usize = 135;
    pub const RT_SIGTIMEDWAIT: usize = 137;
    pub const WAIT4: usize = 260;
    pub const EXIT_GROUP: usize = 94;
}

/// The three signals stay blocked and are fetched one by one, so there is no handler and no race.
#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    let signals: u64 = 1 << (SIGINT - 1) | 1 << (SIGTERM - 1) | 1 << (SIGCHLD - 1);
    let set = &raw const signals as usize;
    syscall(number::RT_SIGPROCMASK, [SIG_BLOCK, set, 0, SIGNAL_SET_BYTES]);
    loop {
        match syscall(number::RT_SIGTIMEDWAIT, [set, 0, 0, SIGNAL_SET_BYTES]) as u64 {
            SIGINT | SIGTERM => exit(0),
            SIGCHLD => reap(),
            _interrupted => {}
        }
    }
}

/// One SIGCHLD may stand for many children.
fn reap() {
    while syscall(number::WAIT4, [usize::MAX, 0, WNOHANG, 0]) > 0 {}
}

fn exit(status: usize) -> ! {
    loop {
        syscall(number::EXIT_GROUP, [status, 0, 0, 0]);
    }
}

#[cfg(target_arch = "x86_64")]
fn syscall(number: usize, arguments: [usize; 4]) -> isize {
    let result: isize;
    // SAFETY: the callers above pass pointers to live locals or null, as each call's contract wants.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") arguments[0], in("rsi") arguments[1],
             in("rdx") arguments[2], in("r10") arguments[3], lateout("rcx") _, lateout("r11") _);
    }
    result
}

#[cfg(target_arch = "aarch64")]
fn syscall(number: usize, arguments: [usize; 4]) -> isize {
    let result: isize;
    // SAFETY: the callers above pass pointers to live locals or null, as each call's contract wants.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") arguments[0] as isize => result, in("x1") arguments[1],
             in("x2") arguments[2], in("x3") arguments[3]);
    }
    result
}
