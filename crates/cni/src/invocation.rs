//! What the runtime asks for: the `CNI_*` environment variables, checked.

use std::path::PathBuf;

use crate::{CniError, Code, Version, error::Result};

/// A CNI command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Attach a container.
    Add,
    /// Detach a container.
    Del,
    /// Is an attachment as it was left?
    Check,
    /// Could an ADD be served now?
    Status,
    /// Remove what belongs to no attachment.
    Gc,
    /// Which versions?
    Version,
}

impl Command {
    const ALL: [Self; 6] = [Self::Add, Self::Del, Self::Check, Self::Status, Self::Gc, Self::Version];

    /// As it is written in `CNI_COMMAND`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Status => "STATUS",
            Self::Gc => "GC",
            Self::Version => "VERSION",
        }
    }

    /// The first version that has the command.
    #[must_use]
    pub fn since(self) -> Version {
        match self {
            Self::Add | Self::Del | Self::Version => Version::V0_3_0,
            Self::Check => Version::V0_4_0,
            Self::Status | Self::Gc => Version::V1_1_0,
        }
    }

    /// The variables the command cannot do without.
    fn required(self) -> &'static [&'static str] {
        match self {
            Self::Add | Self::Check => &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
            Self::Del => &["CNI_CONTAINERID", "CNI_IFNAME"],
            Self::Status | Self::Gc | Self::Version => &[],
        }
    }
}

/// The checked environment of one call. Strings a command does not need may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// `CNI_COMMAND`.
    pub command: Command,
    /// `CNI_CONTAINERID`.
    pub container_id: String,
    /// `CNI_IFNAME`: the interface inside the container.
    pub ifname: String,
    /// `CNI_NETNS`: path of the container's network namespace. On DEL it may be absent: the container is gone.
    pub netns: Option<PathBuf>,
    /// `CNI_ARGS` as it came, for delegated plugins.
    pub args: String,
    /// `CNI_PATH`: where delegated plugins are.
    pub path: String,
    /// What Kubernetes says of the pod in `CNI_ARGS`.
    pub pod: PodArgs,
}

/// The pod, as the runtime names it in `CNI_ARGS`. All absent outside Kubernetes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodArgs {
    /// `K8S_POD_NAMESPACE`.
    pub namespace: Option<String>,
    /// `K8S_POD_NAME`.
    pub name: Option<String>,
    /// `K8S_POD_UID`; old runtimes do not pass it.
    pub uid: Option<String>,
}

impl Invocation {
    /// Reads and checks the variables; `variable` looks one up.
    ///
    /// # Errors
    /// Code 4, naming every variable that is missing, or the one that is invalid and why.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let command = get("CNI_COMMAND").ok_or_else(|| missing(&["CNI_COMMAND"], "any command"))?;
        let command = Command::ALL
            .into_iter()
            .find(|known| known.as_str() == command)
            .ok_or_else(|| invalid("CNI_COMMAND", &command, "ADD, DEL, CHECK, STATUS, GC or VERSION"))?;
        let absent: Vec<&str> =
            command.required().iter().copied().filter(|name| get(name).is_none()).collect();
        if !absent.is_empty() {
            return Err(missing(&absent, command.as_str()));
        }
        let invocation = Self {
            command,
            container_id: get("CNI_CONTAINERID").unwrap_or_default(),
            ifname: get("CNI_IFNAME").unwrap_or_default(),
            netns: get("CNI_NETNS").map(PathBuf::from),
            pod: PodArgs::read(&get("CNI_ARGS").unwrap_or_default())?,
            args: get("CNI_ARGS").unwrap_or_default(),
            path: get("CNI_PATH").unwrap_or_default(),
        };
        if !command.required().is_empty() {
            invocation.check_attachment()?;
        }
        Ok(invocation)
    }

    fn check_attachment(&self) -> Result<()> {
        if !is_identifier(&self.container_id) {
            let rule = "a letter or digit, then letters, digits, '_', '.' and '-'";
            return Err(invalid("CNI_CONTAINERID", &self.container_id, rule));
        }
        host::link::check_name(&self.ifname)
            .map_err(|e| CniError::new(Code::InvalidEnvironment, "CNI_IFNAME is invalid", e))
    }
}

