//! Panics of what a simulation plays: tokio catches them, and they must not be lost for that.

use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    /// `None` on threads that play nothing.
    static SEEN: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// From now on, panics of this thread are kept instead of printed.
pub fn watch() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let kept = SEEN.with_borrow_mut(|seen| seen.as_mut().map(|seen| seen.push(panic.to_string())));
            if kept.is_none() {
                before(panic);
            }
        }));
    });
    SEEN.set(Some(Vec::new()));
}

/// Those since the last look.
pub fn take() -> Vec<String> {
    SEEN.with_borrow_mut(|seen| seen.as_mut().map(std::mem::take)).unwrap_or_default()
}

/// Panics are printed again.
pub fn unwatch() {
    SEEN.set(None);
}
