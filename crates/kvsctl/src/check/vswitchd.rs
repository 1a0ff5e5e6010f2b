//! Questions to `ovs-vswitchd` by its control socket, as `ovs-appctl` asks them (ovs-appctl(8)).

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

/// Time for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What the one that has its control socket in this folder answers to a command without arguments, if it does.
pub(super) fn ask(folder: &Path, command: &str) -> Option<String> {
    let is_control = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.contains("vswitchd") && name.ends_with(".ctl")
    };
    let paths = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    // Sockets of those that have crashed stay behind.
    paths.filter(is_control).find_map(|path| {
        let mut stream = UnixStream::connect(path).ok()?;
        stream.set_read_timeout(Some(TIMEOUT)).ok()?;
        let request = json!({"id": 0, "method": command, "params": []});
        stream.write_all(request.to_string().as_bytes()).ok()?;
        let answer: Value = serde_json::Deserializer::from_reader(&stream).into_iter().next()?.ok()?;
        answer.get("result")?.as_str().map(str::to_owned)
    })
}
