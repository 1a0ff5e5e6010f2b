//! The CNI plugin `k-vswitch-cni`: executed by a container runtime once per command. Everything it does is in the
//! crate `cni`; here is only the process around it.

use std::{
    io::{self, Write},
    process::ExitCode,
};

fn main() -> ExitCode {
    let outcome = cni::run(|name| std::env::var(name).ok(), &mut io::stdin().lock());
    // Whoever executed us and does not listen cannot be told.
    let told = io::stdout().lock().write_all(outcome.output.as_bytes());
    if outcome.success && told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
