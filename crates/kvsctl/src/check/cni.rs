//! CNI: what the container runtime finds in its two folders.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::finding::{Check, Finding};

const CHECK: Check = Check("cni");

/// What the daemon installs.
const PLUGIN: &str = "k-vswitch-cni";
const CONFLIST: &str = "10-k-vswitch.conflist";
/// The plugin that containerd calls for every pod, besides those of the configuration.
const LOOPBACK: &str = "loopback";
/// Endings of files that runtimes read.
const READ: [&str; 3] = ["conf", "conflist", "json"];

/// What can be known of a node's CNI folders.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Where configurations are.
    pub(super) conf_dir: PathBuf,
    /// Where plugins are.
    pub(super) bin_dir: PathBuf,
    /// Names of configurations that a runtime reads, in its order.
    pub(super) configurations: Vec<String>,
    /// Plugins with whether they can be executed.
    pub(super) plugins: BTreeMap<String, bool>,
    /// Why a folder cannot be read. One that is not there is empty.
    pub(super) unreadable: Vec<String>,
    /// The container runtime, as the Node has it: `containerd://1.7.24`.
    pub(super) runtime: Option<String>,
}

/// Looks into the folders. `runtime` is what the Node says of its container runtime.
pub(super) fn gather(conf_dir: &Path, bin_dir: &Path, runtime: Option<String>) -> Facts {
    let mut facts =
        Facts { conf_dir: conf_dir.to_owned(), bin_dir: bin_dir.to_owned(), runtime, ..Facts::default() };
    let configurations = facts.names(conf_dir);
    let read =
        |name: &String| Path::new(name).extension().is_some_and(|end| READ.iter().any(|read| end == *read));
    facts.configurations = configurations.into_iter().filter(read).collect();
    for name in facts.names(bin_dir) {
        let mode = std::fs::metadata(bin_dir.join(&name)).map_or(0, |file| file.permissions().mode());
        facts.plugins.insert(name, mode & 0o111 != 0);
    }
    facts
}

impl Facts {
    fn names(&mut self, folder: &Path) -> Vec<String> {
        let list = || -> io::Result<Vec<String>> {
            let names =
                std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            let mut names = names.collect::<io::Result<Vec<String>>>()?;
            names.sort_unstable();
            Ok(names)
        };
        match list() {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                self.unreadable.push(format!("{}: {error}", folder.display()));
                Vec::new()
            }
        }
    }

    /// Whether the daemon has installed something here.
    pub(super) fn installed(&self) -> bool {
        self.plugins.contains_key(PLUGIN) || self.configurations.iter().any(|name| name == CONFLIST)
    }
}

/// Judges the facts. `installed`: k-vswitch is on this node already.
pub(super) fn check(facts: &Facts, installed: bool) -> Vec<Finding> {
    let (conf_dir, bin_dir) = (facts.conf_dir.display(), facts.bin_dir.display());
    let mut findings: Vec<Finding> = facts
        .unreadable
        .iter()
        .map(|why| CHECK.problem(format!("cannot read {why}"), "run as root, where the folder is mounted"))
        .collect();
    let earlier = facts.configurations.iter().filter(|name| name.as_str() < CONFLIST);
    let earlier: Vec<&str> = earlier.map(String::as_str).collect();
    let others: Vec<&str> =
        facts.configurations.iter().map(String::as_str).filter(|name| *name != CONFLIST).collect();
    if !earlier.is_empty() {
        findings.push(CHECK.problem(
            format!(
                "{conf_dir} has {}, which the container runtime takes before {CONFLIST}",
                earlier.join(", ")
            ),
            format!(
                "uninstall the plugin that it belongs to, or k-vswitch serves no pod: then rm {}",
                earlier.iter().map(|name| format!("{conf_dir}/{name}")).collect::<Vec<_>>().join(" ")
            ),
        ));
    } else if !others.is_empty() {
        findings.push(CHECK.note(
            format!("{conf_dir} has {} of another network plugin, behind {CONFLIST}", others.join(", ")),
            "uninstall that plugin; pods that it serves keep its network until they are made again",
        ));
    }
    // Other runtimes set loopback up themselves.
    let containerd = facts.runtime.as_deref().is_none_or(|runtime| runtime.starts_with("containerd"));
    if containerd && facts.plugins.get(LOOPBACK) != Some(&true) {
        findings.push(CHECK.problem(
            format!("{bin_dir} has no plugin {LOOPBACK}, without which containerd starts no pod"),
            format!(
                "install the standard plugins there: the package containernetworking-plugins (Debian has them in \
                 /usr/lib/cni: copy {LOOPBACK}) or kubernetes-cni; if the runtime looks elsewhere, say so by --cni-bin-dir"
            ),
        ));
    }
    if installed {
        findings.extend(ours(facts));
    }
    let fine =
        if installed { "the plugin and its configuration are in place" } else { "no other network plugin" };
    CHECK.or_ok(findings, fine)
}

