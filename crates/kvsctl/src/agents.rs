//! Asking nodes' daemons: one at an address, or all of a lab.
//!
//! A daemon answers on its node's loopback alone. So `kvsctl` runs where that is: on the node, in the daemon's pod, or
//! for a lab in each node's network namespace.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use ::lab::client::request;
use ::lab::layout::{Layout, Place};
use ::lab::netns;
use ::lab::protocol::{Reply, Request};
use ::lab::spec::LabName;
use anyhow::{Context as _, bail};
use clap::Args;
use inspection::Inspection;
use serde::de::DeserializeOwned;

use crate::output::Form;
use crate::style::red;

/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time to answer: longer than the daemon gives its loop and its switch together.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(25);

/// Which daemons, and how to show what they say.
#[derive(Args, Clone)]
pub(crate) struct Ask {
    /// HTTP server of the daemon to ask. It listens on its node only: run kvsctl there, as by kubectl exec in the
    /// daemon's pod
    #[arg(long, global = true, value_name = "ADDRESS", default_value = "127.0.0.1:9410")]
    agent: SocketAddr,
    /// Ask all nodes of this lab instead
    #[arg(long, global = true, value_name = "NAME")]
    lab: Option<LabName>,
    /// Form of the output
    #[arg(long, short, global = true, value_enum, default_value = "text")]
    output: Form,
}

/// A daemon.
pub(crate) struct Agent {
    /// Its node, or its address where that is all that is known.
    pub(crate) name: String,
    address: SocketAddr,
    netns: Option<PathBuf>,
}

/// An answer to a request for a page.
pub(crate) struct Page {
    /// 200 and the like.
    pub(crate) status: u16,
    /// The page.
    pub(crate) body: String,
}

impl Ask {
    pub(crate) fn json(&self) -> bool {
        self.output == Form::Json
    }

    /// The daemons.
    pub(crate) fn agents(&self) -> anyhow::Result<Vec<Agent>> {
        let Some(name) = &self.lab else {
            return Ok(vec![Agent { name: self.agent.to_string(), address: self.agent, netns: None }]);
        };
        let layout = Layout::new(name);
        let Reply::Status(status) = request(&layout, &Request::Status, |_| {})? else {
            bail!("the supervisor answered something else than a status");
        };
        let agents = status.nodes.into_iter().map(|node| Agent {
            netns: Some(layout.netns(&Place::Node(&node.name))),
            name: node.name,
            address: self.agent,
        });
        Ok(agents.collect())
    }

    /// The lab, if it is one.
    pub(crate) const fn lab(&self) -> Option<&LabName> {
        self.lab.as_ref()
    }

    /// The kubeconfig of the lab, if it is one.
    pub(crate) fn kubeconfig(&self) -> Option<PathBuf> {
        self.lab.as_ref().map(|name| Layout::new(name).kubeconfig())
    }

    /// What all daemons tell of policies. Those that do not answer are named on standard error and counted.
    pub(crate) fn inspections(&self) -> anyhow::Result<(Vec<Inspection>, usize)> {
        Ok(answers(&self.agents()?, Agent::inspection))
    }
}

/// What daemons answer. Those that do not are named on standard error and counted.
pub(crate) fn answers<T: Send>(
    agents: &[Agent],
    ask: impl Fn(&Agent) -> anyhow::Result<T> + Sync,
) -> (Vec<T>, usize) {
    let mut answers = Vec::new();
    let mut silent = 0;
    for (agent, answer) in agents.iter().zip(each(agents, ask)) {
        match answer {
            Ok(answer) => answers.push(answer),
            Err(error) => {
                eprintln!("{} {}: {}", red("error:"), agent.name, crate::describe(&error));
                silent += 1;
            }
        }
    }
    (answers, silent)
}

/// Asks all at the same time; the answers are in the daemons' order.
pub(crate) fn each<T: Send>(
    agents: &[Agent],
    ask: impl Fn(&Agent) -> anyhow::Result<T> + Sync,
) -> Vec<anyhow::Result<T>> {
    std::thread::scope(|scope| {
        let ask = &ask;
        let asking: Vec<_> = agents
            .iter()
            .map(|agent| {
                scope.spawn(move || {
                    // This thread ends with its answer.
                    agent.netns.as_deref().map_or(Ok(()), netns::move_into)?;
                    ask(agent)
                })
            })
            .collect();
        let gone = || Err(anyhow::anyhow!("asking ended early"));
        asking.into_iter().map(|thread| thread.join().unwrap_or_else(|_| gone())).collect()
    })
}

impl Agent {
    /// What the daemon tells of policies.
    pub(crate) fn inspection(&self) -> anyhow::Result<Inspection> {
        self.value("/policies", "policies")
    }

    /// What a page of the daemon's has, which is about this.
    pub(crate) fn value<T: DeserializeOwned>(&self, path: &str, about: &str) -> anyhow::Result<T> {
        let page = self.get(path)?;
        match page.status {
            200 => serde_json::from_str(&page.body)
                .context("the daemon's answer cannot be read: is it of the same version as kvsctl?"),
            404 => bail!("the daemon does not tell of {about}: it is of an older version than kvsctl"),
            status => bail!("the daemon answers {status}: {}", page.body.trim()),
        }
    }

    /// A page of the daemon's. The calling thread must be in its network namespace.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Page> {
        let mut stream = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT).with_context(|| {
            let ask = match self.netns {
                Some(_) => "is k-vswitchd running?",
                None => "is k-vswitchd running, and this its node? --lab asks a lab's",
            };
            format!("no daemon answers at {}: {ask}", self.address)
        })?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        // HTTP/1.0: the answer is one piece and ends with the connection.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("the daemon's answer broke off")?;
        parse(&answer).with_context(|| format!("who answers at {} does not speak HTTP", self.address))
    }
}

fn parse(answer: &str) -> Option<Page> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let (version, rest) = head.split_once(' ')?;
    if !version.starts_with("HTTP/1.") {
        return None;
    }
    let status = rest.split([' ', '\r']).next()?.parse().ok()?;
    Some(Page { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let page = parse("HTTP/1.0 503 Service Unavailable\r\ncontent-length: 3\r\n\r\nno\n").unwrap();
        assert_eq!((page.status, page.body.as_str()), (503, "no\n"));
        assert_eq!(parse("HTTP/1.1 200\r\na: b\r\n\r\n").unwrap().status, 200);
        for bad in ["", "SSH-2.0-x\r\n\r\n", "HTTP/1.0 200 OK\r\n", "HTTP/1.0 x\r\n\r\n"] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
