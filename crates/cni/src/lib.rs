//! What the CNI plugin does: CNI 0.3.0 to 1.1.0 on OVSDB and veth pairs.
//!
//! A container runtime executes the plugin once per command. It passes the command in environment variables and a
//! network configuration on standard input, and reads a result or an error from standard output. [`run`] is all of
//! that but the process around it.
//!
//! # Parts
//!
//! What comes in and goes out:
//! - [`Invocation`]: the environment, checked; [`NetConf`]: the configuration, checked; [`Version`].
//! - [`AddResult`]: the result of ADD in each version's layout; [`CniError`]: errors with their codes.
//!
//! What is done, a module per command: `add`, `del`, `check`, `gc`, `status`. They work on
//! - `wire`: the kernel's side, a veth pair with one end in the container;
//! - `switch`: the database's side, a port that carries the pod's facts and is the lease of its addresses;
//! - `delegate`: another IPAM plugin, if the configuration names one;
//! - `undo`: what has to go again when an ADD fails.
//!
//! # How an ADD flows
//!
//! Connect to the database and ask it for the node's facts and all taken addresses; make the veth pair while it
//! answers; make the host's end ready and write the port in one guarded transaction (again with another address if
//! some other plugin was faster); configure the inside end while the switch and the daemon work; wait until the
//! daemon has stamped the port.
//!
//! # What it must never do
//!
//! - Report success before the port's flows are in the switch, or an error while something it made is left.
//! - Disturb an attachment that exists: names are checked before anything is removed.
//! - Keep state of its own: everything is in the kernel and in the database, where DEL and GC find it.
//! - Execute a program, but for an IPAM plugin that the configuration names.

mod add;
mod check;
mod del;
mod delegate;
mod error;
mod gc;
mod invocation;
mod netconf;
mod result;
mod status;
mod switch;
mod undo;
mod version;
mod wire;

use std::io::Read;

pub use error::{CniError, Code};
pub use invocation::{Command, Invocation, PodArgs};
pub use netconf::{Attachment, Ipam, NetConf};
pub use result::{AddResult, Interface, Ip, RouteEntry};
pub use version::Version;

/// What the process has to tell its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What to print on standard output: a result, an error, or nothing.
    pub output: String,
    /// Whether the process ends with success.
    pub success: bool,
}

/// Serves one call: `variable` looks environment variables up, `input` is standard input.
pub fn run(variable: impl Fn(&str) -> Option<String>, input: &mut impl Read) -> Outcome {
    let mut conf = Vec::new();
    let read = input.read_to_end(&mut conf).map_err(|e| {
        CniError::new(Code::Io, "the network configuration cannot be read from standard input", e)
    });
    match read.and_then(|_| serve(variable, &conf)) {
        Ok(output) => Outcome { output, success: true },
        Err(error) => {
            let version = netconf::version_of(&conf).unwrap_or(Version::LATEST);
            Outcome { output: error.to_json(version), success: false }
        }
    }
}

fn serve(variable: impl Fn(&str) -> Option<String>, input: &[u8]) -> error::Result<String> {
    let invocation = Invocation::read(variable)?;
    let command = invocation.command;
    if command == Command::Version {
        return Ok(version::answer(netconf::version_of(input)));
    }
    let conf = NetConf::parse(input)?;
    if conf.version < command.since() {
        let (version, since) = (conf.version, command.since());
        return Err(CniError::new(
            Code::IncompatibleVersion,
            format!("CNI version {version} has no command {}", command.as_str()),
            format!("cniVersion of the network configuration has to be {since} or later"),
        ));
    }
    match command {
        Command::Add => return add::add(&invocation, &conf).map(|result| result.to_json(conf.version)),
        Command::Del => del::del(&invocation, &conf)?,
        Command::Check => check::check(&invocation, &conf)?,
        Command::Status => status::status(&invocation, &conf)?,
        Command::Gc => gc::gc(&invocation, &conf)?,
        Command::Version => {}
    }
    Ok(String::new())
}