/// What the daemon installs.
fn ours(facts: &Facts) -> Option<Finding> {
    let (conf_dir, bin_dir) = (facts.conf_dir.display(), facts.bin_dir.display());
    match facts.plugins.get(PLUGIN) {
        None => Some(CHECK.problem(
            format!("{bin_dir} has no {PLUGIN}"),
            "the daemon installs it when it starts: kubectl -n kube-system get pods -o wide, and its log; are the \
             folders the runtime's (paths.cniBin and paths.cniConf in the chart)?",
        )),
        Some(false) => Some(CHECK.problem(
            format!("{bin_dir}/{PLUGIN} is not executable"),
            format!("chmod 755 {bin_dir}/{PLUGIN}"),
        )),
        Some(true) if facts.configurations.iter().any(|name| name == CONFLIST) => None,
        Some(true) => Some(CHECK.problem(
            format!("{conf_dir} has no {CONFLIST}, so that the node has no network yet"),
            "the daemon writes it last, when the node is ready: kvsctl status says what it waits for",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn facts(configurations: &[&str], plugins: &[(&str, bool)]) -> Facts {
        Facts {
            conf_dir: "/c".into(),
            bin_dir: "/b".into(),
            configurations: configurations.iter().map(ToString::to_string).collect(),
            plugins: plugins.iter().map(|(name, executable)| ((*name).to_owned(), *executable)).collect(),
            ..Facts::default()
        }
    }

    fn said(facts: &Facts, installed: bool) -> Vec<(Verdict, String)> {
        check(facts, installed).into_iter().map(|f| (f.result, f.found)).collect()
    }

    #[test]
    fn a_configuration_is_a_problem_if_it_comes_first() {
        let plugins = [("loopback", true), (PLUGIN, true)];
        assert_eq!(said(&facts(&[CONFLIST], &plugins), true)[0].0, Verdict::Ok);
        assert_eq!(said(&facts(&[CONFLIST, "87-podman.conflist"], &plugins), true)[0].0, Verdict::Note);
        let first = said(&facts(&["05-cilium.conflist", CONFLIST], &plugins), true);
        assert!(first[0].0 == Verdict::Problem && first[0].1.contains("05-cilium.conflist"), "{first:?}");
        // That it is a flannel of before does not matter to the runtime.
        assert_eq!(said(&facts(&["10-flannel.conflist"], &plugins), false)[0].0, Verdict::Problem);
    }

    #[test]
    fn plugins_must_be_there_and_executable() {
        let ours = |plugins: &[(&str, bool)]| said(&facts(&[CONFLIST], plugins), true)[0].clone();
        assert!(ours(&[(PLUGIN, true)]).1.contains("no plugin loopback"));
        assert!(ours(&[("loopback", true)]).1.contains("no k-vswitch-cni"));
        assert!(ours(&[("loopback", true), (PLUGIN, false)]).1.contains("not executable"));
        let crio = Facts { runtime: Some("cri-o://1.31.0".into()), ..facts(&[], &[]) };
        assert_eq!(said(&crio, false), [(Verdict::Ok, "no other network plugin".to_owned())]);
        let waiting = said(&facts(&[], &[("loopback", true), (PLUGIN, true)]), true);
        assert!(waiting[0].1.contains("no network yet"), "{waiting:?}");
    }

    #[test]
    fn folders_are_read_as_a_runtime_does() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.conflist", "a.conf", "README", "c.bak"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let facts = gather(folder.path(), &folder.path().join("none"), None);
        assert_eq!(facts.configurations, ["a.conf", "b.conflist"]);
        assert!(facts.plugins.is_empty() && facts.unreadable.is_empty() && !facts.installed());
    }
}
