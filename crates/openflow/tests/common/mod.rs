//! Messages of every kind, and the programs to try them on.

#![allow(dead_code, unreachable_pub, clippy::print_stdout, reason = "each test file uses a part")]

pub mod samples;
pub mod vswitch;

use std::process::Command;

/// Whether Open vSwitch's program is there; otherwise says that the test is skipped.
pub fn have(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        println!("SKIPPED: {program} is not installed");
    }
    there
}

/// Lines without spaces at their ends, and without empty lines at the end.
pub fn tidy(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}
