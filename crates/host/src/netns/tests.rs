use super::*;

#[test]
fn an_ordinary_file_is_not_a_namespace() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Netns::open(file.path()).unwrap_err();
    assert!(matches!(error, Error::NotNetns { .. }), "{error}");
    assert!(error.is_not_found());
}

#[test]
fn a_missing_path_is_told_by_name() {
    let error = Netns::open("/run/netns/kvst-no-such").unwrap_err();
    assert!(error.is_not_found());
    assert!(error.to_string().contains("/run/netns/kvst-no-such"), "{error}");
}

#[test]
fn the_current_namespace_is_that_of_this_process() {
    assert_eq!(Netns::current().unwrap(), Netns::of_pid(std::process::id()).unwrap());
}
