//! `x-kubernetes-validations`: rules in the Common Expression Language.
//!
//! Rules run after the schema has accepted the object. A rule that mentions `oldSelf` is a transition rule: it
//! runs on updates only, and only where the old value can be told: not inside lists, other than those of
//! type `map`, whose elements are matched by their keys.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use ::cel::{Context, Env, Program, Value as Cel};
use serde_json::Value;

use super::{Additional, ListType, Schema, Type, child, entry};
use crate::status::{Errors, Problem};

mod functions;

/// One compiled rule.
#[derive(Clone)]
pub(crate) struct Rule {
    source: String,
    program: Arc<Program>,
    message: Option<String>,
    message_expression: Option<Arc<Program>>,
    reason: Option<String>,
    field_path: Option<String>,
    transition: bool,
    optional_old: bool,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Rule").field(&self.source).finish()
    }
}

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    // These fail only where two extensions declare one overload.
    for extension in [::cel::extensions::strings, ::cel::extensions::lists, ::cel::extensions::math] {
        if let Err(error) = extension(&mut env) {
            tracing::warn!(%error, "a CEL extension is not available");
        }
    }
    Arc::new(env)
});

impl Rule {
    /// Compiles an element of `x-kubernetes-validations`.
    pub(super) fn compile(document: &Value) -> Result<Self, String> {
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let program = |source: &str| {
            ENV.compile(source).map(Arc::new).map_err(|errors| format!("compilation failed: {errors}"))
        };
        let source = text("rule").ok_or("Required value")?;
        let compiled = program(source)?;
        let transition = compiled.references().has_variable("oldSelf");
        Ok(Self {
            program: compiled,
            source: source.to_owned(),
            message: text("message").map(str::to_owned),
            message_expression: text("messageExpression").map(program).transpose()?,
            reason: text("reason").map(str::to_owned),
            field_path: text("fieldPath").map(str::to_owned),
            transition,
            optional_old: document.get("optionalOldSelf").and_then(Value::as_bool).unwrap_or(false),
        })
    }

    fn check(&self, root: &Context<'_, '_>, scope: &Scope<'_>, errors: &mut Errors) {
        if self.transition && scope.old.is_none() && !self.optional_old {
            return;
        }
        let mut context = root.new_inner_scope();
        context.add_variable_from_value("self", scope.schema.to_cel(scope.value));
        let old = scope.old.map(|old| scope.schema.to_cel(old));
        // An absent optional `oldSelf` would need CEL optionals; null is what tells it apart here.
        context.add_variable_from_value("oldSelf", old.unwrap_or(Cel::Null));
        match self.program.execute(&context) {
            Ok(Cel::Bool(true)) => {}
            Ok(Cel::Bool(false)) => self.report(self.message(&context), scope, errors),
            Ok(_) => self.report("rule must evaluate to a bool".to_owned(), scope, errors),
            Err(error) => {
                self.report(format!("rule evaluation error: {error}"), scope, errors);
            }
        }
    }

    fn message(&self, context: &Context<'_, '_>) -> String {
        let computed = self.message_expression.as_ref().and_then(|program| match program.execute(context) {
            Ok(Cel::String(text)) if !text.trim().is_empty() => Some(text.to_string()),
            _ => None,
        });
        computed.or_else(|| self.message.clone()).unwrap_or_else(|| format!("failed rule: {}", self.source))
    }

    fn report(&self, message: String, scope: &Scope<'_>, errors: &mut Errors) {
        let field = format!("{}{}", scope.path, self.field_path.as_deref().unwrap_or_default());
        let field = field.trim_start_matches('.').to_owned();
        let problem = match self.reason.as_deref() {
            Some("FieldValueRequired") => Problem::Required(message),
            Some("FieldValueForbidden") => Problem::Forbidden(message),
            Some("FieldValueDuplicate") => Problem::Duplicate(scope.value.clone()),
            _ => match scope.value {
                Value::Object(_) | Value::Array(_) => {
                    let ty = scope.schema.ty.map_or("object", Type::name);
                    Problem::TypeRule(ty.to_owned(), message)
                }
                scalar => Problem::Invalid(scalar.clone(), message),
            },
        };
        errors.push(if field.is_empty() { "<nil>".to_owned() } else { field }, problem);
    }
}

