//! The host's nftables table, which others may delete, as a restarted firewall does that begins with `flush ruleset`: until it is
//! back, nothing is masqueraded, and no node port leads anywhere.

use std::io;
use std::thread;
use std::time::Duration;

use host::nft::{Deletions, Told, has_table};
use tokio::sync::mpsc;
use tracing::warn;

use super::Daemon;
use crate::host_setup::NFT_TABLE;

/// The shortest time from one deletion to the next that is told: somebody may delete it without end.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells of each deletion of the table, from a thread that waits for them as long as the process runs. Where the kernel does not
/// tell, audits find it.
pub(super) fn watch() -> mpsc::Receiver<()> {
    let (told, deletions) = mpsc::channel(1);
    let follow = move || {
        if let Err(error) = follow(&told) {
            warn!(%error, "a deletion of the nftables table is noticed at the next audit only");
        }
    };
    if let Err(error) = thread::Builder::new().name("nftables".into()).spawn(follow) {
        warn!(%error, "no thread to wait for deletions of the nftables table: the next audit notices them");
    }
    deletions
}

fn follow(told: &mpsc::Sender<()>) -> io::Result<()> {
    let mut deletions = Deletions::of(NFT_TABLE).map_err(io::Error::other)?;
    loop {
        let gone = match deletions.wait()? {
            Told::Deleted => true,
            Told::TooMuch => matches!(has_table(NFT_TABLE), Ok(false)),
        };
        if gone && told.blocking_send(()).is_err() {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
}

impl Daemon {
    /// Has the table made again, and what it has for Services.
    pub(super) fn table_deleted(&mut self) {
        // Before there was one, it was somebody else's to delete: that of an earlier daemon.
        if self.host_done.is_none() {
            return;
        }
        warn!(
            "somebody deleted the nftables table inet {NFT_TABLE}, or all rules of the host: restoring it; does a firewall begin with flush ruleset?"
        );
        self.metrics.table_restorations.inc();
        self.host_due = true;
        self.publisher.again();
    }
}
