//! Arguments from the command line and the environment.

use std::ffi::OsStr;

use clap::{Command, Parser};

/// Parses the arguments of this process, or ends it with what is wrong with them, as [`Parser::parse`] does. An environment
/// variable that is empty counts as one that is not set: a ConfigMap has all its keys, with nothing in those that nobody
/// needs.
#[must_use]
pub fn arguments<A: Parser>() -> A {
    let command = A::command();
    let mut matches =
        without(command, |name| std::env::var_os(name).is_some_and(|value| value.is_empty())).get_matches();
    A::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.exit())
}

/// The command without the environment variables that are empty.
fn without(command: Command, empty: impl Fn(&OsStr) -> bool) -> Command {
    command.mut_args(|arg| if arg.get_env().is_some_and(&empty) { arg.env(None) } else { arg })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[derive(Parser)]
    struct Arguments {
        /// Set wherever tests run.
        #[arg(long, env = "PATH")]
        path: Option<String>,
        #[arg(long, env = "CARGO_MANIFEST_DIR", default_value = "nowhere")]
        folder: String,
    }

    fn parse(empty: &[&str], arguments: &[&str]) -> Arguments {
        let command = without(Arguments::command(), |name| empty.iter().any(|empty| name == *empty));
        let mut matches = command.try_get_matches_from([&["test"], arguments].concat()).unwrap();
        <Arguments as clap::FromArgMatches>::from_arg_matches_mut(&mut matches).unwrap()
    }

    #[test]
    fn an_empty_variable_is_none_and_leaves_flags_and_defaults() {
        let all = parse(&[], &[]);
        assert!(all.path.is_some() && all.folder != "nowhere");
        let one = parse(&["PATH"], &[]);
        assert!(one.path.is_none() && one.folder != "nowhere");
        let none = parse(&["PATH", "CARGO_MANIFEST_DIR"], &["--path", "given"]);
        assert_eq!((none.path.as_deref(), &*none.folder), (Some("given"), "nowhere"));
    }
}
