//! The resources every server has. Their schemas come from the `k8s-openapi` crate.

use std::sync::{Arc, LazyLock};

use k8s_openapi::{
    api::{
        apps::v1 as apps, coordination::v1 as coordination, core::v1 as core, discovery::v1 as discovery,
        events::v1 as events, networking::v1 as networking, policy::v1 as policy, rbac::v1 as rbac,
        scheduling::v1 as scheduling,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions,
};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    crd::Crds,
    resource::{NameRule, Resource, ScalePaths, View},
    schema::{Compiler, Schema},
    strategy::{
        Counted, Data, EndpointSlices, Namespaces, NetworkPolicies, Nodes, Plain, Pods, Services, Strategy,
        Versioned, Workloads,
    },
};

/// The built-in resources with the definitions their schemas refer to.
#[derive(Debug)]
pub(crate) struct Builtin {
    pub(crate) resources: Vec<Arc<Resource>>,
    /// OpenAPI schemas by name.
    pub(crate) definitions: Map<String, Value>,
    /// The compiled schema of `ObjectMeta`, which custom resources have, too.
    pub(crate) object_meta: Arc<Schema>,
}

/// Made once for all servers of the process.
pub(crate) static BUILTIN: LazyLock<Builtin> = LazyLock::new(Builtin::make);

pub(crate) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

struct Rows {
    generator: SchemaGenerator,
    rows: Vec<Resource>,
}

impl Rows {
    /// A cluster-scoped resource without subresources; the calls that follow say what is different.
    fn add<K: k8s_openapi::Resource + JsonSchema>(&mut self, singular: &str, short: &[&str]) -> Row<'_> {
        self.generator.subschema_for::<K>();
        let group = K::GROUP;
        let plural = K::URL_PATH_SEGMENT;
        let storage = if group.is_empty() { plural.to_owned() } else { format!("{group}/{plural}") };
        self.rows.push(Resource {
            group: group.to_owned(),
            version: K::VERSION.to_owned(),
            kind: K::KIND.to_owned(),
            list_kind: format!("{}List", K::KIND),
            plural: plural.to_owned(),
            singular: singular.to_owned(),
            short_names: short.iter().map(|&s| s.to_owned()).collect(),
            categories: Vec::new(),
            namespaced: false,
            status: false,
            scale: None,
            storage: storage.into(),
            view: View::Stored,
            names: NameRule::Subdomain,
            selectable: Vec::new(),
            strategy: &Plain,
            schema: Arc::new(Schema::anything()),
            schema_name: Some(K::schema_name().into_owned()),
            columns: Vec::new(),
        });
        Row(self.rows.last_mut())
    }
}

struct Row<'a>(Option<&'a mut Resource>);

impl Row<'_> {
    fn with(mut self, change: impl FnOnce(&mut Resource)) -> Self {
        if let Some(resource) = &mut self.0 {
            change(resource);
        }
        self
    }

    fn namespaced(self) -> Self {
        self.with(|r| r.namespaced = true)
    }

    fn status(self) -> Self {
        self.with(|r| r.status = true)
    }

    /// Among what `kubectl get all` shows.
    fn in_all(self) -> Self {
        self.with(|r| r.categories.push("all".to_owned()))
    }

    fn strategy(self, strategy: &'static dyn Strategy) -> Self {
        self.with(|r| r.strategy = strategy)
    }

    fn fields(self, fields: &[&str]) -> Self {
        self.with(|r| r.selectable = fields.iter().map(|&f| f.to_owned()).collect())
    }

    fn names(self, rule: NameRule) -> Self {
        self.with(|r| r.names = rule)
    }

    fn scale(self) -> Self {
        let path = |p: &[&str]| p.iter().map(|&s| s.to_owned()).collect::<Vec<_>>();
        self.with(|r| {
            r.scale = Some(ScalePaths {
                replicas: path(&["spec", "replicas"]),
                status_replicas: path(&["status", "replicas"]),
                selector: Some(path(&["spec", "selector"])),
            });
        })
    }
}

const EVENT_FIELDS: [&str; 12] = [
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
    "metadata.uid",
];

