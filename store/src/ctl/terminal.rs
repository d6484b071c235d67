//! What only a terminal can do: a question whose answer is not echoed.

use std::io::{BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::failure::{BAD_ARGS, Failure, IO};

/// Asks on stdout and reads a line from stdin, without echo if that is a terminal.
pub fn ask_secret(prompt: &str) -> Result<String, Failure> {
    print!("{prompt}");
    std::io::stdout().flush().map_err(|error| Failure::new(IO, error.to_string()))?;
    if !std::io::stdin().is_terminal() {
        return read_line();
    }
    let _quiet = NoEcho::begin()?;
    let answer = read_line();
    println!();
    answer
}

/// A new password, asked for twice.
pub fn ask_new_secret(user: &str) -> Result<String, Failure> {
    let first = ask_secret(&format!("Password of {user}: "))?;
    let second = ask_secret(&format!("Type password of {user} again for confirmation: "))?;
    if first == second { Ok(first) } else { Err(Failure::bad_args("given passwords are different")) }
}

/// The next line of stdin, without its end.
pub fn read_line() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| Failure::new(BAD_ARGS, format!("read the password: {error}")))?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Puts the terminal back as it was, also when reading fails.
struct NoEcho(Termios);

impl NoEcho {
    fn begin() -> Result<Self, Failure> {
        let failed = |error: rustix::io::Errno| {
            Failure::new(BAD_ARGS, format!("the terminal cannot hide a password: {error}"))
        };
        let before = tcgetattr(std::io::stdin()).map_err(failed)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet).map_err(failed)?;
        Ok(Self(before))
    }
}

impl Drop for NoEcho {
    fn drop(&mut self) {
        // The terminal is gone if this fails, and nobody sees its echo.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}
