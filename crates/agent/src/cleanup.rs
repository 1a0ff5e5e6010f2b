//! Takes away what k-vswitch has put on a node: for when it is uninstalled, and never by itself.
//!
//! Everything is looked for and each part tried, whatever becomes of the others, and it can be done again. Blocking; in the network
//! namespace of the calling thread.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use host::Netlink;
use ipam::PodPort;
use ovsdb::tables::{Bridge, Interface};
use ovsdb::{Condition, vswitch};
use ovsdb_blocking::Client as Database;

use crate::host_setup::{NFT_TABLE, OWN_TABLE};
use crate::install::{CONFLIST, InstallOptions, PLUGIN};

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What has become of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has been taken away.
    Removed(String),
    /// There was nothing.
    Absent(String),
    /// It is still there, for the reason given.
    Failed(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed(what) => write!(f, "removed: {what}"),
            Self::Absent(what) => write!(f, "not there: {what}"),
            Self::Failed(why) => write!(f, "STILL THERE: {why}"),
        }
    }
}

/// Takes everything away. The configuration first, so that no runtime calls the plugin any more; the plugin after the pods'
/// ports, which are the last things it would be called for.
#[must_use]
pub fn run(options: &InstallOptions) -> Vec<Outcome> {
    let mut outcomes = vec![file(&options.conf_dir.join(CONFLIST))];
    outcomes.extend(bridge(options));
    outcomes.push(rules());
    outcomes.push(nftables());
    outcomes.push(file(&options.bin_dir.join(PLUGIN)));
    outcomes
}

fn file(path: &Path) -> Outcome {
    let text = path.display().to_string();
    match std::fs::remove_file(path) {
        Ok(()) => Outcome::Removed(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Outcome::Absent(text),
        Err(error) => Outcome::Failed(format!("{text}: {error}")),
    }
}

/// The bridge, and the veth pairs of the pods whose ports it had. Its routes and addresses go with its interface.
fn bridge(options: &InstallOptions) -> Vec<Outcome> {
    let name = &options.bridge;
    let found = match take_bridge(options) {
        Ok(found) => found,
        Err(error) => {
            let todo = "start Open vSwitch and try again";
            return vec![Outcome::Failed(format!("bridge {name}: {error}: {todo}"))];
        }
    };
    let Some(links) = found else { return vec![Outcome::Absent(format!("bridge {name}"))] };
    let mut outcomes = vec![Outcome::Removed(format!("bridge {name}"))];
    for link in links {
        let text = format!("veth pair {link}");
        outcomes.push(match Netlink::open().and_then(|mut netlink| netlink.delete_link(link.as_str())) {
            Ok(()) => Outcome::Removed(text),
            Err(error) if error.is_not_found() => continue,
            Err(error) => Outcome::Failed(format!("{text}: {error}")),
        });
    }
    outcomes
}

/// Takes the bridge out of the database. The names of pods' interfaces; `None` without a bridge.
fn take_bridge(options: &InstallOptions) -> Result<Option<Vec<String>>, ovsdb_blocking::Error> {
    let deadline = Instant::now() + PATIENCE;
    let mut database = Database::connect(&options.ovsdb_socket, deadline)?;
    let bridges =
        database.select::<Bridge>([Condition::equals("name", options.bridge.as_str())], deadline)?;
    let Some((uuid, _)) = bridges.first() else { return Ok(None) };
    let interfaces = database.select::<Interface>([], deadline)?;
    let pods = interfaces.into_iter().map(|(_, row)| row).filter(|row| PodPort::is_one(&row.external_ids));
    let names = pods.map(|row| row.name).collect();
    database.transact([vswitch::remove_bridge(*uuid)], deadline)?;
    Ok(Some(names))
}

fn rules() -> Outcome {
    let text = format!("rules that lead to routing table {OWN_TABLE}");
    let remove = || -> host::Result<usize> {
        let mut netlink = Netlink::open()?;
        let ours: Vec<_> = netlink.rules()?.into_iter().filter(|rule| rule.table == OWN_TABLE).collect();
        ours.iter().try_for_each(|rule| netlink.delete_rule(*rule))?;
        Ok(ours.len())
    };
    match remove() {
        Ok(0) => Outcome::Absent(text),
        Ok(_) => Outcome::Removed(text),
        Err(error) => Outcome::Failed(format!("{text}: {error}")),
    }
}

fn nftables() -> Outcome {
    let text = format!("nftables table inet {NFT_TABLE}");
    match crate::host_setup::remove_table() {
        Ok(true) => Outcome::Removed(text),
        Ok(false) => Outcome::Absent(text),
        Err(error) => Outcome::Failed(format!("{text}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_removed_says_what_to_do_and_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let options = InstallOptions {
            plugin: folder.path().join("source"),
            bin_dir: folder.path().to_owned(),
            conf_dir: folder.path().to_owned(),
            ovsdb_socket: folder.path().join("db.sock"),
            bridge: "k-vswitch0".into(),
        };
        std::fs::write(folder.path().join(CONFLIST), "{}").unwrap();
        let removed = file(&options.conf_dir.join(CONFLIST)).to_string();
        assert!(removed.starts_with("removed: ") && removed.ends_with(CONFLIST), "{removed}");
        assert!(matches!(file(&options.conf_dir.join(CONFLIST)), Outcome::Absent(_)));
        let outcomes = bridge(&options);
        let [Outcome::Failed(why)] = outcomes.as_slice() else { panic!("{outcomes:?}") };
        assert!(why.contains("bridge k-vswitch0") && why.contains("start Open vSwitch"), "{why}");
    }
}
