//! Names, labels and annotations. Each check answers what is wrong, or `None`.

use std::sync::LazyLock;

use regex::Regex;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_1035: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";

fn whole(pattern: &str) -> Option<Regex> {
    Regex::new(&format!("^(?:{pattern})$")).ok()
}

fn check(
    text: &str,
    most: usize,
    regex: Option<&Regex>,
    otherwise: impl FnOnce() -> String,
) -> Option<String> {
    if text.len() > most {
        return Some(format!("must be no more than {most} bytes"));
    }
    (!regex.is_some_and(|regex| regex.is_match(text))).then(otherwise)
}

/// RFC 1123 label.
pub(crate) fn label(text: &str) -> Option<String> {
    static REGEX: LazyLock<Option<Regex>> = LazyLock::new(|| whole(LABEL));
    check(text, 63, REGEX.as_ref(), || {
        format!(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
             start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
             validation is '{LABEL}')"
        )
    })
}

/// RFC 1035 label.
pub(crate) fn label_1035(text: &str) -> Option<String> {
    static REGEX: LazyLock<Option<Regex>> = LazyLock::new(|| whole(LABEL_1035));
    check(text, 63, REGEX.as_ref(), || {
        format!(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
             alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', \
             regex used for validation is '{LABEL_1035}')"
        )
    })
}

/// RFC 1123 subdomain.
pub(crate) fn subdomain(text: &str) -> Option<String> {
    static REGEX: LazyLock<Option<Regex>> = LazyLock::new(|| whole(SUBDOMAIN));
    check(text, 253, REGEX.as_ref(), || {
        format!(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
             and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
             validation is '{SUBDOMAIN}')"
        )
    })
}

/// A name that can be a segment of a URL's path.
pub(crate) fn path_segment(text: &str) -> Option<String> {
    match text {
        "." | ".." => Some(format!("may not be '{text}'")),
        _ if text.contains(['/', '%']) => Some("may not contain '/' or '%'".to_owned()),
        _ => None,
    }
}

/// The key of a label or an annotation: a name of at most 63 characters, with an optional domain before it.
pub(crate) fn qualified_name(text: &str) -> Option<String> {
    static REGEX: LazyLock<Option<Regex>> = LazyLock::new(|| whole(QUALIFIED));
    let name = match text.split_once('/') {
        None => text,
        Some(("", _)) => return Some("prefix part must be non-empty".to_owned()),
        Some((domain, name)) => {
            if let Some(problem) = subdomain(domain) {
                return Some(format!("prefix part {problem}"));
            }
            name
        }
    };
    if name.is_empty() {
        return Some("name part must be non-empty".to_owned());
    }
    check(name, 63, REGEX.as_ref(), || {
        format!(
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
             an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
             validation is '{QUALIFIED}')"
        )
    })
}

/// The value of a label.
pub(crate) fn label_value(text: &str) -> Option<String> {
    static REGEX: LazyLock<Option<Regex>> = LazyLock::new(|| whole(VALUE));
    check(text, 63, REGEX.as_ref(), || {
        format!(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
             and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or \
             '12345', regex used for validation is '{VALUE}')"
        )
    })
}
