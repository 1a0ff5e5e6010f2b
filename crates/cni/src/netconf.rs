//! The network configuration that comes on standard input.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use crate::{AddResult, CniError, Code, Version, error::Result, invocation::is_identifier};

/// Where Open vSwitch listens for its database's clients.
const DEFAULT_OVSDB: &str = "/var/run/openvswitch/db.sock";
/// The bridge the daemon sets up.
const DEFAULT_BRIDGE: &str = "k-vswitch0";
/// How long ADD waits for a port's flows, seconds. Runtimes give a plugin minutes, but a pod that waits this long is
/// better tried again than kept.
const DEFAULT_TIMEOUT: u64 = 15;
/// The `ipam.type` that means this plugin's own addresses.
const OWN_IPAM: &str = "k-vswitch";
/// RFC 791 and RFC 8200: the smallest MTU of an IPv4 link, and of one with IPv6.
const MIN_MTU: u32 = 68;
const MAX_MTU: u32 = 65535;

/// A checked network configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct NetConf {
    /// `cniVersion`.
    pub version: Version,
    /// `name`: the network's.
    pub name: String,
    /// `ovsdb`: path of the database's Unix socket.
    pub ovsdb: PathBuf,
    /// `bridge`: the bridge ports are added to.
    pub bridge: String,
    /// `timeoutSeconds`: how long ADD waits for a port's flows.
    pub timeout: Duration,
    /// `mtu`: of the pod's interface, bytes; `None` takes the node's.
    pub mtu: Option<u32>,
    /// `ipam`: who gives addresses.
    pub ipam: Ipam,
    /// `prevResult`, if there is one.
    pub prev_result: Option<AddResult>,
    /// `cni.dev/valid-attachments`: what GC must keep. `None` if the configuration has no such key.
    pub valid_attachments: Option<Vec<Attachment>>,
    /// The configuration as it came, for a delegated plugin.
    pub raw: Vec<u8>,
}

/// Who gives addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ipam {
    /// This plugin, from the node's pod CIDRs.
    Own,
    /// The plugin with this name.
    Delegated(String),
}

/// One interface of one container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Attachment {
    /// The container.
    #[serde(rename = "containerID")]
    pub container_id: String,
    /// The interface inside it.
    pub ifname: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    cni_version: String,
    #[serde(default)]
    name: String,
    ovsdb: Option<PathBuf>,
    bridge: Option<String>,
    timeout_seconds: Option<u64>,
    mtu: Option<u32>,
    ipam: Option<serde_json::Map<String, Value>>,
    prev_result: Option<Value>,
    #[serde(rename = "cni.dev/valid-attachments", default, deserialize_with = "present")]
    valid_attachments: Option<Option<Vec<Attachment>>>,
    /// The key's name in the first text of version 1.1.0.
    #[serde(rename = "cni.dev/attachments", default, deserialize_with = "present")]
    attachments: Option<Option<Vec<Attachment>>>,
}

/// Tells `null` (an empty Go slice) from a key that is not there.
fn present<'de, D, T>(deserializer: D) -> std::result::Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// The `cniVersion` of a configuration that may otherwise be nonsense: the version to answer errors in.
#[must_use]
pub(crate) fn version_of(input: &[u8]) -> Option<Version> {
    let value: Value = serde_json::from_slice(input).ok()?;
    Version::parse(value.get("cniVersion")?.as_str()?).ok()
}

