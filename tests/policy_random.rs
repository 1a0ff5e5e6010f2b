//! Random policies on random labels, everything probed from everywhere and compared with the oracle.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout)]

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use policy::spec::Labels;
use policy_oracle::generate;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use system_tests::agreement::FEW;
use system_tests::possible;
use system_tests::stage::{Cast, Stage};

/// How long new policies are made for, and how many at a time.
const TIME: Duration = Duration::from_secs(40);
const POLICIES: usize = 6;

const NAMES: [&str; 6] = ["a/one", "a/two", "b/three", "b/four", "c/five", "c/six"];

/// Named ports of each container.
type Ports = &'static [&'static [(&'static str, &'static str, u16)]];

fn cast() -> Vec<Cast> {
    let ports: [Ports; 6] = [
        &[&[("web", "TCP", 80), ("dns", "UDP", 80)]],
        &[&[("web", "TCP", 81)]],
        &[&[("web", "TCP", 80)], &[("web", "TCP", 82), ("dns", "UDP", 81)]],
        &[],
        &[&[("web", "SCTP", 80), ("dns", "TCP", 81)]],
        &[&[("web", "UDP", 80)]],
    ];
    let pods = NAMES.into_iter().zip(ports).zip([1, 2, 2, 1, 1, 2]);
    pods.map(|((name, ports), node)| Cast { name, node, ports, ..Cast::default() }).collect()
}

/// A policy that speaks of this lab's addresses where the generator's spoke of its own.
fn settled(policy: &Value) -> Value {
    let text = policy.to_string();
    let text = [("\"10.0.0.", "\"10.244.1."), ("\"10.0.1.", "\"10.244.2."), ("\"192.0.2.", "\"203.0.113.")]
        .into_iter()
        .chain([("\"fd00::", "\"fd00:10:244:1::")])
        .fold(text, |text, (theirs, ours)| text.replace(theirs, ours));
    serde_json::from_str(&text).unwrap()
}

/// What one round is made of.
#[derive(Debug)]
struct Round {
    pods: Vec<Labels>,
    namespaces: Vec<Labels>,
    policies: Vec<Value>,
}

fn rounds() -> impl Strategy<Value = Round> {
    let policy = generate::policies().prop_map(|policy| settled(&serde_json::to_value(policy).unwrap()));
    let labels = generate::labels;
    (vec(labels(), NAMES.len()), vec(labels(), 3), vec(policy, POLICIES))
        .prop_map(|(pods, namespaces, policies)| Round { pods, namespaces, policies })
}

#[test]
fn random_policies_are_enforced_as_the_oracle_says() {
    if !possible() {
        return;
    }
    let seed = match std::env::var("KVS_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => RandomState::new().hash_one(0),
    };
    println!("KVS_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&u64::to_le_bytes(seed));
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);

    let mut stage = Stage::up(2, &[("a", &[]), ("b", &[]), ("c", &[])], &cast());
    let begin = Instant::now();
    let (mut count, mut refused) = (0, 0);
    while begin.elapsed() < TIME {
        let round = rounds().new_tree(&mut runner).unwrap().current();
        stage.relabel_all(NAMES.into_iter().zip(round.pods));
        for (name, labels) in ["a", "b", "c"].into_iter().zip(round.namespaces) {
            stage.namespace(name, labels);
        }
        // The API keeps the policy types that it chose for the last policy of a name.
        let names = match count % 2 {
            0 => ["a/n1", "b/n2", "c/n3", "a/n4", "b/n5", "c/n6"],
            _ => ["a/m1", "b/m2", "c/m3", "a/m4", "b/m5", "c/m6"],
        };
        let wanted: Vec<_> = names.into_iter().zip(round.policies).collect();
        refused += stage.policies_as_far_as_possible(&wanted);
        count += 1;
        if let Err(text) = stage.agree(&format!("round {count} of seed {seed}"), FEW) {
            panic!("{text}\n{:#?}", stage.cluster);
        }
    }
    println!("{count} rounds, in which the API refused {refused} policies");
    assert!(count >= 3, "only {count} rounds");
}
