//! Makes clap read flags as Go's flag packages do: `--prefix=true` beside `--prefix`, and values that begin with a dash.

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches};

/// The command line of `T`, read Go's way.
pub fn command<T: CommandFactory>() -> Command {
    tame(T::command())
}

/// For words that are not the process's own arguments.
pub fn parse<T: CommandFactory + FromArgMatches>(words: Vec<String>) -> Result<T, clap::Error> {
    let matches = command::<T>().try_get_matches_from(words)?;
    T::from_arg_matches(&matches)
}

fn tame(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let command = command.mut_args(tame_arg);
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, tame))
}

fn tame_arg(arg: Arg) -> Arg {
    match arg.get_action() {
        ArgAction::SetTrue => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .value_parser(BoolishValueParser::new())
            .hide_possible_values(true)
            .hide_default_value(true)
            .default_value("false")
            .default_missing_value("true"),
        ArgAction::Set if arg.get_long().is_some() && !arg.is_require_equals_set() => {
            arg.allow_hyphen_values(true)
        }
        _ => arg,
    }
}

#[cfg(test)]
mod tests {
    #[derive(Debug, clap::Parser)]
    #[command(no_binary_name = true)]
    struct Line {
        #[arg(long)]
        prefix: bool,
        #[arg(long, default_value_t = 0)]
        limit: i64,
    }

    #[test]
    fn flags_read_as_in_go() {
        let line = |text: &str| {
            let words = text.split_whitespace().map(str::to_owned).collect();
            super::parse::<Line>(words).map(|line| (line.prefix, line.limit)).ok()
        };
        assert_eq!(line("--prefix"), Some((true, 0)));
        assert_eq!(line("--prefix=false --limit -1"), Some((false, -1)));
        assert_eq!(line("--prefix=maybe"), None);
    }
}