impl NetConf {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Code 6 if it is not JSON of the right types, 1 for the version, 2 for an `ipam` key that has no meaning here, 7
    /// for everything else; the message names the key.
    pub fn parse(input: &[u8]) -> Result<Self> {
        let raw: Raw = serde_json::from_slice(input).map_err(|e| {
            CniError::new(Code::Decode, "the network configuration cannot be read", explain(input, &e))
        })?;
        let version = Version::parse(&raw.cni_version)?;
        if !is_identifier(&raw.name) {
            let rule = "a letter or digit, then letters, digits, '_', '.' and '-'";
            return Err(invalid("name", &format!("{:?} is not {rule}", raw.name)));
        }
        let bridge = raw.bridge.unwrap_or_else(|| DEFAULT_BRIDGE.to_owned());
        host::link::check_name(&bridge).map_err(|e| invalid("bridge", &e))?;
        let timeout = raw.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT);
        if !(1..=600).contains(&timeout) {
            return Err(invalid("timeoutSeconds", &format!("{timeout} is not within 1 and 600 seconds")));
        }
        if let Some(mtu) = raw.mtu.filter(|mtu| !(MIN_MTU..=MAX_MTU).contains(mtu)) {
            return Err(invalid("mtu", &format!("{mtu} is not within {MIN_MTU} and {MAX_MTU} bytes")));
        }
        let prev_result = match raw.prev_result {
            None | Some(Value::Null) => None,
            Some(value) => Some(AddResult::from_json(value)?),
        };
        Ok(Self {
            version,
            name: raw.name,
            ovsdb: raw.ovsdb.unwrap_or_else(|| DEFAULT_OVSDB.into()),
            bridge,
            timeout: Duration::from_secs(timeout),
            mtu: raw.mtu,
            ipam: ipam(raw.ipam.as_ref())?,
            prev_result,
            valid_attachments: raw.valid_attachments.or(raw.attachments).map(Option::unwrap_or_default),
            raw: input.to_vec(),
        })
    }
}

fn ipam(section: Option<&serde_json::Map<String, Value>>) -> Result<Ipam> {
    // An empty section is how libcni's types serialize "none".
    let Some(section) = section.filter(|section| !section.is_empty()) else {
        return Ok(Ipam::Own);
    };
    match section.get("type").and_then(Value::as_str) {
        Some(OWN_IPAM) => match section.iter().find(|(key, _)| *key != "type") {
            None => Ok(Ipam::Own),
            Some((key, value)) => Err(CniError::new(
                Code::UnsupportedField,
                format!("ipam.{key} = {value} is not supported"),
                "with ipam.type k-vswitch the addresses come from the node's pod CIDRs; remove the key",
            )),
        },
        Some(plugin) if !plugin.is_empty() && !plugin.contains('/') && plugin != "." && plugin != ".." => {
            Ok(Ipam::Delegated(plugin.to_owned()))
        }
        _ => Err(invalid("ipam.type", &"it has to be k-vswitch or the name of an IPAM plugin in CNI_PATH")),
    }
}

fn invalid(key: &str, why: &dyn std::fmt::Display) -> CniError {
    CniError::new(Code::InvalidConfig, format!("{key} of the network configuration is invalid"), why)
}

