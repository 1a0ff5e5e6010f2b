//! Connections that the switch must forget: those of clients whose endpoint is gone.
//!
//! When flows have changed, Open vSwitch's datapath goes by the old ones for a moment more. A client that sends again in
//! that moment has its connection made anew as it was, and keeps it for as long as it goes on sending. So the switch is
//! told several times, the last time when its datapath has surely been looked through.

use std::collections::VecDeque;
use std::time::Duration;

use openflow::CtFlush;
use tokio::time::Instant;
use tracing::warn;

use super::Daemon;

/// When the switch is told again. It looks through its datapath at once, within some milliseconds if that has few flows,
/// and in at most a second or so.
const AGAIN: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];

/// What is to be said again.
#[derive(Debug, Default)]
pub(super) struct Forgetting {
    /// One queue for each of [`AGAIN`]; each is in order of its times.
    queues: [VecDeque<(Instant, Vec<CtFlush>)>; AGAIN.len()],
}

impl Forgetting {
    /// These connections have been forgotten now.
    fn told(&mut self, connections: &[CtFlush], now: Instant) {
        for (queue, after) in self.queues.iter_mut().zip(AGAIN) {
            queue.push_back((now + after, connections.to_vec()));
        }
    }

    /// When something has to be said again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.queues.iter().filter_map(|queue| Some(queue.front()?.0)).min()
    }

    /// What has to be said again by now.
    fn due(&mut self, now: Instant) -> Vec<CtFlush> {
        let mut due = Vec::new();
        for queue in &mut self.queues {
            while let Some((_, connections)) = queue.pop_front_if(|(at, _)| *at <= now) {
                due.extend(connections);
            }
        }
        due
    }
}

impl Daemon {
    /// Has the switch forget connections whose endpoints are gone. To be called after [`Self::program`].
    pub(super) async fn forget(&mut self) {
        let connections = self.state.take_forgotten();
        if !connections.is_empty() {
            self.forgetting.told(&connections, Instant::now());
            self.tell_to_forget(&connections).await;
        }
    }

    /// The time of [`Forgetting::next`] has come.
    pub(super) async fn forget_again(&mut self) {
        let connections = self.forgetting.due(Instant::now());
        self.tell_to_forget(&connections).await;
    }

    async fn tell_to_forget(&self, connections: &[CtFlush]) {
        let Some(session) = self.session.clone() else { return };
        // From Open vSwitch 3.1 on.
        if let Err(error) = session.forget(connections).await {
            warn!(%error, "the switch cannot forget connections to endpoints that are gone: they end in their own time");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_is_forgotten_again_and_then_not_any_more() {
        let of = |ip_proto| CtFlush { ip_proto, ..CtFlush::default() };
        let begin = Instant::now();
        let [soon, late] = AGAIN.map(|after| begin + after);
        let moment = Duration::from_millis(1);
        let mut forgetting = Forgetting::default();
        assert_eq!(forgetting.next(), None);
        forgetting.told(&[of(17)], begin);
        forgetting.told(&[of(6)], begin + moment);
        assert_eq!(forgetting.next(), Some(soon));
        assert_eq!(forgetting.due(begin + moment), []);
        assert_eq!(forgetting.due(soon), [of(17)]);
        assert_eq!(forgetting.due(soon + moment), [of(6)]);
        assert_eq!(forgetting.next(), Some(late));
        assert_eq!(forgetting.due(late + moment), [of(17), of(6)]);
        assert_eq!((forgetting.next(), forgetting.due(late + AGAIN[1])), (None, vec![]));
    }
}
