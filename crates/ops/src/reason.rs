//! Why the Kubernetes API could not be used, in words.

use std::error::Error;

/// An error with what caused it, to the last: `kube` and what is below it say `client error (Connect)`, and only the
/// causes say of which address, and that it was refused. What the API itself answered is its message and its code.
#[must_use]
pub fn reason(error: &(dyn Error + 'static)) -> String {
    let mut parts = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(kube::Error::Api(status)) = error.downcast_ref() {
            parts.push(format!("{} ({})", status.message, status.code));
            break;
        }
        next = error.source();
        parts.push(own(error.to_string(), next));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(": ")
}

/// What an error says, without its cause where it says that too.
fn own(text: String, cause: Option<&(dyn Error + 'static)>) -> String {
    let cause = cause.map(ToString::to_string).filter(|cause| !cause.is_empty());
    match cause
        .and_then(|cause| Some(text.split_once(&cause)?.0.trim_end_matches([' ', ':', '(']).to_owned()))
    {
        Some(own) => own,
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use kube::core::Status;
    use kube::runtime::watcher;

    use super::*;

    #[test]
    fn all_causes_are_said_once() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = watcher::Error::InitialListFailed(kube::Error::Service(Box::new(refused)));
        let said = reason(&error);
        assert!(said.ends_with(": ServiceError: connection refused"), "{said}");
        assert_eq!(said.matches("refused").count(), 1, "{said}");
    }

    #[test]
    fn the_apis_answer_is_its_message() {
        let status = Status::failure("services is forbidden: no rule allows it", "Forbidden").with_code(403);
        let error = kube::Error::Api(status.boxed());
        assert_eq!(reason(&error), "services is forbidden: no rule allows it (403)");
        let said = reason(&watcher::Error::WatchStartFailed(error));
        assert!(said.ends_with("services is forbidden: no rule allows it (403)"), "{said}");
        assert_eq!(said.matches("forbidden").count(), 1, "{said}");
    }
}