fn explain(input: &[u8], error: &serde_json::Error) -> String {
    if input.iter().all(u8::is_ascii_whitespace) {
        return "standard input is empty; the runtime has to pass the configuration there".to_owned();
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(json: &Value) -> Result<NetConf> {
        NetConf::parse(json.to_string().as_bytes())
    }

    fn with(key: &str, value: Value) -> Value {
        let mut conf = serde_json::json!({ "cniVersion": "1.1.0", "name": "pods", "type": "k-vswitch-cni" });
        conf[key] = value;
        conf
    }

    #[test]
    fn the_least_configuration_gets_the_defaults() {
        let conf = parse(&with("type", "k-vswitch-cni".into())).unwrap();
        assert_eq!(conf.ovsdb, PathBuf::from("/var/run/openvswitch/db.sock"));
        assert_eq!((conf.bridge.as_str(), conf.timeout.as_secs(), conf.mtu), ("k-vswitch0", 15, None));
        assert_eq!((conf.ipam, conf.prev_result, conf.valid_attachments), (Ipam::Own, None, None));
    }

    #[test]
    fn malformed_input_is_code_6() {
        for input in [
            "",
            " \n",
            "{",
            "[]",
            "null",
            "{\"name\": 1}",
            "\u{0}",
            "{\"cniVersion\":\"1.1.0\",\"mtu\":\"x\"}",
        ] {
            let error = NetConf::parse(input.as_bytes()).unwrap_err();
            assert_eq!(error.code.number(), 6, "{input:?}: {error}");
        }
    }

    #[test]
    fn invalid_values_name_their_key() {
        for (key, value) in [
            ("name", "".into()),
            ("name", "a b".into()),
            ("bridge", "much-too-long-a-name".into()),
            ("timeoutSeconds", 0.into()),
            ("mtu", 67.into()),
            ("mtu", 65536.into()),
        ] {
            let error = parse(&with(key, value)).unwrap_err();
            assert_eq!(error.code.number(), 7, "{error}");
            assert!(error.msg.starts_with(key), "{error}");
        }
    }

    #[test]
    fn ipam_is_ours_or_delegated() {
        let ipam = |json| parse(&with("ipam", json)).map(|conf| conf.ipam);
        assert_eq!(ipam(serde_json::json!({})), Ok(Ipam::Own));
        assert_eq!(ipam(serde_json::json!({"type": "k-vswitch"})), Ok(Ipam::Own));
        let delegated = serde_json::json!({"type": "host-local", "subnet": "10.0.0.0/24"});
        assert_eq!(ipam(delegated), Ok(Ipam::Delegated("host-local".into())));
        let leftover = ipam(serde_json::json!({"type": "k-vswitch", "subnet": "10.0.0.0/24"})).unwrap_err();
        assert_eq!(leftover.code.number(), 2);
        assert_eq!(leftover.msg, "ipam.subnet = \"10.0.0.0/24\" is not supported");
        for bad in [
            serde_json::json!({"type": ""}),
            serde_json::json!({"type": "../sh"}),
            serde_json::json!({"a": 1}),
        ] {
            assert_eq!(ipam(bad).unwrap_err().code.number(), 7);
        }
    }

    #[test]
    fn valid_attachments_have_two_names_and_absent_is_not_empty() {
        let list = serde_json::json!([{"containerID": "c1", "ifname": "eth0"}]);
        for key in ["cni.dev/valid-attachments", "cni.dev/attachments"] {
            let found = parse(&with(key, list.clone())).unwrap().valid_attachments.unwrap();
            assert_eq!(found, [Attachment { container_id: "c1".into(), ifname: "eth0".into() }]);
        }
        assert_eq!(
            parse(&with("cni.dev/valid-attachments", Value::Null)).unwrap().valid_attachments,
            Some(vec![])
        );
        assert_eq!(parse(&with("x", Value::Null)).unwrap().valid_attachments, None);
    }

    #[test]
    fn errors_can_be_answered_in_the_version_of_a_broken_configuration() {
        assert_eq!(version_of(br#"{"cniVersion":"0.4.0","mtu":"x"}"#), Some(Version::V0_4_0));
        assert_eq!(version_of(b"{"), None);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            prop_oneof![".{0,12}", Just("1.1.0".to_owned()), Just("host-local".to_owned())]
                .prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let key = prop_oneof!["[a-z]{1,6}", Just("type".to_owned()), Just("ips".to_owned())];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(key, inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_configuration_or_an_error(input in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (NetConf::parse(&input), version_of(&input));
        }

        #[test]
        fn any_value_of_any_key_is_accepted_or_told(
            key in prop::sample::select(vec![
                "cniVersion", "name", "ovsdb", "bridge", "timeoutSeconds", "mtu", "ipam", "prevResult",
                "cni.dev/valid-attachments",
            ]),
            value in json(),
        ) {
            match parse(&with(key, value)) {
                Ok(conf) => prop_assert!((1..=600).contains(&conf.timeout.as_secs())),
                Err(error) => prop_assert!(matches!(error.code.number(), 1 | 2 | 6 | 7), "{}", error),
            }
        }
    }
}