impl PodArgs {
    /// Reads `KEY=VALUE;KEY=VALUE`. Keys that are not ours are passed over, whether or not `IgnoreUnknown` is there:
    /// they may be for another plugin of the chain.
    fn read(args: &str) -> Result<Self> {
        let mut pod = Self::default();
        for pair in args.split(';').filter(|pair| !pair.is_empty()) {
            let Some((key, value)) = pair.split_once('=') else {
                return Err(invalid("CNI_ARGS", args, "KEY=VALUE pairs with semicolons between them"));
            };
            let value = Some(value.to_owned()).filter(|value| !value.is_empty());
            match key {
                "K8S_POD_NAMESPACE" => pod.namespace = value,
                "K8S_POD_NAME" => pod.name = value,
                "K8S_POD_UID" => pod.uid = value,
                _ => {}
            }
        }
        Ok(pod)
    }
}

/// The specification's rule for container ids and network names.
pub(crate) fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn missing(names: &[&str], command: &str) -> CniError {
    let (names, verb) = (names.join(", "), if names.len() == 1 { "is" } else { "are" });
    CniError::new(
        Code::InvalidEnvironment,
        format!("required environment variables missing: {names}"),
        format!(
            "{names} {verb} needed for {command}; a CNI plugin is called by a container runtime, not by hand"
        ),
    )
}

fn invalid(name: &str, value: &str, rule: &str) -> CniError {
    CniError::new(Code::InvalidEnvironment, format!("{name} is invalid"), format!("{value:?} is not {rule}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Invocation> {
        Invocation::read(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    const ADD: [(&str, &str); 4] = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_NETNS", "/run/netns/x"),
        ("CNI_IFNAME", "eth0"),
    ];

    #[test]
    fn every_missing_variable_is_named() {
        let error = read(&[("CNI_COMMAND", "ADD"), ("CNI_IFNAME", "")]).unwrap_err();
        assert_eq!(error.code.number(), 4);
        assert!(error.msg.ends_with("CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME"), "{error}");
        assert!(read(&[]).unwrap_err().msg.contains("CNI_COMMAND"));
    }

    #[test]
    fn del_does_without_a_namespace_and_status_without_a_container() {
        let del =
            [("CNI_COMMAND", "DEL"), ("CNI_CONTAINERID", "c1"), ("CNI_IFNAME", "eth0"), ("CNI_NETNS", "")];
        assert_eq!(read(&del).unwrap().netns, None);
        for command in ["STATUS", "GC", "VERSION"] {
            assert!(read(&[("CNI_COMMAND", command)]).is_ok());
        }
    }

    #[test]
    fn invalid_values_are_code_4() {
        for (name, value) in [
            ("CNI_COMMAND", "add"),
            ("CNI_CONTAINERID", "-x"),
            ("CNI_CONTAINERID", "a/b"),
            ("CNI_IFNAME", "a/b"),
            ("CNI_IFNAME", ".."),
            ("CNI_IFNAME", "sixteen-bytes-lg"),
            ("CNI_ARGS", "novalue"),
        ] {
            let mut pairs = ADD.to_vec();
            pairs.retain(|(key, _)| *key != name);
            pairs.push((name, value));
            let error = read(&pairs).unwrap_err();
            assert_eq!(error.code.number(), 4, "{name}={value}");
            assert!(error.msg.contains(name), "{error}");
        }
    }

    #[test]
    fn the_pod_is_read_from_the_arguments() {
        let mut pairs = ADD.to_vec();
        pairs.push((
            "CNI_ARGS",
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=",
        ));
        let pod = read(&pairs).unwrap().pod;
        assert_eq!(pod, PodArgs { namespace: Some("shop".into()), name: Some("web-0".into()), uid: None });
    }
}
