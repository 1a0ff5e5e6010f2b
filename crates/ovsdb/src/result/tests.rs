use super::*;

fn results(text: &str) -> Vec<OpResult> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn each_operation_has_its_result() {
    let id = "f63a4d75-0f9c-4f7f-b800-2c982cf26f7a";
    let text = format!(r#"[{{"uuid":["uuid","{id}"]}},{{"rows":[{{"next_cfg":1}}]}},{{"count":2}},{{}}]"#);
    let results = check_results(4, results(&text)).unwrap();
    assert_eq!(results[0], OpResult::Inserted(id.parse().unwrap()));
    assert_eq!(results[1].rows(), [Row::new().with("next_cfg", 1)]);
    assert_eq!(results[2].count(), 2);
    assert_eq!(results[3], OpResult::Done);
}

#[test]
fn a_failed_guard_is_found_by_its_index() {
    let text = r#"[{},{"details":"\"where\" clause test failed","error":"timed out"},null]"#;
    let error = check_results(3, results(text)).unwrap_err();
    assert_eq!((error.index, &error.error.kind), (Some(1), &ErrorKind::TimedOut));
    assert_eq!(
        error.to_string(),
        "operation 1 of the OVSDB transaction failed: timed out: \"where\" clause test failed"
    );
}

#[test]
fn a_failed_commit_is_the_result_after_the_last() {
    let text = r#"[{"count":1},{"details":"why","error":"constraint violation"}]"#;
    let error = check_results(1, results(text)).unwrap_err();
    assert_eq!((error.index, error.error.kind), (None, ErrorKind::ConstraintViolation));
}

#[test]
fn too_few_results_are_no_success() {
    assert!(check_results(2, results("[{}]")).is_err());
    assert!(check_results(1, results("[{},{}]")).is_err());
}

#[test]
fn an_error_of_tomorrow_keeps_its_text() {
    let kind = ErrorKind::from("out of cheese".to_owned());
    assert_eq!(kind, ErrorKind::Other("out of cheese".into()));
    assert_eq!(kind.to_string(), "out of cheese");
}
