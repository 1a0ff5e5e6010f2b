//! Connections of UDP that must be forgotten. A client that goes on sending keeps its connection alive, though the endpoint
//! is gone or there was none at first; TCP's and SCTP's end by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::settle::Told;
use crate::lb::{Backends, Change, Frontend, Parts, Protocol};

/// What UDP frontends lead to, inside and outside.
type Reach = [Backends; 2];

/// Of the Services that may be different.
#[derive(Default)]
pub(crate) struct Reaches {
    before: BTreeMap<Frontend, Reach>,
    after: BTreeMap<Frontend, Reach>,
}

impl Reaches {
    pub(crate) fn before(&mut self, told: &Told) {
        self.before.extend(reaches(told));
    }

    pub(crate) fn after(&mut self, told: &Told) {
        self.after.extend(reaches(told));
    }

    pub(crate) fn forget(&self) -> impl Iterator<Item = Change> {
        let frontends: BTreeSet<Frontend> = self.before.keys().chain(self.after.keys()).copied().collect();
        frontends.into_iter().flat_map(|frontend| {
            let (before, after) = (self.before.get(&frontend), self.after.get(&frontend));
            forgotten(before, after).into_iter().map(move |endpoint| Change::Forget(frontend, endpoint))
        })
    }
}

/// Endpoints that are gone, and whether somebody may have tried in vain.
fn forgotten(before: Option<&Reach>, after: Option<&Reach>) -> Vec<Option<SocketAddr>> {
    if before == after {
        return Vec::new();
    }
    let in_vain = match (before, after) {
        (None, Some(_)) => true,
        (Some(before), Some(after)) => {
            before.iter().zip(after).any(|(before, after)| parts(before).is_none() && parts(after).is_some())
        }
        (_, None) => false,
    };
    let (before, after) = (endpoints(before), endpoints(after));
    let gone = before.difference(&after).copied().map(Some);
    in_vain.then_some(None).into_iter().chain(gone).collect()
}

fn reaches(told: &Told) -> impl Iterator<Item = (Frontend, Reach)> {
    let frontends = told.frontends.iter().filter(|(frontend, _)| frontend.protocol == Protocol::Udp);
    frontends.filter_map(|(frontend, target)| {
        let (inside, outside) = (told.by_id(target.inside)?, told.by_id(target.outside)?);
        Some((*frontend, [inside.backends.clone(), outside.backends.clone()]))
    })
}

fn endpoints(reach: Option<&Reach>) -> BTreeSet<SocketAddr> {
    reach.into_iter().flatten().filter_map(parts).flat_map(Parts::iter).collect()
}

fn parts(backends: &Backends) -> Option<&Parts> {
    match backends {
        Backends::Endpoints(parts) => Some(parts),
        Backends::Refuse | Backends::Drop => None,
    }
}
