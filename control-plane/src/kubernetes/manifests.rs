//! The objects that one show comes to, in the order in which they are applied. Pure: the same answer for the same question.
//!
//! One namespace for each show, which nothing enters but its edges and what scrapes it, and nothing leaves. Its pods meet the
//! restricted Pod Security Standard (<https://kubernetes.io/docs/concepts/security/pod-security-standards/>).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::catalogue::parts::{Beside, Parts};
use crate::deployments::Size;

/// The port on which an engine listens for edges, and that of its health and metrics.
const WIRE: u16 = 7411;
pub(super) const OPS: u16 = 9090;
/// The file with the key of engines and edges.
pub const KEY: &str = "engine.key";
/// Those with a certificate, its key, and the certificate of the authority.
pub const CERTIFICATES: [&str; 3] = ["wire.crt", "wire.key", "ca.crt"];
/// The component of engines, and their account.
pub(super) const ENGINE: &str = "engine";
/// Who may look at a show's namespace: an account, whose tokens are given away, and its role.
pub(super) const CO_OPERATOR: &str = "co-operator";
/// The user of the image.
const USER: u32 = 65_532;
/// What an engine may take to answer what it has begun, and to settle its journal, with room to spare.
const GRACE_SECONDS: u32 = 45;
/// Who applies; nothing that somebody else has put there is touched.
pub const FIELD_MANAGER: &str = "onrush-control-plane";

/// What a show is to have.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// The deployment's name, which the namespace is called by: `dep-…`.
    pub name: String,
    /// Its show.
    pub show: String,
    /// What it was made from.
    pub template: String,
    /// How many engines it has, or is to have.
    pub replicas: u32,
    /// The image of every role.
    pub image: String,
    /// The namespace of edges and control plane.
    pub system_namespace: String,
    /// The namespace of what scrapes metrics, where that is another one.
    pub monitoring_namespace: Option<String>,
    /// What each engine gets.
    pub size: Size,
    /// What each may take, also those of another size that are to go.
    pub room: Size,
    /// Whether engines have certificates.
    pub is_encrypted: bool,
    /// What runs beside them; the image of engines is `image`, whatever this says.
    pub parts: Parts,
    /// Each question's answer, which companions are told.
    pub answers: BTreeMap<String, u64>,
}

/// Where buyers come in: a Gateway, which has a listener for every host below a domain, and the service of edges behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    /// The Gateway's namespace.
    pub gateway_namespace: String,
    /// Its name.
    pub gateway: String,
    /// Each show has a host below this.
    pub domain: String,
    /// The service of edges, in the platform's own namespace.
    pub service: String,
    /// Its port.
    pub port: u16,
}

impl Front {
    /// The host of a show.
    pub fn host(&self, name: &str) -> String {
        format!("{name}.{}", self.domain)
    }

    /// The route of a show (Gateway API): beside the service that it leads to, as no other namespace may.
    pub fn route(&self, name: &str, namespace: &str, show: &str) -> Value {
        let labels = json!({
            "app.kubernetes.io/name": "onrush",
            "app.kubernetes.io/instance": name,
            "app.kubernetes.io/managed-by": FIELD_MANAGER,
            "onrush.dev/show": show,
        });
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {
                "parentRefs": [{"namespace": self.gateway_namespace, "name": self.gateway}],
                "hostnames": [self.host(name)],
                "rules": [{"backendRefs": [{"name": self.service, "port": self.port}]}],
            },
        })
    }
}

/// The name of a deployment as an object's: lower-case letters, digits and `-`.
pub fn name_of(deployment: &str) -> String {
    deployment.replace('_', "-").to_lowercase()
}

/// The set of an engine.
pub(crate) fn engine_name(number: u32) -> String {
    format!("engine-{number}")
}

/// Its one pod.
pub(crate) fn pod_name(number: u32) -> String {
    format!("engine-{number}-0")
}

/// The claim of that.
pub(crate) fn claim_name(number: u32) -> String {
    format!("data-engine-{number}-0")
}

