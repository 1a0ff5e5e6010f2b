//! Colours: only on a terminal, and not where `NO_COLOR` is set (<https://no-color.org>).

use std::io::IsTerminal as _;
use std::sync::LazyLock;

static COLOURED: LazyLock<bool> = LazyLock::new(|| {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stdout().is_terminal() && !unwanted && !dumb
});

fn paint(code: &str, text: &str) -> String {
    if *COLOURED { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// What is well.
pub(crate) fn green(text: &str) -> String {
    paint("32", text)
}

/// What is not.
pub(crate) fn red(text: &str) -> String {
    paint("31", text)
}

/// What is to be noticed.
pub(crate) fn yellow(text: &str) -> String {
    paint("33", text)
}

/// What can be overlooked.
pub(crate) fn dim(text: &str) -> String {
    paint("2", text)
}

/// What stands out.
pub(crate) fn bold(text: &str) -> String {
    paint("1", text)
}
