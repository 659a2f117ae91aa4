//! The custom resource and the objects of a show, as they are committed and as Kubernetes' own types read them.
//!
//! `ONRUSH_TEST_KUBECONFIG` names a kubeconfig of a real cluster, and `ONRUSH_TEST_IMAGE` an image that its nodes have or can get: then what
//! is asked of the cluster in memory is asked of that one, too.
//!
//! `UPDATE_GOLDEN=1` writes the files anew; commit such a change only if you understand what caused it.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without, stops it here")]

mod cluster;
mod driver;
mod resources;
mod server;
mod templates;
mod usage;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{LimitRange, Namespace, ResourceQuota, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::CustomResourceExt as _;
use onrush_api::images::Image;
use onrush_control_plane::catalogue::parts::{Beside, Parts};
use onrush_control_plane::deployments::size_of;
use onrush_control_plane::kubernetes::manifests::{Wanted, name_of};
use onrush_control_plane::kubernetes::resource::{ShowDeployment, ShowDeploymentSpec};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn wanted(template: &str, seats: u64, crowd: u64, replicas: u32) -> Wanted {
    let answers = [("seats".to_owned(), seats), ("crowd".to_owned(), crowd)].into();
    Wanted {
        name: name_of("dep_ea9085a8f61dfa3ff12afa1fc2a9d047"),
        show: "show_4bhp7snadv3r9".to_owned(),
        template: template.to_owned(),
        replicas,
        image: "ghcr.io/onrush/onrush:0.3.0".to_owned(),
        system_namespace: "onrush".to_owned(),
        monitoring_namespace: Some("monitoring".to_owned()),
        size: size_of(&answers),
        room: size_of(&answers),
        is_encrypted: false,
        parts: Parts::default(),
        answers,
    }
}

/// An image as a server would know it.
pub(crate) fn image(id: &str, alias: &str, spec: Value) -> Image {
    let (name, created_at) = (alias.to_uppercase(), "2026-01-01T00:00:00Z");
    let reference = format!("registry.example/{alias}:1.4.0");
    let image = json!({
        "id": id, "name": name, "alias": alias, "version": "1.4.0", "reference": reference, "spec": spec, "created_at": created_at,
    });
    serde_json::from_value(image).unwrap()
}

/// A raffle that asks a cache, and a board that reads the metrics of engines.
fn beside() -> Vec<Beside> {
    let port = |name: &str, port: u16| json!([{"name": name, "port": port}]);
    let raffle = image(
        "img_1",
        "raffle",
        json!({
            "role": "companion", "ports": port("http", 8080), "env": {"PRIZES": "3"}, "connects_to": ["cache"],
            "health": {"path": "/healthz", "port": "http"},
        }),
    );
    let cache = image("img_2", "cache", json!({"role": "companion", "ports": port("resp", 6379)}));
    let board = image("img_3", "board", json!({"role": "companion", "connects_to": ["engine"]}));
    let of = |name: &str, image: Image| {
        let companion = json!({"name": name, "image": image.id, "replicas": 2});
        Beside { companion: serde_json::from_value(companion).unwrap(), image }
    };
    vec![of("raffle", raffle), of("cache", cache), of("board", board)]
}

/// With all that there can be.
fn with_everything(wanted: Wanted) -> Wanted {
    Wanted { parts: Parts { engine: None, companions: beside() }, is_encrypted: true, ..wanted }
}

/// Compares with what is committed.
fn golden_text(path: &str, text: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let known = fs::read_to_string(&path).unwrap();
    assert!(known == text, "{} is another by now; see UPDATE_GOLDEN", path.display());
    known
}

fn golden(path: &str, documents: &[Value]) {
    let yaml: Vec<_> = documents.iter().map(|document| serde_saphyr::to_string(document).unwrap()).collect();
    let known = golden_text(path, &yaml.join("---\n"));
    let read: Vec<Value> = serde_saphyr::from_multiple(&known).unwrap();
    assert_eq!(read, documents, "what is written reads back");
}

#[test]
fn the_custom_resource_is_what_is_committed() {
    golden("../deploy/helm/onrush/crds/showdeployments.yaml", &[serde_json::to_value(ShowDeployment::crd()).unwrap()]);
}

#[test]
fn the_objects_of_a_show_are_what_is_committed() {
    golden("tests/kubernetes/theatre.yaml", &wanted("tpl_reserved-seating", 3_000, 20_000, 1).objects());
    golden(
        "tests/kubernetes/stadium.yaml",
        &with_everything(wanted("tpl_reserved-seating", 100_000, 1_000_000, 4)).objects(),
    );
}

/// Kubernetes' own type has every field, and drops none.
fn reads_as<T: Serialize + DeserializeOwned>(object: &Value) {
    let read: T = serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{object:#}: {error}"));
    assert_eq!(serde_json::to_value(read).unwrap(), *object, "a field that its kind does not have");
}

#[test]
fn every_object_is_one_of_its_kind() {
    for object in with_everything(wanted("tpl_general-admission", 2_000, 10_000, 2)).objects() {
        match object["kind"].as_str().unwrap() {
            "Namespace" => reads_as::<Namespace>(&object),
            "ResourceQuota" => reads_as::<ResourceQuota>(&object),
            "LimitRange" => reads_as::<LimitRange>(&object),
            "ServiceAccount" => reads_as::<ServiceAccount>(&object),
            "Role" => reads_as::<Role>(&object),
            "RoleBinding" => reads_as::<RoleBinding>(&object),
            "NetworkPolicy" => reads_as::<NetworkPolicy>(&object),
            "Service" => reads_as::<Service>(&object),
            "PodDisruptionBudget" => reads_as::<PodDisruptionBudget>(&object),
            "StatefulSet" => reads_as::<StatefulSet>(&object),
            "Deployment" => reads_as::<k8s_openapi::api::apps::v1::Deployment>(&object),
            kind => panic!("{kind} is checked by nobody"),
        }
    }
}

/// What the restricted Pod Security Standard asks of a pod.
#[test]
fn pods_are_restricted() {
    let objects = with_everything(wanted("tpl_general-admission", 2_000, 10_000, 2)).objects();
    let pods = objects.iter().map(|object| &object["spec"]["template"]["spec"]).filter(|pod| !pod.is_null());
    assert_eq!(pods.map(check_restricted).count(), 5, "two engines and three companions");
}

fn check_restricted(pod: &Value) {
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    for container in pod["containers"].as_array().unwrap() {
        let context = &container["securityContext"];
        assert_eq!(
            (&context["allowPrivilegeEscalation"], &context["readOnlyRootFilesystem"]),
            (&json!(false), &json!(true))
        );
        assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
    }
    let allowed = ["persistentVolumeClaim", "secret", "configMap", "emptyDir", "projected", "downwardAPI"];
    for volume in pod["volumes"].as_array().unwrap() {
        assert!(allowed.iter().any(|kind| volume[kind].is_object()), "{volume}");
    }
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(pod[field].is_null());
    }
}

fn spec(change: Value) -> Result<(), String> {
    let mut spec = json!({"show": "show_4bhp7snadv3r9", "template": "tpl_reserved-seating", "replicas": 2});
    spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    let spec: ShowDeploymentSpec = serde_json::from_value(spec).map_err(|error| error.to_string())?;
    let checked = kube::core::cel::validate_cel(&ShowDeployment::new("dep-1", spec));
    checked.map_err(|errors| {
        errors
            .as_slice()
            .iter()
            .map(|error| format!("{}: {}", error.field_path, error.message))
            .collect::<Vec<_>>()
            .join("; ")
    })
}

/// As a cluster evaluates them, whose rules are in the committed file.
#[test]
fn a_wrong_resource_is_refused_with_a_word_why() {
    assert_eq!(spec(json!({"parameters": {"seats": 10}})), Ok(()));
    for (change, why) in [
        (json!({"show": "show_1"}), "show is the id of a show"),
        (json!({"template": "theatre"}), "template is the id of a template"),
        (json!({"replicas": 0}), "replicas is 1 to 8"),
        (json!({"replicas": 9}), "replicas is 1 to 8"),
        (json!({"parameters": {"seats": 0}}), "every parameter is 1 or more"),
        (json!({"colour": "red"}), "colour"),
    ] {
        let refused = spec(change.clone()).expect_err("it is wrong");
        assert!(refused.contains(why), "{change}: {refused}");
    }
}

#[test]
fn a_deployment_keeps_its_show() {
    let of = |show: &str, replicas| {
        let (show, template) = (show.to_owned(), "tpl_reserved-seating".to_owned());
        ShowDeployment::new("dep-1", ShowDeploymentSpec { show, template, parameters: BTreeMap::new(), replicas })
    };
    let before = of("show_4bhp7snadv3r9", 1);
    kube::core::cel::validate_cel_update(&of("show_4bhp7snadv3r9", 2), &before).expect("it may have more engines");
    let refused = kube::core::cel::validate_cel_update(&of("show_4wnj9k4hrq66x", 1), &before);
    let refused = refused.expect_err("it is another show's");
    assert!(refused.to_string().contains("a deployment keeps its show"), "{refused}");
}