impl Wanted {
    /// Every object, in the order in which they are applied, but the key that edges and engines share.
    pub fn objects(&self) -> Vec<Value> {
        let engines = (0..self.replicas).map(|number| self.engine(number, None));
        self.surroundings().into_iter().chain(self.companions()).chain(engines).collect()
    }

    /// What all engines of the show share.
    pub fn surroundings(&self) -> Vec<Value> {
        vec![
            self.namespace(),
            self.quota(),
            self.limits(),
            self.service_account(ENGINE),
            self.service_account(CO_OPERATOR),
            self.role(),
            self.role_binding(),
            self.deny_all(),
            self.let_edges_in(),
            self.service(),
            self.disruption_budget(),
        ]
    }

    /// The same as one object, for `kubectl apply -f -`.
    pub fn list(&self) -> Value {
        json!({"apiVersion": "v1", "kind": "List", "items": self.objects()})
    }

    pub(super) fn labels(&self) -> Value {
        json!({
            "app.kubernetes.io/name": "onrush",
            "app.kubernetes.io/component": "engine",
            "app.kubernetes.io/instance": self.name,
            "app.kubernetes.io/managed-by": FIELD_MANAGER,
            "onrush.dev/show": self.show,
        })
    }

    pub(super) fn object(&self, api: &str, kind: &str, name: &str, rest: Value) -> Value {
        let metadata = json!({"name": name, "namespace": self.name, "labels": self.labels()});
        let mut object = json!({"apiVersion": api, "kind": kind, "metadata": metadata});
        if let (Value::Object(object), Value::Object(rest)) = (&mut object, rest) {
            object.extend(rest);
        }
        object
    }