impl Builtin {
    fn make() -> Self {
        let mut rows = Rows { generator: SchemaSettings::openapi3().into_generator(), rows: Vec::new() };
        core_group(&mut rows);
        other_groups(&mut rows);
        rows.generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>();
        let mut definitions = rows.generator.take_definitions(true);
        let mut compiler = Compiler::with_definitions(&definitions);
        let mut compile = |name: &str| {
            // The definitions are generated with the crate; that they compile is tested.
            compiler.named(name).unwrap_or_else(|_| Arc::new(Schema::anything()))
        };
        let object_meta = compile(OBJECT_META);
        let mut resources = Vec::new();
        for mut resource in rows.rows {
            if let Some(name) = &resource.schema_name {
                resource.schema = compile(name);
            }
            resources.push(Arc::new(resource));
        }
        for resource in &resources {
            if let Some(definition) = resource.schema_name.as_ref().and_then(|name| definitions.get_mut(name))
            {
                let gvk =
                    json!([{"group": resource.group, "version": resource.version, "kind": resource.kind}]);
                crate::object::set(definition, &["x-kubernetes-group-version-kind"], gvk);
            }
        }
        Self { resources, definitions, object_meta }
    }
}

fn core_group(rows: &mut Rows) {
    rows.add::<core::Namespace>("namespace", &["ns"])
        .status()
        .names(NameRule::Label)
        .fields(&["status.phase"])
        .strategy(&Namespaces);
    rows.add::<core::Node>("node", &["no"]).status().fields(&["spec.unschedulable"]).strategy(&Nodes);
    let pod_fields = [
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ];
    rows.add::<core::Pod>("pod", &["po"]).namespaced().status().in_all().fields(&pod_fields).strategy(&Pods);
    rows.add::<core::Service>("service", &["svc"])
        .namespaced()
        .status()
        .in_all()
        .names(NameRule::Label1035)
        .fields(&["spec.clusterIP", "spec.type"])
        .strategy(&Services);
    rows.add::<core::Endpoints>("endpoints", &["ep"]).namespaced();
    rows.add::<core::Event>("event", &["ev"]).namespaced().fields(&EVENT_FIELDS);
    rows.add::<core::ConfigMap>("configmap", &["cm"]).namespaced().strategy(&Data);
    rows.add::<core::Secret>("secret", &[]).namespaced().fields(&["type"]).strategy(&Data);
    rows.add::<core::ServiceAccount>("serviceaccount", &["sa"]).namespaced();
}

fn other_groups(rows: &mut Rows) {
    let workload = |row: Row<'_>| {
        let _ = row.namespaced().status().in_all().strategy(&Workloads);
    };
    workload(rows.add::<apps::Deployment>("deployment", &["deploy"]).scale());
    workload(rows.add::<apps::ReplicaSet>("replicaset", &["rs"]).scale());
    workload(rows.add::<apps::DaemonSet>("daemonset", &["ds"]));
    rows.add::<discovery::EndpointSlice>("endpointslice", &[]).namespaced().strategy(&EndpointSlices);
    rows.add::<coordination::Lease>("lease", &[]).namespaced().strategy(&Versioned);
    rows.add::<networking::NetworkPolicy>("networkpolicy", &["netpol"])
        .namespaced()
        .strategy(&NetworkPolicies);
    rows.add::<networking::Ingress>("ingress", &["ing"]).namespaced().status().strategy(&Counted);
    rows.add::<events::Event>("event", &["ev"]).namespaced().fields(&EVENT_FIELDS).with(|r| {
        r.view = View::Events;
        r.storage = "events".into();
    });
    rows.add::<rbac::Role>("role", &[]).namespaced().names(NameRule::PathSegment);
    rows.add::<rbac::RoleBinding>("rolebinding", &[]).namespaced().names(NameRule::PathSegment);
    rows.add::<rbac::ClusterRole>("clusterrole", &[]).names(NameRule::PathSegment);
    rows.add::<rbac::ClusterRoleBinding>("clusterrolebinding", &[]).names(NameRule::PathSegment);
    rows.add::<policy::PodDisruptionBudget>("poddisruptionbudget", &["pdb"])
        .namespaced()
        .status()
        .strategy(&Counted);
    rows.add::<scheduling::PriorityClass>("priorityclass", &["pc"]).strategy(&Counted);
    rows.add::<apiextensions::CustomResourceDefinition>("customresourcedefinition", &["crd", "crds"])
        .status()
        .with(|r| r.categories.push("api-extensions".to_owned()))
        .strategy(&Crds);
}
