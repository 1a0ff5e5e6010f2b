//! The engine against the evaluator, after every event of random histories, and against itself told the end alone.
#![allow(missing_docs)]

use policy::engine::Engine;
use policy::rules::Direction;
use policy_oracle::generate::{self, Event, Step, TRAFFIC};
use policy_oracle::{Cluster, Tables};
use proptest::prelude::*;

/// An engine, and the tables that its changes have made.
struct Switch {
    engine: Engine,
    tables: Tables,
}

impl Switch {
    fn new() -> Self {
        Self { engine: Engine::new(), tables: Tables::default() }
    }

    /// Tells the engine of an event and makes the changes that follow from it.
    fn tell(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match event {
            Event::Namespace(name, labels) => self.engine.namespace(name, labels),
            Event::NamespaceGone(name) => self.engine.namespace_gone(name),
            Event::Pod(name, pod) => self.engine.pod(name, pod),
            Event::PodGone(name) => self.engine.pod_gone(name),
            Event::Policy(name, spec) => drop(self.engine.policy(name, spec)),
            Event::PolicyGone(name) => self.engine.policy_gone(name),
            Event::Subject(id, pod) => self.engine.subject(*id, pod),
            Event::SubjectGone(id) => self.engine.subject_gone(*id),
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), TestCaseError> {
        for change in self.engine.changes() {
            let applied = self.tables.apply(change);
            prop_assert!(applied.is_ok(), "{applied:?}");
        }
        let faults = self.tables.check();
        prop_assert!(faults.is_empty(), "{faults:#?}");
        Ok(())
    }
}

/// Every subject, every address, everything that can be sent, both ways.
fn compare(cluster: &Cluster, tables: &Tables) -> Result<(), TestCaseError> {
    for (id, subject) in &cluster.subjects {
        for address in generate::addresses(cluster) {
            let peers = cluster.claimants(address);
            for traffic in TRAFFIC {
                for direction in Direction::ALL {
                    let found = tables.judge(*id, direction, address, traffic);
                    // Who an address in dispute belongs to is not said, but it is one of those that claim it.
                    let right = peers.iter().any(|peer| {
                        let wanted = cluster.judge(direction, subject, peer, traffic);
                        wanted == found
                    });
                    prop_assert!(
                        right,
                        "{direction:?} of {id:?}, {address}, {traffic:?}: the engine says {found}"
                    );
                }
            }
        }
    }
    Ok(())
}

fn from_nothing(cluster: &Cluster, backwards: bool) -> Result<Tables, TestCaseError> {
    let mut switch = Switch::new();
    let mut events = cluster.events();
    if backwards {
        events.reverse();
    }
    for event in &events {
        switch.tell(event)?;
    }
    switch.settle()?;
    Ok(switch.tables)
}

/// A history: after each event everything is judged as it should be, and in the end the tables are those of the end.
fn check(start: &Cluster, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut cluster = start.clone();
    let mut switch = Switch::new();
    for event in cluster.events() {
        switch.tell(&event)?;
    }
    switch.settle()?;
    compare(&cluster, &switch.tables)?;
    for step in steps {
        for event in step.events(&cluster) {
            switch.tell(&event)?;
            cluster.apply(event);
            switch.settle()?;
            compare(&cluster, &switch.tables)?;
        }
    }
    for event in cluster.settle() {
        switch.tell(&event)?;
        cluster.apply(event);
    }
    switch.settle()?;
    compare(&cluster, &switch.tables)?;
    for backwards in [false, true] {
        let fresh = from_nothing(&cluster, backwards)?;
        prop_assert_eq!(&switch.tables, &fresh, "told backwards: {}", backwards);
    }
    for event in cluster.events() {
        switch.tell(&event)?;
    }
    let again = switch.engine.changes();
    prop_assert!(again.is_empty(), "no news, but {again:?}");
    Ok(())
}

/// More of them find more: `PROPTEST_CASES=100000 cargo test --release -p policy-oracle`.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(768)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_judges_as_the_api_says_after_every_event(
        start in generate::clusters(),
        steps in generate::steps(0..12),
    ) {
        check(&start, &steps)?;
    }
}