    fn namespace(&self) -> Value {
        let mut labels = self.labels();
        for mode in ["enforce", "audit", "warn"] {
            labels[format!("pod-security.kubernetes.io/{mode}")] = json!("restricted");
        }
        let annotations = json!({"onrush.dev/template": self.template});
        json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": self.name, "labels": labels, "annotations": annotations},
        })
    }

    /// Twice as much as is asked for has room: new ones come before old ones go.
    fn quota(&self) -> Value {
        let (engines, size) = (u64::from(self.replicas) * 2, &self.room);
        let beside = |share: fn(&Beside) -> u32| {
            let of = |beside: &Beside| u64::from(share(beside)) * u64::from(beside.companion.replicas) * 2;
            self.parts.companions.iter().map(of).sum::<u64>()
        };
        let (cpu, memory) = (beside(|one| one.companion.cpu_millis), beside(|one| one.companion.memory_mib));
        self.object(
            "v1",
            "ResourceQuota",
            "show",
            json!({"spec": {"hard": {
                "pods": (engines + beside(|_| 1)).to_string(),
                "requests.cpu": format!("{}m", size.cpu_millis * engines + cpu),
                "limits.cpu": format!("{}m", size.cpu_limit_millis * engines + cpu),
                "requests.memory": format!("{}Mi", size.memory_mib * engines + memory),
                "limits.memory": format!("{}Mi", size.memory_mib * engines + memory),
                "requests.storage": format!("{}Gi", size.storage_gib * engines),
                "persistentvolumeclaims": engines.to_string(),
                "services.loadbalancers": "0",
                "services.nodeports": "0",
            }}}),
        )
    }

    fn limits(&self) -> Value {
        let size = &self.size;
        self.object(
            "v1",
            "LimitRange",
            "show",
            json!({"spec": {"limits": [{
                "type": "Container",
                "default": {"cpu": format!("{}m", size.cpu_limit_millis), "memory": format!("{}Mi", size.memory_mib)},
                "defaultRequest": {"cpu": format!("{}m", size.cpu_millis), "memory": format!("{}Mi", size.memory_mib)},
            }]}}),
        )
    }

    fn service_account(&self, name: &str) -> Value {
        self.object("v1", "ServiceAccount", name, json!({"automountServiceAccountToken": false}))
    }

    /// Who helps with this show may look at what runs, and at nothing secret. Engines ask nothing of the cluster.
    fn role(&self) -> Value {
        let rule = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["get", "list", "watch"]});
        let rules = [
            rule("", &["pods", "pods/log", "events", "services", "persistentvolumeclaims"]),
            rule("apps", &["statefulsets", "deployments"]),
        ];
        self.object("rbac.authorization.k8s.io/v1", "Role", CO_OPERATOR, json!({"rules": rules}))
    }

    fn role_binding(&self) -> Value {
        self.object(
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            CO_OPERATOR,
            json!({
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": CO_OPERATOR},
                "subjects": [
                    {
                        "apiGroup": "rbac.authorization.k8s.io",
                        "kind": "Group",
                        "name": format!("onrush:{}:co-operators", self.name),
                    },
                    {"kind": "ServiceAccount", "name": CO_OPERATOR, "namespace": self.name},
                ],
            }),
        )
    }

    /// What edges and engines know each other by. Not among [`Self::objects`], which anybody may look at who may deploy.
    pub fn key(&self, files: &BTreeMap<String, String>) -> Value {
        self.object("v1", "Secret", "engine-key", json!({"type": "Opaque", "stringData": files}))
    }

    fn deny_all(&self) -> Value {
        let spec = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
        self.object("networking.k8s.io/v1", "NetworkPolicy", "deny-all", json!({"spec": spec}))
    }

    /// Edges and the control plane get to the wire, whatever scrapes gets to the metrics; from the platform's own namespace, or that of what scrapes.
    fn let_edges_in(&self) -> Value {
        let of = |namespace: &str| json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
        let system = of(&self.system_namespace);
        let scrapers: Vec<_> = [Some(&self.system_namespace), self.monitoring_namespace.as_ref()]
            .into_iter()
            .flatten()
            .map(|namespace| json!({"namespaceSelector": of(namespace)}))
            .collect();
        let roles = json!({"matchExpressions": [
            {"key": "app.kubernetes.io/component", "operator": "In", "values": ["edge", "control-plane"]},
        ]});
        self.object(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "edges-in",
            json!({"spec": {
                "podSelector": self.engines(),
                "policyTypes": ["Ingress"],
                "ingress": [
                    {
                        "from": [{"namespaceSelector": system, "podSelector": roles}],
                        "ports": [{"protocol": "TCP", "port": WIRE}],
                    },
                    {"from": scrapers, "ports": [{"protocol": "TCP", "port": OPS}]},
                ],
            }}),
        )
    }

    /// A name for each engine, as long as it is there or comes back: edges wait for one that starts again.
    fn service(&self) -> Value {
        self.object(
            "v1",
            "Service",
            "engine",
            json!({"spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": true,
                "selector": {"app.kubernetes.io/component": "engine", "app.kubernetes.io/instance": self.name},
                "ports": [
                    {"name": "wire", "port": WIRE, "targetPort": "wire", "protocol": "TCP"},
                    {"name": "ops", "port": OPS, "targetPort": "ops", "protocol": "TCP"},
                ],
            }}),
        )
    }

    /// One engine at a time is moved out of the way: each has performances that nobody else has.
    fn disruption_budget(&self) -> Value {
        self.object(
            "policy/v1",
            "PodDisruptionBudget",
            "engine",
            json!({"spec": {
                "maxUnavailable": 1,
                "selector": self.engines(),
            }}),
        )
    }

    /// What finds the pods of engines.
    pub(super) fn engines(&self) -> Value {
        json!({"matchLabels": {"app.kubernetes.io/component": ENGINE, "app.kubernetes.io/instance": self.name}})
    }

    /// One engine: a set of its own, so that each is there or not, on a node or any, and of a release, whatever the others are.
    pub fn engine(&self, number: u32, node: Option<&str>) -> Value {
        let claim = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data"},
            "spec": {
                // One pod at a time has the journal, whatever becomes of its node.
                "accessModes": ["ReadWriteOncePod"],
                "resources": {"requests": {"storage": format!("{}Gi", self.size.storage_gib)}},
            },
        });
        let mut labels = self.labels();
        labels["onrush.dev/engine"] = json!(number.to_string());
        let mut pod = self.pod();
        if let Some(node) = node {
            // By its name: its host's may be another one.
            let name = json!({"key": "metadata.name", "operator": "In", "values": [node]});
            let terms = json!({"nodeSelectorTerms": [{"matchFields": [name]}]});
            pod["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}});
        }
        let mut engine = self.object(
            "apps/v1",
            "StatefulSet",
            &engine_name(number),
            json!({"spec": {
                "serviceName": "engine",
                "replicas": 1,
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
                "selector": {"matchLabels": {
                    "app.kubernetes.io/instance": self.name,
                    "onrush.dev/engine": number.to_string(),
                }},
                "template": {"metadata": {"labels": labels}, "spec": pod},
                "volumeClaimTemplates": [claim],
            }}),
        );
        engine["metadata"]["labels"] = labels;
        engine
    }

    /// Where an engine listens for edges.
    pub fn address(&self, number: u32) -> String {
        format!("{}.engine.{}.svc:{WIRE}", pod_name(number), self.name)
    }

    fn pod(&self) -> Value {
        json!({
            "serviceAccountName": "engine",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "securityContext": self.pod_security(),
            "topologySpreadConstraints": [{
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": self.engines(),
            }],
            "containers": [self.container()],
            "volumes": [{"name": "engine-key", "secret": {"secretName": "engine-key", "defaultMode": 0o440}}],
        })
    }

    pub(super) fn pod_security(&self) -> Value {
        json!({
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        })
    }

    pub(super) fn container_security() -> Value {
        json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        })
    }

    fn container(&self) -> Value {
        let size = &self.size;
        let variable = |name: &str, value: String| json!({"name": name, "value": value});
        // Started slowly is not hung: a start replays the journal first.
        let probe = |path: &str, period: u32, failures: u32| {
            json!({
                "httpGet": {"path": path, "port": "ops"},
                "periodSeconds": period,
                "timeoutSeconds": 2,
                "failureThreshold": failures,
            })
        };
        let certificates = ["CERT", "CERT_KEY", "CA"].iter().zip(CERTIFICATES);
        let certificates: Vec<_> = certificates
            .filter(|_| self.is_encrypted)
            .map(|(name, file)| variable(&format!("ONRUSH_WIRE_{name}_FILE"), format!("/keys/{file}")))
            .collect();
        let own = self.parts.engine.iter().flat_map(|image| &image.spec.env);
        let env: Vec<_> = [
            variable("ONRUSH_DATA", "/data".to_owned()),
            variable("ONRUSH_ENGINE_LISTEN", format!("0.0.0.0:{WIRE}")),
            variable("ONRUSH_OPS_LISTEN", format!("0.0.0.0:{OPS}")),
            variable("ONRUSH_ENGINE_KEY_FILE", format!("/keys/{KEY}")),
            variable("ONRUSH_LOG_FORMAT", "json".to_owned()),
            variable("ONRUSH_MAILBOX_CAPACITY", size.mailbox_capacity.to_string()),
            variable("ONRUSH_SNAPSHOT_EVERY_EVENTS", size.snapshot_every_events.to_string()),
        ]
        .into_iter()
        .chain(certificates)
        .chain(own.map(|(name, value)| variable(name, value.clone())))
        .collect();
        json!({
            "name": "engine",
            "image": self.image,
            "args": ["engine"],
            "env": env,
            "ports": [
                {"name": "wire", "containerPort": WIRE, "protocol": "TCP"},
                {"name": "ops", "containerPort": OPS, "protocol": "TCP"},
            ],
            "resources": {
                "requests": {"cpu": format!("{}m", size.cpu_millis), "memory": format!("{}Mi", size.memory_mib)},
                "limits": {"cpu": format!("{}m", size.cpu_limit_millis), "memory": format!("{}Mi", size.memory_mib)},
            },
            "startupProbe": probe("/healthz", 2, 150),
            "readinessProbe": probe("/readyz", 5, 2),
            "livenessProbe": probe("/healthz", 10, 6),
            "securityContext": Self::container_security(),
            "volumeMounts": [
                {"name": "data", "mountPath": "/data"},
                {"name": "engine-key", "mountPath": "/keys", "readOnly": true},
            ],
        })
    }
}
