//! What comes of a change of the cluster.

use policy::spec::Name;
use tracing::warn;

use super::State;
use crate::view::{Part, ViewEvent};

impl State {
    /// Takes in a change of the cluster.
    pub fn view(&mut self, event: ViewEvent) {
        match event {
            ViewEvent::Node(config) if config.name == self.node => self.set_own(*config),
            ViewEvent::Node(config) => {
                let name = config.name.clone();
                self.stale.remove(&name);
                self.supplant(&config);
                self.remotes.insert(name.clone(), *config);
                self.remote(&name);
            }
            ViewEvent::NodeUnusable(name, why) if name == self.node => {
                warn!(why, "this node's VSwitchConfig cannot be used: what was in force stays");
                self.own_unusable = Some(why);
            }
            ViewEvent::NodeUnusable(name, why) => {
                warn!(
                    node = name,
                    why, "another node's VSwitchConfig cannot be used: what was in force stays"
                );
                if self.remotes.contains_key(&name) {
                    self.stale.insert(name);
                }
            }
            ViewEvent::NodeGone(name) if name == self.node => {
                let why = format!("VSwitchConfig {name} was deleted: what was in force stays");
                warn!(node = name, "{why}");
                self.own_unusable = Some(why);
            }
            ViewEvent::NodeGone(name) => self.forget(&name),
            ViewEvent::Pod(pod) => self.pod(*pod),
            ViewEvent::PodGone(pod) => {
                self.pods.remove(&pod);
                self.host_ports_of(&pod, None);
                self.enforcement.peer_gone(&Name::from(&pod));
            }
            ViewEvent::Namespace(name, labels) => self.enforcement.namespace(&name, &labels),
            ViewEvent::NamespaceGone(name) => self.enforcement.namespace_gone(&name),
            ViewEvent::Policy(policy, spec) => self.enforcement.policy(&Name::from(&policy), &spec),
            ViewEvent::PolicyGone(policy) => self.enforcement.policy_gone(&Name::from(&policy)),
            ViewEvent::UpToDate(answer) => self.up_to_date(&answer),
            ViewEvent::Service(..)
            | ViewEvent::ServiceGone(_)
            | ViewEvent::Slice(..)
            | ViewEvent::SliceGone(_)
            | ViewEvent::Zone(_) => self.service(event),
            ViewEvent::Synced(part) => {
                if self.synced.insert(part) && part == Part::Pods {
                    self.pods_listed();
                }
            }
        }
    }
}
