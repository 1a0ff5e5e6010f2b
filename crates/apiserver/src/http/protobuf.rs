//! The few objects that `kubectl` sends as protobuf whatever the server says: those of `kubectl create KIND`
//! and `kubectl drain`.
//!
//! The body is `k8s\0` and a `runtime.Unknown` message with the object in it. Field numbers are those of the
//! `generated.proto` files of `k8s.io/api` and `k8s.io/apimachinery`. A field that is not in the tables here
//! is an error: nothing is dropped in silence.

use serde_json::{Map, Value, json};

use crate::{object, strategy::base64};

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("the body is not a Kubernetes protobuf message")]
    NotKubernetes,
    #[error("the protobuf message ends early or is malformed")]
    Malformed,
    #[error("{0} is not understood in protobuf; send application/json")]
    UnknownKind(String),
    #[error("field {1} of {0} is not understood in protobuf; send application/json")]
    UnknownField(&'static str, u64),
}

/// How a field is read.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    /// Dropped where it is 0, which Go writes for absent.
    Int,
    /// Dropped where it is false.
    Bool,
    /// Kept whatever it is: a pointer in Go.
    SetInt,
    SetBool,
    Time,
    IntOrText,
    /// Dropped where it is empty.
    Message(&'static str),
    /// Kept even if it is empty.
    SetMessage(&'static str),
    TextMap,
    BytesMap,
    /// The status of a new object, which is the server's to write.
    Ignored,
    Texts,
    Messages(&'static str),
}

use Kind::{
    Bool, BytesMap, Ignored, Int, IntOrText, Message, Messages, SetBool, SetInt, SetMessage, Text, TextMap,
    Texts, Time,
};

type Fields = &'static [(u64, &'static str, Kind)];

const META: (u64, &str, Kind) = (1, "metadata", Message("ObjectMeta"));

