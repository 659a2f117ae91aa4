//! What runs beside the engines of a show: each companion a Deployment with a Service, and policies that let it speak to those that
//! its image names, and to nobody else. Pure.

use onrush_api::images::Image;
use serde_json::{Value, json};

use super::manifests::{ENGINE, OPS, Wanted};
use crate::catalogue::parts::Beside;

/// The label that says whose an object is.
pub(crate) const COMPANION: &str = "onrush.dev/companion";
/// Where a cluster's names are looked up.
const DNS_NAMESPACE: &str = "kube-system";
const DNS: u16 = 53;

impl Wanted {
    /// Every object of every companion.
    pub fn companions(&self) -> Vec<Value> {
        let of = |beside: &Beside| {
            let service = (!beside.image.spec.ports.is_empty()).then(|| self.companion_service(beside));
            let policy = self.companion_policy(beside);
            let scrapes = beside.image.spec.connects_to.iter().any(|other| other == ENGINE);
            let engines = scrapes.then(|| self.let_companion_in(beside));
            [Some(self.companion(beside)), service, Some(policy), engines].into_iter().flatten().collect::<Vec<_>>()
        };
        self.parts.companions.iter().flat_map(of).collect()
    }

    fn beside(&self, api: &str, kind: &str, name: &str, companion: &str, rest: Value) -> Value {
        let mut object = self.object(api, kind, name, rest);
        object["metadata"]["labels"] = self.companion_labels(companion);
        object
    }

    fn companion_labels(&self, companion: &str) -> Value {
        let mut labels = self.labels();
        labels["app.kubernetes.io/component"] = json!(companion);
        labels[COMPANION] = json!(companion);
        labels
    }

    /// What finds its pods.
    fn selector(&self, companion: &str) -> Value {
        json!({"matchLabels": {"app.kubernetes.io/instance": self.name, COMPANION: companion}})
    }

    fn companion(&self, Beside { companion, image }: &Beside) -> Value {
        let name = &companion.name;
        let spec = json!({
            "replicas": companion.replicas,
            // Within the show's quota, also where they become smaller.
            "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "selector": self.selector(name),
            "template": {"metadata": {"labels": self.companion_labels(name)}, "spec": {
                // It asks nothing of the cluster.
                "serviceAccountName": ENGINE,
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "securityContext": self.pod_security(),
                "containers": [self.companion_container(companion, image)],
                "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
            }},
        });
        self.beside("apps/v1", "Deployment", name, name, json!({"spec": spec}))
    }

    fn companion_container(&self, companion: &onrush_api::templates::Companion, image: &Image) -> Value {
        let variable = |name: &str, value: String| json!({"name": name, "value": value});
        let told = self
            .answers
            .iter()
            .map(|(name, answer)| variable(&format!("ONRUSH_PARAMETER_{}", name.to_uppercase()), answer.to_string()));
        let own = image.spec.env.iter().map(|(name, value)| variable(name, value.clone()));
        let env: Vec<_> = [variable("ONRUSH_SHOW", self.show.clone())].into_iter().chain(told).chain(own).collect();
        let ports: Vec<_> = image
            .spec
            .ports
            .iter()
            .map(|port| json!({"name": port.name, "containerPort": port.port, "protocol": "TCP"}))
            .collect();
        let share =
            json!({"cpu": format!("{}m", companion.cpu_millis), "memory": format!("{}Mi", companion.memory_mib)});
        let mut container = json!({
            "name": companion.name,
            "image": image.reference,
            "env": env,
            "ports": ports,
            "resources": {"requests": share, "limits": share},
            "securityContext": Self::container_security(),
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        });
        if let Some(health) = &image.spec.health {
            let probe = json!({
                "httpGet": {"path": health.path, "port": health.port},
                "periodSeconds": 10,
                "timeoutSeconds": 2,
                "failureThreshold": 6,
            });
            (container["readinessProbe"], container["livenessProbe"]) = (probe.clone(), probe);
        }
        container
    }

    fn companion_service(&self, Beside { companion, image }: &Beside) -> Value {
        let ports: Vec<_> = image
            .spec
            .ports
            .iter()
            .map(|port| json!({"name": port.name, "port": port.port, "targetPort": port.name, "protocol": "TCP"}))
            .collect();
        let selector = &self.selector(&companion.name)["matchLabels"];
        let spec = json!({"selector": selector, "ports": ports});
        self.beside("v1", "Service", &companion.name, &companion.name, json!({"spec": spec}))
    }

    /// In: the platform, and those beside it that say so. Out: those that it names.
    fn companion_policy(&self, Beside { companion, image }: &Beside) -> Value {
        let callers = self.parts.companions.iter().filter(|other| other.image.spec.connects_to.contains(&image.alias));
        let platform = json!({"namespaceSelector": namespace(&self.system_namespace)});
        let from: Vec<_> = [platform]
            .into_iter()
            .chain(callers.map(|other| json!({"podSelector": self.selector(&other.companion.name)})))
            .collect();
        let ports = ports_of(image);
        let ingress = if ports.is_empty() { vec![] } else { vec![json!({"from": from, "ports": ports})] };
        let named = |other: &&Beside| image.spec.connects_to.contains(&other.image.alias);
        let others = self.parts.companions.iter().filter(named).map(|other| {
            json!({"to": [{"podSelector": self.selector(&other.companion.name)}], "ports": ports_of(&other.image)})
        });
        let engines = image
            .spec
            .connects_to
            .iter()
            .any(|other| other == ENGINE)
            .then(|| json!({"to": [{"podSelector": self.engines()}], "ports": [{"protocol": "TCP", "port": OPS}]}));
        let names = (!image.spec.connects_to.is_empty()).then(|| {
            let ports: Vec<_> =
                ["UDP", "TCP"].iter().map(|protocol| json!({"protocol": protocol, "port": DNS})).collect();
            json!({"to": [{"namespaceSelector": namespace(DNS_NAMESPACE)}], "ports": ports})
        });
        let egress: Vec<_> = others.chain(engines).chain(names).collect();
        let spec = json!({
            "podSelector": self.selector(&companion.name),
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        });
        let name = format!("beside-{}", companion.name);
        self.beside("networking.k8s.io/v1", "NetworkPolicy", &name, &companion.name, json!({"spec": spec}))
    }

    /// It reads the metrics of the engines.
    fn let_companion_in(&self, Beside { companion, .. }: &Beside) -> Value {
        let spec = json!({
            "podSelector": self.engines(),
            "policyTypes": ["Ingress"],
            "ingress": [{
                "from": [{"podSelector": self.selector(&companion.name)}],
                "ports": [{"protocol": "TCP", "port": OPS}],
            }],
        });
        let name = format!("engine-from-{}", companion.name);
        self.beside("networking.k8s.io/v1", "NetworkPolicy", &name, &companion.name, json!({"spec": spec}))
    }
}

fn namespace(name: &str) -> Value {
    json!({"matchLabels": {"kubernetes.io/metadata.name": name}})
}

fn ports_of(image: &Image) -> Vec<Value> {
    image.spec.ports.iter().map(|port| json!({"protocol": "TCP", "port": port.port})).collect()
}
