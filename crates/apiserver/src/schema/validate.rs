//! Validation of a value against a schema, in the words that `kubectl` users know.

use serde_json::Value;

use super::{Additional, ListType, Schema, Type, child, entry, format};
use crate::status::{Errors, Problem};

impl Schema {
    /// Adds to `errors` what is wrong with `value`.
    pub(crate) fn validate(&self, value: &Value, path: &str, errors: &mut Errors) {
        if value.is_null() && self.nullable {
            return;
        }
        if !self.right_type(value, path, errors) {
            return;
        }
        self.validate_value(value, path, errors);
        match value {
            Value::Object(map) => {
                for name in self.required.iter().filter(|name| !map.contains_key(*name)) {
                    errors.required(child(path, name), "");
                }
                for (name, value) in map {
                    if let Some(schema) = self.properties.get(name) {
                        schema.validate(value, &child(path, name), errors);
                    } else if let Some(Additional::Of(schema)) = &self.additional {
                        schema.validate(value, &entry(path, name), errors);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    for (i, item) in items.iter().enumerate() {
                        schema.validate(item, &entry(path, &i.to_string()), errors);
                    }
                }
                self.validate_distinct(items, path, errors);
            }
            _ => {}
        }
        self.validate_combined(value, path, errors);
    }

    fn right_type(&self, value: &Value, path: &str, errors: &mut Errors) -> bool {
        let right = match (value, self.ty) {
            (Value::Number(_) | Value::String(_), None) if self.int_or_string => true,
            (_, None) => return !self.int_or_string || mismatch(self, value, path, errors),
            (Value::Object(_), Some(Type::Object))
            | (Value::Array(_), Some(Type::Array))
            | (Value::String(_), Some(Type::String))
            | (Value::Bool(_), Some(Type::Boolean))
            | (Value::Number(_), Some(Type::Number)) => true,
            (Value::Number(n), Some(Type::Integer)) => n.as_f64().is_some_and(|f| f.fract() == 0.0),
            _ => false,
        };
        right || mismatch(self, value, path, errors)
    }

    fn validate_value(&self, value: &Value, path: &str, errors: &mut Errors) {
        let limits = &self.limits;
        if !limits.allowed.is_empty() && !limits.allowed.contains(value) {
            let supported = limits.allowed.iter().map(plain).collect();
            errors.push(path, Problem::NotSupported(value.clone(), supported));
        }
        let mut wrong = |shown: Value, what: String| {
            errors.push(path, Problem::Invalid(shown, format!("{path} in body {what}")));
        };
        match value {
            Value::String(text) => {
                let length = text.chars().count() as u64;
                if limits.min_length.is_some_and(|least| length < least) {
                    let least = limits.min_length.unwrap_or_default();
                    wrong(value.clone(), format!("should be at least {least} chars long"));
                }
                if let Some(pattern) = limits.pattern.as_ref().filter(|p| !p.is_match(text)) {
                    wrong(value.clone(), format!("should match '{pattern}'"));
                }
                if let Some(format) = self.format.as_deref().filter(|f| !format::accepts(f, text)) {
                    wrong(value.clone(), format!("must be of type {format}: {value}"));
                }
                if let Some(most) = limits.max_length.filter(|most| length > *most) {
                    errors.push(path, Problem::TooLong(usize::try_from(most).unwrap_or(usize::MAX)));
                }
            }
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or_default();
                if let Some(least) = limits.minimum {
                    if limits.exclusive_minimum && number <= least {
                        wrong(value.clone(), format!("should be greater than {least}"));
                    } else if number < least {
                        wrong(value.clone(), format!("should be greater than or equal to {least}"));
                    }
                }
                if let Some(most) = limits.maximum {
                    if limits.exclusive_maximum && number >= most {
                        wrong(value.clone(), format!("should be less than {most}"));
                    } else if number > most {
                        wrong(value.clone(), format!("should be less than or equal to {most}"));
                    }
                }
                if let Some(factor) = limits.multiple_of.filter(|f| (number / f).fract() != 0.0) {
                    wrong(value.clone(), format!("should be a multiple of {factor}"));
                }
                if let Some(range) = self.format.as_deref().and_then(format::integer_range)
                    && !range.contains(&number)
                {
                    let format = self.format.as_deref().unwrap_or_default();
                    wrong(value.clone(), format!("must be of type {format}: {value}"));
                }
            }
            Value::Array(items) => {
                let length = items.len() as u64;
                if let Some(least) = limits.min_items.filter(|least| length < *least) {
                    wrong(length.into(), format!("should have at least {least} items"));
                }
                if let Some(most) = limits.max_items.filter(|most| length > *most) {
                    let most = usize::try_from(most).unwrap_or(usize::MAX);
                    errors.push(path, Problem::TooMany(items.len(), most));
                }
            }
            Value::Object(map) => {
                let length = map.len() as u64;
                if let Some(least) = limits.min_properties.filter(|least| length < *least) {
                    wrong(length.into(), format!("should have at least {least} properties"));
                }
                if let Some(most) = limits.max_properties.filter(|most| length > *most) {
                    wrong(length.into(), format!("should have at most {most} properties"));
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn validate_distinct(&self, items: &[Value], path: &str, errors: &mut Errors) {
        let identity = |item: &Value| -> Value {
            match &self.list {
                ListType::Map(keys) => {
                    keys.iter().filter_map(|k| Some((k.clone(), item.get(k)?.clone()))).collect()
                }
                _ => item.clone(),
            }
        };
        if self.list == ListType::Atomic && !self.limits.unique_items {
            return;
        }
        let mut seen: Vec<Value> = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            let identity = identity(item);
            if seen.contains(&identity) {
                errors.push(entry(path, &i.to_string()), Problem::Duplicate(identity));
            } else {
                seen.push(identity);
            }
        }
    }

    fn validate_combined(&self, value: &Value, path: &str, errors: &mut Errors) {
        let fits = |schema: &Schema| {
            let mut errors = Errors::default();
            schema.validate(value, path, &mut errors);
            errors.0.is_empty()
        };
        self.all_of.iter().for_each(|schema| schema.validate(value, path, errors));
        let mut wrong = |what: &str| {
            let detail = format!("{path} in body {what}");
            errors.push(path, Problem::TypeInvalid(String::new(), detail));
        };
        if !self.any_of.is_empty() && !self.any_of.iter().any(fits) {
            wrong("must validate at least one schema (anyOf)");
        }
        if !self.one_of.is_empty() {
            match self.one_of.iter().filter(|schema| fits(schema)).count() {
                1 => {}
                0 => wrong("must validate one and only one schema (oneOf). Found none valid"),
                n => wrong(&format!(
                    "must validate one and only one schema (oneOf). Found {n} valid alternatives"
                )),
            }
        }
        if self.not.as_ref().is_some_and(|schema| fits(schema)) {
            wrong("must not validate the schema (not)");
        }
    }
}

fn mismatch(schema: &Schema, value: &Value, path: &str, errors: &mut Errors) -> bool {
    let want = schema.ty.map_or("integer,string", Type::name);
    let have = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let detail = format!("{path} in body must be of type {want}: \"{have}\"");
    errors.push(path, Problem::TypeInvalid(have.to_owned(), detail));
    false
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