fn fields(message: &str) -> Option<Fields> {
    Some(match message {
        "ObjectMeta" => &[
            (1, "name", Text),
            (2, "generateName", Text),
            (3, "namespace", Text),
            (4, "selfLink", Text),
            (5, "uid", Text),
            (6, "resourceVersion", Text),
            (7, "generation", Int),
            (8, "creationTimestamp", Time),
            (9, "deletionTimestamp", Time),
            (10, "deletionGracePeriodSeconds", SetInt),
            (11, "labels", TextMap),
            (12, "annotations", TextMap),
            (13, "ownerReferences", Messages("OwnerReference")),
            (14, "finalizers", Texts),
        ],
        "OwnerReference" => &[
            (1, "kind", Text),
            (3, "name", Text),
            (4, "uid", Text),
            (5, "apiVersion", Text),
            (6, "controller", SetBool),
            (7, "blockOwnerDeletion", SetBool),
        ],
        "LabelSelector" => {
            &[(1, "matchLabels", TextMap), (2, "matchExpressions", Messages("LabelSelectorRequirement"))]
        }
        "LabelSelectorRequirement" => &[(1, "key", Text), (2, "operator", Text), (3, "values", Texts)],
        "DeleteOptions" => &[
            (1, "gracePeriodSeconds", SetInt),
            (2, "preconditions", SetMessage("Preconditions")),
            (3, "orphanDependents", SetBool),
            (4, "propagationPolicy", Text),
            (5, "dryRun", Texts),
        ],
        "Preconditions" => &[(1, "uid", Text), (2, "resourceVersion", Text)],
        "Eviction" => &[META, (2, "deleteOptions", SetMessage("DeleteOptions"))],
        "Namespace" => &[META, (2, "spec", Message("NamespaceSpec")), (3, "status", Ignored)],
        "NamespaceSpec" => &[(1, "finalizers", Texts)],
        "ConfigMap" => &[META, (2, "data", TextMap), (3, "binaryData", BytesMap), (4, "immutable", SetBool)],
        "Secret" => &[
            META,
            (2, "data", BytesMap),
            (3, "type", Text),
            (4, "stringData", TextMap),
            (5, "immutable", SetBool),
        ],
        "ServiceAccount" => &[META, (4, "automountServiceAccountToken", SetBool)],
        "Service" => &[META, (2, "spec", Message("ServiceSpec")), (3, "status", Ignored)],
        "ServiceSpec" => &[
            (1, "ports", Messages("ServicePort")),
            (2, "selector", TextMap),
            (3, "clusterIP", Text),
            (4, "type", Text),
            (5, "externalIPs", Texts),
            (7, "sessionAffinity", Text),
            (8, "loadBalancerIP", Text),
            (10, "externalName", Text),
            (11, "externalTrafficPolicy", Text),
            (12, "healthCheckNodePort", Int),
            (13, "publishNotReadyAddresses", Bool),
            (17, "ipFamilyPolicy", Text),
            (18, "clusterIPs", Texts),
            (19, "ipFamilies", Texts),
            (22, "internalTrafficPolicy", Text),
        ],
        "ServicePort" => &[
            (1, "name", Text),
            (2, "protocol", Text),
            (3, "port", Int),
            (4, "targetPort", IntOrText),
            (5, "nodePort", Int),
            (6, "appProtocol", Text),
        ],
        "Deployment" => &[META, (2, "spec", Message("DeploymentSpec")), (3, "status", Ignored)],
        "DeploymentSpec" => &[
            (1, "replicas", SetInt),
            (2, "selector", SetMessage("LabelSelector")),
            (3, "template", Message("PodTemplateSpec")),
            (4, "strategy", Message("DeploymentStrategy")),
            (5, "minReadySeconds", Int),
            (7, "paused", Bool),
        ],
        "DeploymentStrategy" => &[(1, "type", Text)],
        "PodTemplateSpec" => &[META, (2, "spec", Message("PodSpec"))],
        "PodSpec" => &[
            (2, "containers", Messages("Container")),
            (3, "restartPolicy", Text),
            (6, "dnsPolicy", Text),
            (7, "nodeSelector", TextMap),
            (8, "serviceAccountName", Text),
            (9, "serviceAccount", Text),
            (10, "nodeName", Text),
            (11, "hostNetwork", Bool),
            (12, "hostPID", Bool),
            (13, "hostIPC", Bool),
            (16, "hostname", Text),
            (17, "subdomain", Text),
            (19, "schedulerName", Text),
            (24, "priorityClassName", Text),
        ],
        "Container" => &[
            (1, "name", Text),
            (2, "image", Text),
            (3, "command", Texts),
            (4, "args", Texts),
            (5, "workingDir", Text),
            (6, "ports", Messages("ContainerPort")),
            (8, "resources", Message("ResourceRequirements")),
            (13, "terminationMessagePath", Text),
            (14, "imagePullPolicy", Text),
            (16, "stdin", Bool),
            (17, "stdinOnce", Bool),
            (18, "tty", Bool),
            (20, "terminationMessagePolicy", Text),
        ],
        "ContainerPort" => &[
            (1, "name", Text),
            (2, "hostPort", Int),
            (3, "containerPort", Int),
            (4, "protocol", Text),
            (5, "hostIP", Text),
        ],
        "Role" | "ClusterRole" => &[META, (2, "rules", Messages("PolicyRule"))],
        "PolicyRule" => &[
            (1, "verbs", Texts),
            (2, "apiGroups", Texts),
            (3, "resources", Texts),
            (4, "resourceNames", Texts),
            (5, "nonResourceURLs", Texts),
        ],
        "RoleBinding" | "ClusterRoleBinding" => {
            &[META, (2, "subjects", Messages("Subject")), (3, "roleRef", Message("RoleRef"))]
        }
        "RoleRef" => &[(1, "apiGroup", Text), (2, "kind", Text), (3, "name", Text)],
        "Subject" => &[(1, "kind", Text), (2, "apiGroup", Text), (3, "name", Text), (4, "namespace", Text)],
        "PodDisruptionBudget" => {
            &[META, (2, "spec", Message("PodDisruptionBudgetSpec")), (3, "status", Ignored)]
        }
        "PodDisruptionBudgetSpec" => &[
            (1, "minAvailable", IntOrText),
            (2, "selector", SetMessage("LabelSelector")),
            (3, "maxUnavailable", IntOrText),
            (4, "unhealthyPodEvictionPolicy", Text),
        ],
        "PriorityClass" => &[
            META,
            (2, "value", SetInt),
            (3, "globalDefault", Bool),
            (4, "description", Text),
            (5, "preemptionPolicy", Text),
        ],
        // kubectl sends no resources; what it sent would be refused.
        "ResourceRequirements" => &[],
        _ => return None,
    })
}

