//! Another program takes over from the one that runs, while the show is bought.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::{Buyers, Engines, Seller, performances_of, text};
use crate::http::Call;

/// Puts a program where engines' programs are: this one, by another name.
fn put_program(data: &Path, name: &str) {
    let (programs, server) = (data.join("programs"), env!("CARGO_BIN_EXE_onrush"));
    std::fs::create_dir_all(&programs).expect("a directory for programs");
    let program = programs.join(name);
    std::fs::write(&program, format!("#!/bin/sh\nexec {server} \"$@\"\n")).expect("a program");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it can be run");
}

impl Seller {
    fn by_admin(&self, method: &'static str, path: &str, body: &Value, status: u16) -> Value {
        let answer = self.connect().ask(&Call::of(method, path, body), &self.tokens.admin());
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        if answer.text().is_empty() { Value::Null } else { answer.json() }
    }

    /// An image of a program, and a template that runs it; their ids.
    fn release(&self, name: &str, env: &Value) -> (String, String) {
        let spec = json!({"role": "engine", "env": env});
        let image = json!({
            "name": name, "alias": name, "version": "2", "reference": format!("program:{name}"), "spec": spec,
        });
        let image = text(&self.by_admin("POST", "/v1/images", &image, 201)["id"]);
        let crowd = json!({"name": "crowd", "about": "How many come", "default": 1_000, "min": 1, "max": 9_000});
        let template = json!({"title": name, "about": "The next release.", "engine": image, "parameters": [crowd]});
        let template = text(&self.by_admin("POST", "/v1/templates", &template, 201)["id"]);
        (image, template)
    }
}

/// The variables of a deployment's engine with a number.
fn variables(data: &Path, deployment: &str, engine: u32) -> String {
    let place = data.join("engines").join(format!("{deployment}.{engine}"));
    let pid = std::fs::read_to_string(place.join("pid")).expect("it runs");
    let variables = std::fs::read(format!("/proc/{}/environ", pid.trim())).expect("it has not ended");
    String::from_utf8_lossy(&variables).replace('\0', "\n")
}

#[test]
fn another_program_takes_over_while_a_show_is_bought() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let _engines = Engines(&data);
    put_program(&data, "onrush-next");
    let seller = Seller::at(&data, &[]);
    let show = seller.show("One");
    let performances: Vec<_> = (0..2).map(|_| seller.performance(&show)).collect();
    let deployment = seller.deploy(&show);
    let (image, template) = seller.release("onrush-next", &json!({"ONRUSH_LEASE_MS": "9000"}));
    let draft = json!({"template": template, "show": show});
    let path = format!("/v1/deployments/{deployment}");

    let buyers = Buyers::of(&seller, &performances);
    let changed = seller.ask("PUT", &path, &draft);
    assert_eq!(changed.status, 202, "{}", changed.text());
    let now = seller.wait_until_done(&deployment);
    assert_eq!((performances_of(&now), &now["template"]), (vec![2], &json!(template)));
    for (performance, bought) in performances.iter().zip(buyers.leave()) {
        assert_eq!(seller.every_booking(performance), bought, "what was sold before and after is all there");
    }
    let told = variables(&data, &deployment, 1);
    assert!(told.lines().any(|line| line == "ONRUSH_LEASE_MS=9000"), "{told}");

    let image = format!("/v1/images/{image}");
    let in_use = seller.by_admin("DELETE", &image, &Value::Null, 409);
    assert_eq!(in_use["used_by"], json!([template, deployment]));
    let used = seller.by_admin("DELETE", &format!("{image}?force=true"), &Value::Null, 200);
    assert_eq!(used["deployments"], json!([deployment]));
    let before = seller.read(&path);
    let refused =
        seller.ask("PUT", &path, &json!({"template": template, "show": show, "parameters": {"crowd": 2_000}}));
    assert_eq!(refused.status, 422, "nothing new is made of it: {}", refused.text());
    assert_eq!(seller.read(&path), before, "what runs goes on");
    seller.leave();
}

#[test]
fn what_cannot_run_here_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let _engines = Engines(dir.path());
    let seller = Seller::at(dir.path(), &[]);
    let show = seller.show("One");
    let refused = |template: &str, why: &str| {
        let answer = seller.ask("POST", "/v1/deployments", &json!({"template": template, "show": show}));
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert!(answer.text().contains(why), "{}", answer.text());
    };
    let (_, absent) = seller.release("absent", &json!({}));
    refused(&absent, "programs/absent, which is not there");
    let of_registry = json!({
        "name": "a", "alias": "a", "version": "1", "reference": "registry.example/onrush:2", "spec": {"role": "engine"},
    });
    let of_registry = seller.by_admin("POST", "/v1/images", &of_registry, 201);
    let template = json!({"title": "a", "about": "a", "engine": of_registry["id"]});
    let template = text(&seller.by_admin("POST", "/v1/templates", &template, 201)["id"]);
    refused(&template, "needs a cluster");
    let raffle = json!({
        "name": "b", "alias": "b", "version": "1", "reference": "registry.example/b", "spec": {"role": "companion"},
    });
    let raffle = seller.by_admin("POST", "/v1/images", &raffle, 201);
    let template = json!({"title": "b", "about": "b", "companions": [{"name": "b", "image": raffle["id"]}]});
    let template = text(&seller.by_admin("POST", "/v1/templates", &template, 201)["id"]);
    refused(&template, "has companions");
    assert_eq!(seller.read("/v1/deployments")["items"], json!([]));

    let deployment = seller.deploy(&show);
    let token = seller.ask("POST", &format!("/v1/deployments/{deployment}/token"), &Value::Null);
    assert_eq!(token.status, 404, "{}", token.text());
    assert!(token.text().contains("no namespace"), "{}", token.text());
    let larger = json!({"component": "engine", "memory": "2Gi"});
    let larger = seller.ask("POST", &format!("/v1/deployments/{deployment}/scale"), &larger);
    assert_eq!(larger.status, 422, "{}", larger.text());
    assert!(
        larger.text().contains("/memory") && larger.text().contains("engine_cgroup, or a cluster"),
        "{}",
        larger.text()
    );
    seller.leave();
}
