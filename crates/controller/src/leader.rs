//! One replica works, the others stand by: a `coordination.k8s.io` Lease, held as client-go's leader election does.
//!
//! A standby replica does not compare clocks with the holder. It counts from when it last *saw* the Lease change, and
//! takes over once that was longer ago than the Lease's duration.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use ops::reason;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

/// Name of the Lease.
pub const LEASE: &str = "k-vswitch-controller";

/// Time after which a Lease that was not renewed is free.
pub const DURATION: Duration = Duration::from_secs(15);
/// Time the holder may fail to renew before it must stop working; shorter than [`DURATION`].
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between attempts.
pub const RETRY: Duration = Duration::from_secs(2);

/// Takes part in the election.
#[derive(Clone)]
pub struct Elector {
    leases: Api<Lease>,
    identity: String,
}

impl Elector {
    /// An elector for `identity`, which must be this replica's alone, with the Lease in `namespace`.
    #[must_use]
    pub fn new(client: Client, namespace: &str, identity: String) -> Self {
        Self { leases: Api::namespaced(client, namespace), identity }
    }

    /// Returns when this replica holds the Lease. Tries for ever; an API that cannot be reached is logged.
    pub async fn acquire(&self) {
        let mut seen: Option<(Option<LeaseSpec>, Instant)> = None;
        let mut told = None;
        loop {
            match self.attempt(&mut seen).await {
                Ok(None) => {
                    info!(identity = self.identity, lease = LEASE, "leading");
                    return;
                }
                Ok(Some(holder)) => {
                    if told.as_ref() != Some(&holder) {
                        info!(holder, lease = LEASE, "standing by");
                        told = Some(holder);
                    }
                }
                Err(error) => warn!(error = reason(&error), lease = LEASE, "cannot take the lease"),
            }
            sleep(RETRY).await;
        }
    }

    /// Renews the Lease until that has failed for [`RENEW_DEADLINE`] or someone else holds it, then returns why. The
    /// caller must stop working at once.
    pub async fn hold(&self) -> String {
        let mut renewed = Instant::now();
        loop {
            sleep(RETRY).await;
            let left = RENEW_DEADLINE.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(left, self.renew()).await {
                Ok(Ok(None)) => renewed = Instant::now(),
                Ok(Ok(Some(holder))) => return format!("{holder} holds the lease {LEASE} now"),
                Ok(Err(error)) => debug!(%error, lease = LEASE, "cannot renew the lease"),
                Err(_) => {
                    return format!("lease {LEASE} not renewed for {} s", RENEW_DEADLINE.as_secs());
                }
            }
        }
    }

    /// Gives the Lease up, so that another replica need not wait for it to run out.
    pub async fn release(&self) {
        let Ok(mut lease) = self.leases.get(LEASE).await else { return };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() == Some(&self.identity) {
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
            if let Err(error) = self.leases.replace(LEASE, &PostParams::default(), &lease).await {
                debug!(%error, lease = LEASE, "cannot release the lease; it will run out");
            }
        }
    }

    /// One try: `None` when this replica holds the Lease now, otherwise who does.
    async fn attempt(&self, seen: &mut Option<(Option<LeaseSpec>, Instant)>) -> kube::Result<Option<String>> {
        let Some(lease) = self.leases.get_opt(LEASE).await? else {
            let mut lease = Lease::default();
            lease.metadata.name = Some(LEASE.to_owned());
            lease.spec = Some(self.spec(0));
            return conflict_means_lost(self.leases.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.clone();
        match seen {
            Some((last, _)) if *last == spec => {}
            _ => *seen = Some((spec.clone(), Instant::now())),
        }
        let holder = spec.as_ref().and_then(|s| s.holder_identity.clone()).filter(|h| !h.is_empty());
        let duration =
            spec.as_ref().and_then(|s| s.lease_duration_seconds).and_then(|s| u64::try_from(s).ok());
        let expired = seen
            .as_ref()
            .is_some_and(|(_, at)| at.elapsed() > duration.map_or(DURATION, Duration::from_secs));
        match holder {
            Some(holder) if holder != self.identity && !expired => Ok(Some(holder)),
            _ => self.take(lease).await,
        }
    }

    async fn renew(&self) -> kube::Result<Option<String>> {
        let lease = self.leases.get(LEASE).await?;
        let holder = lease.spec.as_ref().and_then(|s| s.holder_identity.clone()).unwrap_or_default();
        if holder != self.identity {
            return Ok(Some(if holder.is_empty() { "nobody".to_owned() } else { holder }));
        }
        self.take(lease).await
    }

    async fn take(&self, mut lease: Lease) -> kube::Result<Option<String>> {
        let old = lease.spec.take().unwrap_or_default();
        let changes = old.holder_identity.as_deref() != Some(self.identity.as_str());
        let transitions = old.lease_transitions.unwrap_or(0) + i32::from(changes);
        let mut spec = self.spec(transitions);
        if !changes {
            spec.acquire_time = old.acquire_time;
        }
        lease.spec = Some(spec);
        conflict_means_lost(self.leases.replace(LEASE, &PostParams::default(), &lease).await)
    }

    fn spec(&self, transitions: i32) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

/// Another replica wrote first: it holds the Lease, and the next look says who it is.
fn conflict_means_lost(result: kube::Result<Lease>) -> kube::Result<Option<String>> {
    match result {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Some("another replica".to_owned())),
        Err(error) => Err(error),
    }
}
