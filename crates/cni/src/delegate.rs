//! Addresses from another IPAM plugin (CNI specification, section 4): it is executed as a runtime would execute it.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{self, Stdio},
};

use serde::Deserialize;

use crate::{
    AddResult, CniError, Code,
    error::Result,
    invocation::{Command, Invocation},
};

/// Executes the plugin `name` with `command` and the configuration of this call, and returns what it printed.
///
/// # Errors
/// What the plugin answered, with its name before the message; code 7 if it is not in `CNI_PATH`, 5 if it cannot be
/// run, 6 if it answered nonsense.
pub(crate) fn call(name: &str, command: Command, invocation: &Invocation, netconf: &[u8]) -> Result<Vec<u8>> {
    let program = find(name, &invocation.path)?;
    let failed = |what: &str, e: &dyn std::fmt::Display| {
        CniError::new(Code::Io, format!("cannot {what} the IPAM plugin {}", program.display()), e)
    };
    let mut child = process::Command::new(&program)
        .env("CNI_COMMAND", command.as_str())
        .env("CNI_CONTAINERID", &invocation.container_id)
        .env("CNI_IFNAME", &invocation.ifname)
        .env("CNI_NETNS", invocation.netns.as_deref().unwrap_or(Path::new("")))
        .env("CNI_ARGS", &invocation.args)
        .env("CNI_PATH", &invocation.path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| failed("execute", &e))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A plugin may answer, and end, without reading everything.
        if let Err(e) = stdin.write_all(netconf)
            && e.kind() != std::io::ErrorKind::BrokenPipe
        {
            let _ = child.kill();
            let _ = child.wait();
            return Err(failed("write to", &e));
        }
    }
    let output = child.wait_with_output().map_err(|e| failed("read from", &e))?;
    if output.status.success() { Ok(output.stdout) } else { Err(refusal(name, &output)) }
}

/// ADD: the addresses the plugin gives.
///
/// # Errors
/// As [`call`]; code 6 if there is no address among them.
pub(crate) fn add(name: &str, invocation: &Invocation, netconf: &[u8]) -> Result<AddResult> {
    let output = call(name, Command::Add, invocation, netconf)?;
    let unusable = |why: &dyn std::fmt::Display| {
        CniError::new(Code::Decode, format!("the answer of the IPAM plugin {name} cannot be used"), why)
    };
    let result: AddResult = serde_json::from_slice(&output).map_err(|e| unusable(&e))?;
    if result.ips.is_empty() {
        return Err(unusable(&"it has no address in it"));
    }
    Ok(result)
}

/// A command that older plugins do not know (GC, STATUS): not knowing it is no error.
///
/// # Errors
/// As [`call`].
pub(crate) fn call_if_known(
    name: &str,
    command: Command,
    invocation: &Invocation,
    netconf: &[u8],
) -> Result<()> {
    match call(name, command, invocation, netconf) {
        Err(e) if matches!(e.code, Code::Other(1 | 4)) => Ok(()),
        other => other.map(|_| ()),
    }
}

fn find(name: &str, path: &str) -> Result<PathBuf> {
    let directories = path.split(':').filter(|directory| !directory.is_empty());
    directories.map(|directory| Path::new(directory).join(name)).find(|program| program.is_file()).ok_or_else(|| {
        CniError::new(
            Code::InvalidConfig,
            format!("the IPAM plugin {name} is not there"),
            format!("ipam.type names a program that has to be in one of the directories of CNI_PATH ({path:?})"),
        )
    })
}

#[derive(Deserialize)]
struct Refusal {
    code: u32,
    #[serde(default)]
    msg: String,
    #[serde(default)]
    details: String,
}

fn refusal(name: &str, output: &process::Output) -> CniError {
    match serde_json::from_slice::<Refusal>(&output.stdout) {
        Ok(told) => {
            CniError::new(Code::Other(told.code), format!("IPAM plugin {name}: {}", told.msg), told.details)
        }
        Err(_) => CniError::new(
            Code::Io,
            format!("the IPAM plugin {name} failed: {}", output.status),
            String::from_utf8_lossy(&output.stdout).trim(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, process};

    use super::*;

    /// A plugin that is a shell script, in a directory of its own.
    fn plugin(script: &str) -> (tempfile::TempDir, Invocation) {
        let directory = tempfile::tempdir().unwrap();
        let (draft, program) = (directory.path().join("draft"), directory.path().join("test-ipam"));
        fs::write(&draft, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
        // A process that another thread is about to start would hold a file that is written here, and what is held so
        // cannot be executed.
        assert!(process::Command::new("cp").arg(&draft).arg(&program).status().unwrap().success());
        let path = format!("/nonexistent:{}", directory.path().display());
        let invocation = Invocation {
            command: Command::Add,
            container_id: "c1".into(),
            ifname: "eth0".into(),
            netns: Some("/run/netns/x".into()),
            args: "A=B".into(),
            path,
            pod: crate::PodArgs::default(),
        };
        (directory, invocation)
    }

    #[test]
    fn the_plugin_gets_the_environment_and_the_configuration() {
        let script = r#"[ "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_NETNS $CNI_ARGS" = "ADD c1 eth0 /run/netns/x A=B" ] || exit 9
            [ "$(cat)" = '{"x":1}' ] || exit 8
            echo '{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.0.0.9/24","gateway":"10.0.0.1"}]}'"#;
        let (_directory, invocation) = plugin(script);
        let result = add("test-ipam", &invocation, br#"{"x":1}"#).unwrap();
        assert_eq!(result.ips.len(), 1);
        assert_eq!(result.ips[0].address, "10.0.0.9/24".parse().unwrap());
    }

    #[test]
    fn the_plugins_error_is_passed_on_with_its_code() {
        let (_directory, invocation) =
            plugin(r#"cat > /dev/null; echo '{"code":42,"msg":"full","details":"d"}'; exit 1"#);
        let error = add("test-ipam", &invocation, b"{}").unwrap_err();
        assert_eq!(error, CniError::new(Code::Other(42), "IPAM plugin test-ipam: full", "d"));
    }

    #[test]
    fn a_plugin_that_does_not_know_gc_is_no_error() {
        let (_directory, invocation) = plugin(r#"echo '{"code":4,"msg":"unknown CNI_COMMAND: GC"}'; exit 1"#);
        assert_eq!(call_if_known("test-ipam", Command::Gc, &invocation, b"{}"), Ok(()));
    }

    #[test]
    fn nonsense_and_absence_are_told() {
        let (_directory, invocation) = plugin("echo hello");
        assert_eq!(add("test-ipam", &invocation, b"{}").unwrap_err().code, Code::Decode);
        let (_directory, invocation) = plugin("echo broken; exit 3");
        let error = add("test-ipam", &invocation, b"{}").unwrap_err();
        assert_eq!((error.code, error.details.as_str()), (Code::Io, "broken"));
        let error = add("no-such-ipam", &invocation, b"{}").unwrap_err();
        assert_eq!(error.code, Code::InvalidConfig);
        assert!(error.details.contains("CNI_PATH"), "{error}");
    }
}
