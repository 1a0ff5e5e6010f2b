//! The JSONPath of printer columns: `.a.b`, `[0]`, `[*]`, `['a.b']`, `\.` and `[?(@.type=="Ready")]`.

use serde_json::Value;

/// A parsed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(usize),
    All,
    /// Elements in which this path has this text.
    Where(Vec<String>, String),
}

impl JsonPath {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let (inside, after) = after.split_once(']')?;
                steps.push(bracket(inside)?);
                rest = after;
            } else {
                let after = rest.strip_prefix('.').unwrap_or(rest);
                let (name, after) = field(after);
                steps.push(if name == "*" { Step::All } else { Step::Field(name) });
                rest = after;
            }
        }
        Some(Self(steps))
    }

    /// The first value the path leads to.
    pub(crate) fn first<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        find(&self.0, value)
    }
}

fn bracket(inside: &str) -> Option<Step> {
    if inside == "*" {
        return Some(Step::All);
    }
    let quotes = ['\'', '"'];
    if let Some(filter) = inside.strip_prefix("?(@").and_then(|f| f.strip_suffix(')')) {
        let (path, text) = filter.split_once("==")?;
        let path = path.trim().trim_start_matches('.').split('.').map(str::to_owned).collect();
        return Some(Step::Where(path, text.trim().trim_matches(quotes).to_owned()));
    }
    if inside.starts_with(quotes) {
        return Some(Step::Field(inside.trim_matches(quotes).to_owned()));
    }
    inside.parse().ok().map(Step::Index)
}

/// A field name up to the next unescaped dot or bracket.
fn field(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => return (name, text.get(i..).unwrap_or_default()),
            _ => name.push(c),
        }
    }
    (name, "")
}

fn find<'a>(steps: &[Step], value: &'a Value) -> Option<&'a Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value) };
    match step {
        Step::Field(name) => find(rest, value.get(name)?),
        Step::Index(i) => find(rest, value.get(*i)?),
        Step::All => match value {
            Value::Array(items) => items.iter().find_map(|item| find(rest, item)),
            Value::Object(map) => map.values().find_map(|item| find(rest, item)),
            _ => None,
        },
        Step::Where(path, text) => value.as_array()?.iter().find_map(|item| {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let matches = match crate::object::at(item, &path)? {
                Value::String(have) => have == text,
                other => serde_json::from_str::<Value>(text).is_ok_and(|text| text == *other),
            };
            if matches { find(rest, item) } else { None }
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::JsonPath;

    #[test]
    fn paths_of_printer_columns_find_their_values() {
        let object = json!({
            "spec": {"cidrs": ["a", "b"], "n": 3},
            "metadata": {"labels": {"app.io/name": "x"}},
            "status": {"conditions": [{"type": "A", "status": "False"}, {"type": "Ready", "status": "True"}]},
        });
        let cases = [
            (".spec.n", Some(json!(3))),
            ("{.spec.cidrs[1]}", Some(json!("b"))),
            (".spec.cidrs[*]", Some(json!("a"))),
            (".spec.cidrs", Some(json!(["a", "b"]))),
            (r".metadata.labels.app\.io/name", Some(json!("x"))),
            (".metadata.labels['app.io/name']", Some(json!("x"))),
            (r#".status.conditions[?(@.type=="Ready")].status"#, Some(json!("True"))),
            (".spec.absent.deep", None),
        ];
        for (path, found) in cases {
            assert_eq!(JsonPath::parse(path).unwrap().first(&object), found.as_ref(), "{path}");
        }
    }
}