/// A place in the object, with what stood there before.
struct Scope<'a> {
    schema: &'a Schema,
    path: String,
    value: &'a Value,
    old: Option<&'a Value>,
}

/// Adds to `errors` what the rules in `schema` refuse about `value`, which replaces `old`.
pub(crate) fn validate(schema: &Schema, value: &Value, old: Option<&Value>, errors: &mut Errors) {
    if !schema.ruled {
        return;
    }
    let mut root = Context::with_env(ENV.clone());
    if let Err(error) = functions::add_to(&mut root) {
        tracing::warn!(%error, "a CEL function is not available");
    }
    walk(&root, &Scope { schema, path: String::new(), value, old }, errors);
}

fn walk(root: &Context<'_, '_>, scope: &Scope<'_>, errors: &mut Errors) {
    if !scope.schema.ruled {
        return;
    }
    if !scope.value.is_null() {
        for rule in &scope.schema.rules {
            rule.check(root, scope, errors);
        }
    }
    match scope.value {
        Value::Object(map) => {
            for (name, value) in map {
                let old = scope.old.and_then(|old| old.get(name));
                if let Some(schema) = scope.schema.properties.get(name) {
                    walk(root, &Scope { schema, path: child(&scope.path, name), value, old }, errors);
                } else if let Some(Additional::Of(schema)) = &scope.schema.additional {
                    walk(root, &Scope { schema, path: entry(&scope.path, name), value, old }, errors);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = &scope.schema.items else { return };
            for (i, value) in items.iter().enumerate() {
                let old = scope.old.and_then(|old| scope.schema.counterpart(value, old));
                walk(root, &Scope { schema, path: entry(&scope.path, &i.to_string()), value, old }, errors);
            }
        }
        _ => {}
    }
}

impl Schema {
    /// The element of the list `old` that has the same keys as `item`.
    fn counterpart<'a>(&self, item: &Value, old: &'a Value) -> Option<&'a Value> {
        let ListType::Map(keys) = &self.list else { return None };
        old.as_array()?.iter().find(|old| keys.iter().all(|key| old.get(key) == item.get(key)))
    }

    /// The value as CEL sees it: integers and floats by the schema's type, fields by their escaped names.
    fn to_cel(&self, value: &Value) -> Cel {
        match value {
            Value::Null => Cel::Null,
            Value::Bool(b) => Cel::Bool(*b),
            Value::Number(n) => match (self.ty, n.as_i64()) {
                (Some(Type::Number), _) | (_, None) => Cel::Float(n.as_f64().unwrap_or_default()),
                (_, Some(integer)) => Cel::Int(integer),
            },
            Value::String(text) => self.text_to_cel(text),
            Value::Array(items) => {
                let any = Schema::anything();
                let schema = self.items.as_deref().unwrap_or(&any);
                Cel::List(Arc::new(items.iter().map(|item| schema.to_cel(item)).collect()))
            }
            Value::Object(map) => {
                let any = Schema::anything();
                let fields = map.iter().map(|(name, value)| {
                    let fixed = self.properties.get(name);
                    let key = if fixed.is_some() { escape(name) } else { name.clone() };
                    let schema = self.property(name).map_or(&any, |schema| schema);
                    (key, schema.to_cel(value))
                });
                Cel::from(fields.collect::<HashMap<String, Cel>>())
            }
        }
    }

    fn text_to_cel(&self, text: &str) -> Cel {
        if self.format.as_deref() == Some("date-time")
            && let Ok(time) = chrono::DateTime::parse_from_rfc3339(text)
        {
            return Cel::Timestamp(time);
        }
        Cel::String(Arc::new(text.to_owned()))
    }
}

/// The name under which a rule reaches a property.
fn escape(name: &str) -> String {
    const RESERVED: [&str; 21] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ];
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    name.replace("__", "__underscores__")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__")
}