/// The object in a protobuf body, as JSON.
pub(super) fn decode(body: &[u8]) -> Result<Value, Error> {
    let message = body.strip_prefix(b"k8s\0").ok_or(Error::NotKubernetes)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    let mut envelope = Reader(message);
    while let Some((field, wire)) = envelope.next()? {
        match (field, wire) {
            (1, Wire::Bytes(types)) => {
                let mut types = Reader(types);
                while let Some((field, wire)) = types.next()? {
                    match field {
                        1 => api_version = wire.text()?,
                        2 => kind = wire.text()?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let known = fields(&kind).ok_or_else(|| Error::UnknownKind(kind.clone()))?;
    // The name of the table lives longer than the text in the body.
    let mut value = Value::Object(read("the object", known, raw)?);
    object::set(&mut value, &["apiVersion"], api_version);
    object::set(&mut value, &["kind"], kind);
    Ok(value)
}

fn read(name: &'static str, fields: Fields, bytes: &[u8]) -> Result<Map<String, Value>, Error> {
    let mut object = Map::new();
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.next()? {
        let known = fields.iter().find(|(n, ..)| *n == number);
        let (_, field, kind) = known.ok_or(Error::UnknownField(name, number))?;
        add(&mut object, field, *kind, &wire)?;
    }
    Ok(object)
}

fn message(name: &'static str, wire: &Wire<'_>) -> Result<Map<String, Value>, Error> {
    let known = fields(name).ok_or_else(|| Error::UnknownKind(name.to_owned()))?;
    read(name, known, wire.bytes()?)
}

fn add(object: &mut Map<String, Value>, field: &str, kind: Kind, wire: &Wire<'_>) -> Result<(), Error> {
    let value = match kind {
        Ignored => None,
        Text => Some(json!(wire.text()?)).filter(|text| text != ""),
        Int => Some(json!(wire.int()?)).filter(|number| *number != 0),
        SetInt => Some(json!(wire.int()?)),
        Bool => Some(json!(wire.int()? != 0)).filter(|flag| *flag != false),
        SetBool => Some(json!(wire.int()? != 0)),
        Time => time(wire.bytes()?)?,
        IntOrText => int_or_text(wire.bytes()?)?,
        Message(name) => Some(message(name, wire)?).filter(|m| !m.is_empty()).map(Value::Object),
        SetMessage(name) => Some(Value::Object(message(name, wire)?)),
        Texts => return push(object, field, json!(wire.text()?)),
        Messages(name) => return push(object, field, Value::Object(message(name, wire)?)),
        TextMap | BytesMap => {
            let (mut key, mut value) = (String::new(), Value::Null);
            let mut entry = Reader(wire.bytes()?);
            while let Some((number, wire)) = entry.next()? {
                match number {
                    1 => key = wire.text()?,
                    _ if matches!(kind, BytesMap) => value = json!(base64(wire.bytes()?)),
                    _ => value = json!(wire.text()?),
                }
            }
            let map = object::object(object.entry(field).or_insert(Value::Null));
            map.insert(key, value);
            return Ok(());
        }
    };
    object.extend(value.map(|value| (field.to_owned(), value)));
    Ok(())
}

fn push(object: &mut Map<String, Value>, field: &str, value: Value) -> Result<(), Error> {
    match object.entry(field).or_insert_with(|| json!([])) {
        Value::Array(list) => {
            list.push(value);
            Ok(())
        }
        _ => Err(Error::Malformed),
    }
}

/// `meta/v1` `Time`: seconds since 1970; empty for none.
fn time(bytes: &[u8]) -> Result<Option<Value>, Error> {
    let mut reader = Reader(bytes);
    let mut seconds = None;
    while let Some((field, wire)) = reader.next()? {
        if field == 1 {
            seconds = Some(wire.int()?);
        }
    }
    let time = seconds.and_then(|s| jiff::Timestamp::from_second(s).ok());
    Ok(time.map(|time| json!(object::seconds(time))))
}

fn int_or_text(bytes: &[u8]) -> Result<Option<Value>, Error> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    let mut reader = Reader(bytes);
    while let Some((field, wire)) = reader.next()? {
        match field {
            1 => is_text = wire.int()? == 1,
            2 => number = wire.int()?,
            _ => text = wire.text()?,
        }
    }
    Ok(Some(if is_text { json!(text) } else { json!(number) }))
}

/// A value as the wire has it.
enum Wire<'a> {
    Int(u64),
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    fn bytes(&self) -> Result<&'a [u8], Error> {
        match self {
            Wire::Bytes(bytes) => Ok(bytes),
            Wire::Int(_) => Err(Error::Malformed),
        }
    }

    fn text(&self) -> Result<String, Error> {
        std::str::from_utf8(self.bytes()?).map(str::to_owned).map_err(|_| Error::Malformed)
    }

    fn int(&self) -> Result<i64, Error> {
        match self {
            // Negative numbers are written as their 64-bit complement.
            Wire::Int(number) => Ok(number.cast_signed()),
            Wire::Bytes(_) => Err(Error::Malformed),
        }
    }
}

/// Reads fields: a key of field number and wire type, then the value.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(u64, Wire<'a>)>, Error> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let wire = match key & 7 {
            0 => Wire::Int(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Error::Malformed)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(Error::Malformed)?;
                self.0 = rest;
                Wire::Bytes(bytes)
            }
            _ => return Err(Error::Malformed),
        };
        Ok(Some((key >> 3, wire)))
    }

    fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(Error::Malformed)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{Error, decode};

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        out.extend_from_slice(bytes);
        out
    }

    fn envelope(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let types = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
        [b"k8s\0".to_vec(), field(1, &types), field(2, raw)].concat()
    }

    #[test]
    fn a_config_map_is_read_without_what_go_writes_for_absent() {
        let label = field(11, &[field(1, b"a"), field(2, b"b")].concat());
        let meta = [field(1, b"m"), field(2, b""), label, field(8, b"")].concat();
        let entry = field(2, &[field(1, b"k"), field(2, b"v")].concat());
        let binary = field(3, &[field(1, b"x"), field(2, &[0xff, 0])].concat());
        let raw = [field(1, &meta), entry, binary, vec![4 << 3, 0]].concat();
        let expected = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "labels": {"a": "b"}},
            "data": {"k": "v"}, "binaryData": {"x": "/wA="}, "immutable": false,
        });
        assert_eq!(decode(&envelope("v1", "ConfigMap", &raw)), Ok(expected));
    }

    #[test]
    fn unknown_kinds_and_fields_are_refused() {
        let unknown = decode(&envelope("batch/v1", "Job", b""));
        assert_eq!(unknown, Err(Error::UnknownKind("Job".to_owned())));
        let raw = field(9, b"x");
        assert_eq!(decode(&envelope("v1", "ConfigMap", &raw)), Err(Error::UnknownField("the object", 9)));
        assert_eq!(decode(b"{}"), Err(Error::NotKubernetes));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(raw in proptest::collection::vec(any::<u8>(), 0..100)) {
            for kind in ["Namespace", "Service", "Deployment"] {
                let _ = decode(&envelope("v1", kind, &raw));
            }
            let _ = decode(&raw);
        }
    }
}
