//! What the switch counted for one Service, and nothing of others.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use datapath::pipeline::service::{self as pipeline, bucket_endpoint, group_id};
use datapath::{Cookie, Table};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use openflow::{Flow, FlowKey, FlowRequest, MultipartReply, MultipartRequest};
use ovs::openflow::{Session, SessionError};
use service::lb::{Backends, Frontend, Protocol, Set, SetId, Target};
use service::view;

/// Requests under way at a time.
const AT_ONCE: usize = 16;

/// Packets, by what counted them. What was changed while it was read has no counter.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) flows: HashMap<FlowKey, u64>,
    /// Of the buckets.
    pub(super) groups: HashMap<u32, Vec<u64>>,
}

/// The target of a frontend that leads anywhere.
pub(super) fn target(state: &view::FrontendState) -> Option<Target> {
    match state {
        view::FrontendState::Leads { inside, outside, sources } => {
            Some(Target { inside: *inside, outside: *outside, sources: sources.clone() })
        }
        view::FrontendState::Taken(_) | view::FrontendState::Untold => None,
    }
}

/// The flows of a set.
fn flows(id: SetId, set: &Set, sctp: bool) -> Vec<Flow> {
    pipeline::set(id, set, sctp || set.protocol != Protocol::Sctp).flows
}

/// Asks the switch.
pub(super) async fn read(
    view: &view::Service,
    sctp: bool,
    session: &Session,
) -> Result<Counted, SessionError> {
    let questions = questions(view, sctp);
    let flows = stream::iter(questions.flows).map(|request| session.flows(request)).buffer_unordered(AT_ONCE);
    let flows: Vec<_> = flows.try_collect().await?;
    let groups = stream::iter(questions.groups);
    let groups = groups.map(|id| session.multipart(MultipartRequest::GroupStats(Some(id))));
    let groups: Vec<_> = groups.buffer_unordered(AT_ONCE).try_collect().await?;
    let mut counted = Counted::default();
    for found in flows.into_iter().flatten() {
        counted.flows.insert(found.flow.key(), found.stats.packets.unwrap_or(0));
    }
    for reply in groups.into_iter().flatten() {
        let MultipartReply::GroupStats(groups) = reply else { continue };
        for group in groups {
            let buckets = group.buckets.iter().map(|bucket| bucket.packets);
            counted.groups.insert(group.id, buckets.collect());
        }
    }
    Ok(counted)
}

/// What the switch is asked.
#[derive(Debug, Default)]
struct Questions {
    flows: Vec<FlowRequest>,
    groups: Vec<u32>,
}

fn questions(view: &view::Service, sctp: bool) -> Questions {
    let mut questions = Questions::default();
    let exactly = |cookie: u64| FlowRequest { cookie, cookie_mask: u64::MAX, ..FlowRequest::default() };
    // Flows that drop have a cookie that they share with other Services'.
    let dropping = |flow: Flow| {
        let dropping = Cookie(flow.cookie).drop_reason().is_some();
        dropping.then(|| FlowRequest { table: flow.table, matching: flow.matching, ..exactly(flow.cookie) })
    };
    for port in &view.ports {
        for set in &port.sets {
            questions.flows.push(exactly(Cookie::service(set.id).0));
            questions.flows.extend(flows(set.id, &set.set, sctp).into_iter().filter_map(dropping));
            if let Backends::Endpoints(parts) = &set.set.backends {
                let grouped = (0..).zip(&parts.0).filter(|(_, part)| part.len() > 1);
                questions.groups.extend(grouped.map(|(index, _)| group_id(set.id, index)));
            }
        }
        for frontend in &port.frontends {
            let Some(target) = target(&frontend.state) else { continue };
            let flows = pipeline::frontend(&frontend.place, &target);
            questions.flows.extend(flows.into_iter().filter_map(dropping));
        }
    }
    questions
}

impl Counted {
    /// Packets to a frontend, and those that were not allowed.
    pub(super) fn frontend(&self, frontend: &Frontend, target: &Target) -> Option<(u64, u64)> {
        let flows = pipeline::frontend(frontend, target);
        let counts: Vec<_> =
            flows.iter().filter_map(|flow| Some((flow, self.flows.get(&flow.key())?))).collect();
        let sum = |drops: bool| {
            let of = counts.iter().filter(|(flow, _)| Cookie(flow.cookie).drop_reason().is_some() == drops);
            of.fold(0_u64, |sum, (_, packets)| sum.saturating_add(**packets))
        };
        (!counts.is_empty()).then(|| (sum(false), sum(true)))
    }

    /// Packets to a set.
    pub(super) fn set(&self, id: SetId, set: &Set, sctp: bool) -> Option<u64> {
        let select = flows(id, set, sctp).into_iter().find(|flow| flow.table == Table::Select.number())?;
        self.flows.get(&select.key()).copied()
    }

    /// Packets to the endpoints of a set.
    pub(super) fn endpoints(&self, id: SetId, set: &Set, sctp: bool) -> BTreeMap<SocketAddr, u64> {
        let Backends::Endpoints(parts) = &set.backends else { return BTreeMap::new() };
        if set.protocol == Protocol::Sctp && !sctp {
            // They are refused: what counts that is no endpoint's.
            return BTreeMap::new();
        }
        let flows = flows(id, set, sctp);
        let of_table = |table: Table| flows.iter().filter(move |flow| flow.table == table.number());
        let packets = |flow: &Flow| self.flows.get(&flow.key()).copied();
        if set.affinity.is_some() {
            // Connections of clients that keep an endpoint and of those that get one meet in its flow. The one that gives
            // them one is behind those.
            let kept = of_table(Table::Endpoint).zip(parts.iter());
            return kept.filter_map(|(flow, endpoint)| Some((endpoint, packets(flow)?))).collect();
        }
        let mut found: BTreeMap<SocketAddr, u64> = BTreeMap::new();
        let table = if parts.0.len() > 1 { Table::Part } else { Table::Select };
        for ((index, part), flow) in (0..).zip(&parts.0).zip(of_table(table)) {
            if let [endpoint] = **part {
                found.extend(packets(flow).map(|packets| (endpoint, packets)));
                continue;
            }
            let buckets = self.groups.get(&group_id(id, index));
            for (number, packets) in (1..).zip(buckets.into_iter().flatten()) {
                if let Some(endpoint) = bucket_endpoint(part, number) {
                    // The switch says so of what it does not know.
                    let packets = if *packets == u64::MAX { 0 } else { *packets };
                    let sum = found.entry(endpoint).or_default();
                    *sum = sum.saturating_add(packets);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
