//! What is asked for, as a custom resource: `kubectl apply` of one says the same as `POST /v1/deployments`.

#![expect(unreachable_pub, reason = "of what the derive makes, in a module of its own")]

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A show with engines of its own.
#[derive(Debug, Clone, PartialEq, CustomResource, KubeSchema, Serialize, Deserialize)]
#[kube(
    group = "onrush.dev",
    version = "v1alpha1",
    kind = "ShowDeployment",
    plural = "showdeployments",
    shortname = "show",
    category = "onrush",
    namespaced,
    status = "ShowDeploymentStatus",
    doc = "A show with engines of its own: a namespace, as many engines as are asked for, and what isolates them.",
    printcolumn = r#"{"name":"Show","type":"string","jsonPath":".spec.show"}"#,
    printcolumn = r#"{"name":"Replicas","type":"integer","jsonPath":".spec.replicas"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShowDeploymentSpec {
    /// The show: `show_` and 13 digits. It stays the same.
    #[x_kube(
        validation = Rule::new("self.matches('^show_[0-9a-hjkmnp-tv-z]{13}$')")
            .message("show is the id of a show: show_ and 13 digits"),
        validation = Rule::new("self == oldSelf").message("a deployment keeps its show; delete it, and make another one")
    )]
    #[schemars(length(max = 18))]
    pub show: String,
    /// What it is made from: `tpl_…`.
    #[x_kube(validation = Rule::new("self.startsWith('tpl_')").message("template is the id of a template: tpl_…"))]
    #[schemars(length(max = 63))]
    pub template: String,
    /// Answers to the template's questions; what is not named has the template's default.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self.all(name, self[name] >= 1)").message("every parameter is 1 or more"))]
    #[schemars(extend("maxProperties" = 20))]
    pub parameters: BTreeMap<String, i64>,
    /// How many engines. A performance is at one of them.
    #[serde(default = "one")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 8").message("replicas is 1 to 8"))]
    pub replicas: i32,
}

fn one() -> i32 {
    1
}

/// How far it is, as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShowDeploymentStatus {
    /// The version of what is asked for that this is about.
    #[serde(default)]
    pub observed_generation: Option<i64>,
    /// Its deployment, once there is one: `dep_…`.
    #[serde(default)]
    pub deployment: Option<String>,
    /// Its namespace, once there is one.
    #[serde(default)]
    pub namespace: Option<String>,
    /// `Accepted`, `NamespaceReady`, `EngineReady`, `Routed`, `Ready`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Whether one step is done, in the form that Kubernetes gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// The same, for people.
    pub message: String,
    /// Since when, in RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// The version of what is asked for that this is about.
    #[serde(default)]
    pub observed_generation: Option<i64>,
}
