//! What the schema does to an object before it is looked at: nulls, unknown fields, defaults.

use serde_json::{Map, Value};

use super::{Additional, Schema, child, entry};

impl Schema {
    /// Takes nulls and unknown fields out of `value`; the paths of unknown fields are added to `unknown`.
    pub(crate) fn decode(&self, value: &mut Value, unknown: &mut Vec<String>) {
        self.decode_at(value, "", unknown);
    }

    fn decode_at(&self, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
        match value {
            Value::Object(map) => self.decode_object(map, path, unknown),
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    for (i, item) in items.iter_mut().enumerate() {
                        schema.decode_at(item, &entry(path, &i.to_string()), unknown);
                    }
                }
            }
            Value::Number(number) if self.quantity => *value = Value::String(number.to_string()),
            _ => {}
        }
    }

    fn decode_object(&self, map: &mut Map<String, Value>, path: &str, unknown: &mut Vec<String>) {
        let keep_unknown = self.preserve_unknown
            || matches!(self.additional, Some(Additional::Any))
            || (self.ty.is_none() && self.properties.is_empty());
        map.retain(|name, value| match self.property(name) {
            Some(schema) => {
                let fixed = self.properties.contains_key(name);
                // A null stands for an absent field, unless it may be null. Its default comes later.
                if value.is_null() && !schema.nullable && fixed && !schema.preserve_unknown {
                    return false;
                }
                let path = if fixed { child(path, name) } else { entry(path, name) };
                schema.decode_at(value, &path, unknown);
                true
            }
            None => {
                let embedded = self.embedded && matches!(name.as_str(), "apiVersion" | "kind" | "metadata");
                if !keep_unknown && !embedded {
                    unknown.push(child(path, name));
                }
                keep_unknown || embedded
            }
        });
    }

    /// Writes the defaults of absent fields.
    pub(crate) fn fill_defaults(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (name, schema) in &self.properties {
                    if let Some(default) = &schema.default
                        && map.get(name).is_none_or(|v| v.is_null() && !schema.nullable)
                    {
                        map.insert(name.clone(), default.clone());
                    }
                    if let Some(value) = map.get_mut(name) {
                        schema.fill_defaults(value);
                    }
                }
                if let Some(Additional::Of(schema)) = &self.additional {
                    let others = map.iter_mut().filter(|(name, _)| !self.properties.contains_key(*name));
                    others.for_each(|(_, value)| schema.fill_defaults(value));
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    items.iter_mut().for_each(|item| schema.fill_defaults(item));
                }
            }
            _ => {}
        }
    }
}
