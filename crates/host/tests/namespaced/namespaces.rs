//! Namespaces, and what acts in that of the calling thread.

use host::{Netns, sysctl};

use crate::{TestNetns, privileged};

#[test]
fn a_named_namespace_is_another_one_until_it_is_deleted() {
    if !privileged() {
        return;
    }
    let test = TestNetns::new();
    let here = Netns::current().unwrap();
    assert_ne!(test.netns, here);
    assert_eq!(test.netns.id(), Netns::named(&test.name).unwrap().id());
    assert!(Netns::names().unwrap().contains(&test.name));
    assert!(Netns::create(&test.name).unwrap_err().is_exists());

    let inside = test.netns.run(|| Netns::current().unwrap().id()).unwrap();
    assert_eq!(inside, test.netns.id());
    assert_eq!(Netns::current().unwrap(), here, "the caller's thread has not moved");

    Netns::delete(&test.name).unwrap();
    assert!(Netns::named(&test.name).unwrap_err().is_not_found());
    assert!(Netns::delete(&test.name).unwrap_err().is_not_found());
    // The handle keeps it alive.
    assert_eq!(test.netns.run(|| Netns::current().unwrap().id()).unwrap(), inside);
}

#[test]
fn namespaces_created_at_the_same_time_are_all_there() {
    if !privileged() {
        return;
    }
    let all: Vec<TestNetns> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(TestNetns::new)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for test in &all {
        assert_eq!(Netns::named(&test.name).unwrap(), test.netns);
    }
}

#[test]
fn a_panic_inside_a_namespace_reaches_the_caller() {
    if !privileged() {
        return;
    }
    let test = TestNetns::new();
    let caught = std::panic::catch_unwind(|| test.netns.run(|| panic!("inside")));
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"inside"));
}

#[test]
fn sysctls_belong_to_the_namespace() {
    if !privileged() {
        return;
    }
    let test = TestNetns::new();
    test.interface("d0");
    let key = "net/ipv4/conf/d0/rp_filter";
    test.netns
        .run(|| {
            for value in ["1", "0", "2"] {
                sysctl::write(key, value).unwrap();
                assert_eq!(sysctl::read(key).unwrap(), value);
            }
            assert!(sysctl::write(key, "nonsense").is_err());
        })
        .unwrap();
    assert!(sysctl::read(key).unwrap_err().is_not_found(), "the interface is in the other namespace");
}
