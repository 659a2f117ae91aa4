//! Who may do what: every route of the API's own description, called by everybody, on things that belong to somebody.
//!
//! `authorisation.txt` has the status of each cell. A line that changes there is a change of who may do what;
//! `UPDATE_GOLDEN=1 cargo test -p onrush --test crash matrix` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use onrush_api::key_file::KeyFile;
use onrush_api::token::{Role, TokenKeys};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::accounts::PASSWORD;
use crate::deployments::Engines;
use crate::hall;
use crate::http::{Call, Connection, Response};
use crate::server::Server;

/// Who calls. The first buyer and the first seller own what is called upon; the first seller has invited a manager, somebody
/// for the door, and a viewer.
const CALLERS: [&str; 14] = [
    "nobody",
    "signed-out",
    "buyer",
    "other-buyer",
    "seller",
    "other-seller",
    "manager",
    "door",
    "viewer",
    "admin",
    "buyers-machine",
    "sellers-machine",
    "admins-machine",
    "guest",
];

/// Sellers, with what the first one lets each of them do.
const MEMBERS: [(&str, &str); 3] = [("manager", "manage"), ("door", "door"), ("viewer", "view")];

/// What ends a caller's account or session comes last.
const LAST: &str = "DELETE /v1/accounts/me";

struct World {
    server: Server,
    data: TempDir,
    connection: Connection,
    keys: TokenKeys,
    show: String,
    performance: String,
    deployment: String,
    /// Its show.
    deployed: String,
    /// Of each caller; the one of nobody is no token.
    tokens: Vec<String>,
    /// A seller's account that helps, and a buyer's that tickets are given to.
    helper: String,
    friend: String,
    /// The accounts of [`MEMBERS`].
    members: Vec<String>,
    /// How many accounts were named, and how many seats.
    accounts: usize,
    seats: usize,
    /// Names that were given to images and templates.
    names: usize,
}

impl World {
    fn open() -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let secret = data.path().join("admin.password");
        std::fs::write(&secret, PASSWORD).expect("a file");
        let file = format!("ONRUSH_ADMIN_PASSWORD_FILE={}", secret.display());
        let server = Server::start_under(data.path(), &["env", "ONRUSH_ADMIN_EMAIL=admin@example.org", &file]);
        let connection = server.connect();
        let keys = KeyFile::open(&KeyFile::path_in(data.path())).expect("the server has made its key");
        let [show, performance, deployment, deployed, helper, friend] = [const { String::new() }; 6];
        let mut world = Self {
            server,
            data,
            connection,
            keys,
            show,
            performance,
            deployment,
            deployed,
            tokens: Vec::new(),
            helper,
            friend,
            members: Vec::new(),
            accounts: 0,
            seats: 0,
            names: 0,
        };
        world.sign_everybody_up();
        world.helper = world.account("helper", "seller");
        world.friend = world.account("friend", "buyer");
        world.put_a_hall_on_sale();
        world
    }

    fn ask(&mut self, token: &str, method: &'static str, path: &str, body: &Value) -> Response {
        self.connection.ask(&Call::of(method, path, body), token)
    }

    /// What a call that must be fine answers, or a member of it.
    fn make(&mut self, token: &str, method: &'static str, path: &str, body: &Value, member: &str) -> String {
        let answer = self.ask(token, method, path, body);
        assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text());
        answer.json::<Value>()[member].as_str().unwrap_or_else(|| panic!("no {member}: {}", answer.text())).to_owned()
    }

    fn sign_everybody_up(&mut self) {
        for caller in CALLERS {
            let token = match caller {
                "nobody" => String::new(),
                "guest" => self.make("", "POST", "/v1/sessions", &json!({"guest": true}), "access_token"),
                "buyers-machine" | "sellers-machine" | "admins-machine" => self.machine(caller),
                _ => self.person(caller),
            };
            self.tokens.push(token);
        }
        let gone = self.token("signed-out");
        assert_eq!(self.ask(&gone, "DELETE", "/v1/sessions/current", &Value::Null).status, 204);
    }

    fn person(&mut self, caller: &str) -> String {
        let is_member = MEMBERS.iter().any(|(member, _)| *member == caller);
        let role = if caller.ends_with("seller") || is_member { "seller" } else { "buyer" };
        if caller != "admin" {
            let account = self.account(caller, role);
            self.members.extend(is_member.then_some(account));
        }
        self.sign_in(caller, "access_token")
    }

    fn account(&mut self, name: &str, role: &str) -> String {
        let email = format!("{name}@example.org");
        let draft = json!({"email": email, "password": PASSWORD, "name": name, "role": role});
        self.make("", "POST", "/v1/accounts", &draft, "id")
    }

    fn machine(&mut self, caller: &str) -> String {
        // The admin's is good for selling only.
        let (owner, scope) = match caller {
            "buyers-machine" => ("buyer", "book"),
            "sellers-machine" => ("seller", "sell"),
            _ => ("admin", "sell"),
        };
        let key = self.make_key(owner, scope, "key");
        self.make("", "POST", "/v1/sessions", &json!({"api_key": key}), "access_token")
    }

    fn sign_in(&mut self, caller: &str, member: &str) -> String {
        let body = json!({"email": format!("{caller}@example.org"), "password": PASSWORD});
        self.make("", "POST", "/v1/sessions", &body, member)
    }

    fn make_key(&mut self, owner: &str, scope: &str, member: &str) -> String {
        let draft = json!({"name": "till", "scopes": [scope]});
        let token = self.token(owner);
        let answer = self.ask(&token, "POST", "/v1/accounts/me/api-keys", &draft);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json::<Value>()[member].as_str().expect("a text").to_owned()
    }

    fn token(&self, caller: &str) -> String {
        let place = CALLERS.iter().position(|known| *known == caller).expect("one of the callers");
        self.tokens[place].clone()
    }

    fn put_a_hall_on_sale(&mut self) {
        let seller = self.token("seller");
        self.show = self.make(&seller, "POST", "/v1/shows", &json!({"title": "Cats", "field": "musical"}), "id");
        for ((_, role), account) in MEMBERS.into_iter().zip(self.members.clone()) {
            let (path, member) =
                (format!("/v1/shows/{}/members", self.show), json!({"account": account, "role": role}));
            assert_eq!(self.ask(&seller, "POST", &path, &member).status, 201);
        }
        let rows: Vec<Value> = (1..=40).map(|row| json!({"name": row.to_string(), "seats": 50})).collect();
        let section = |name: &str, rows: Value| json!({"name": name, "kind": "reserved", "tier": "All", "rows": rows});
        let house = section("House", json!([{"name": "1", "seats": 200}]));
        let draft = json!({
            "starts_at": "2099-01-01T20:00:00Z",
            "seat_map": {"sections": [section("Hall", rows.into()), house]},
            "tiers": [{"name": "All", "price": {"amount": 0, "currency": "KRW"}}],
            "sale": {"hold_ttl_seconds": 3600, "max_seats_per_buyer": 10_000, "max_holds_per_buyer": 10_000},
        });
        self.performance = self.make(&seller, "POST", &format!("/v1/shows/{}/performances", self.show), &draft, "id");
    }

    fn hold(&mut self) -> String {
        self.hold_of("buyer")
    }

    fn hold_of(&mut self, caller: &str) -> String {
        let (buyer, path) = (self.token(caller), format!("/v1/performances/{}/holds", self.performance));
        self.make(&buyer, "POST", &path, &json!({"best_available": {"quantity": 1, "section": "Hall"}}), "id")
    }

    fn booking(&mut self) -> String {
        let (hold, buyer) = (self.hold(), self.token("buyer"));
        self.make(&buyer, "POST", "/v1/bookings", &json!({"hold": hold}), "id")
    }

    /// A seat that nobody else in this test asks for: the best that are on offer are in the hall.
    fn seat(&mut self) -> String {
        self.seats += 1;
        format!("House-1-{}", self.seats)
    }

    fn block(&mut self) -> String {
        let (seat, seller) = (self.seat(), self.token("seller"));
        let path = format!("/v1/performances/{}/blocks", self.performance);
        self.make(&seller, "POST", &path, &json!({"seats": [seat]}), "id")
    }

    /// A small performance of its own; its bookings wait for the seller.
    fn other_performance(&mut self) -> String {
        let draft = json!({
            "starts_at": "2099-01-01T20:00:00Z",
            "seat_map": {"sections": [{"name": "A", "kind": "general_admission", "tier": "All", "capacity": 9}]},
            "tiers": [{"name": "All", "price": {"amount": 0, "currency": "KRW"}}],
            "sale": {"approval": "manual"},
        });
        let (seller, path) = (self.token("seller"), format!("/v1/shows/{}/performances", self.show));
        self.make(&seller, "POST", &path, &draft, "id")
    }

    /// A show without performances, which the first seller may deploy.
    fn new_show(&mut self) -> String {
        let seller = self.token("seller");
        self.make(&seller, "POST", "/v1/shows", &json!({"title": "Mice", "field": "musical"}), "id")
    }

    /// The first seller's, a new one where the last one is gone: a seller has so many and no more.
    fn deployment(&mut self) -> String {
        let seller = self.token("seller");
        let path = format!("/v1/deployments/{}", self.deployment);
        if !self.deployment.is_empty() && self.ask(&seller, "GET", &path, &Value::Null).status == 200 {
            return self.deployment.clone();
        }
        let show = self.new_show();
        let draft = json!({"template": "tpl_reserved-seating", "show": show});
        self.deployment = self.make(&seller, "POST", "/v1/deployments", &draft, "id");
        // Before its engine is heard nobody knows what it has.
        while self.ask(&seller, "GET", &format!("/v1/shows/{show}"), &Value::Null).status != 200 {
            std::thread::yield_now();
        }
        self.deployed = show;
        self.deployment.clone()
    }

    /// The ticket of a new booking.
    fn ticket(&mut self) -> Value {
        let (booking, buyer) = (self.booking(), self.token("buyer"));
        let listed = self.ask(&buyer, "GET", "/v1/tickets?limit=200", &Value::Null).json::<Value>();
        let tickets = listed["items"].as_array().expect("a list");
        tickets.iter().rfind(|ticket| ticket["booking"] == booking).expect("its ticket").clone()
    }

    /// A booking that waits for the seller.
    fn waiting_booking(&mut self) -> String {
        let (performance, buyer) = (self.other_performance(), self.token("buyer"));
        let wish = json!({"general_admission": {"section": "A", "quantity": 1}});
        let hold = self.make(&buyer, "POST", &format!("/v1/performances/{performance}/holds"), &wish, "id");
        self.make(&buyer, "POST", "/v1/bookings", &json!({"hold": hold}), "id")
    }

    /// The path of a call, upon fresh things of the first buyer and the first seller.
    fn path(&mut self, template: &str) -> String {
        let mut path = template.replace("{show}", &self.show);
        if path == "/v1/performances/{performance}/cancel" {
            path = path.replace("{performance}", &self.other_performance());
        }
        if path.ends_with("/approve") || path.ends_with("/reject") {
            path = path.replace("{booking}", &self.waiting_booking());
        }
        path = path.replace("{performance}", &self.performance);
        if path.contains("{hold}") {
            path = path.replace("{hold}", &self.hold());
        }
        if path.contains("{booking}") {
            path = path.replace("{booking}", &self.booking());
        }
        if path.contains("{ticket}") {
            path = path.replace("{ticket}", self.ticket()["id"].as_str().expect("an id"));
        }
        path = path.replace("{account}", &self.helper);
        if path.contains("{block}") {
            path = path.replace("{block}", &self.block());
        }
        if path.contains("{image}") {
            let (admin, draft) = (self.token("admin"), self.image());
            path = path.replace("{image}", &self.make(&admin, "POST", "/v1/images", &draft, "id"));
        }
        if path == "/v1/templates/{template}" {
            let (seller, draft) = (self.token("seller"), self.template());
            path = path.replace("{template}", &self.make(&seller, "POST", "/v1/templates", &draft, "id"));
        }
        path = path.replace("{template}", "tpl_reserved-seating");
        if path.contains("{deployment}") {
            path = path.replace("{deployment}", &self.deployment());
        }
        if path.contains("{incident}") {
            let (seller, draft) =
                (self.token("seller"), json!({"title": "Rain", "severity": "info", "show": self.show}));
            path = path.replace("{incident}", &self.make(&seller, "POST", "/v1/incidents", &draft, "id"));
        }
        if path.contains("{key}") {
            path = path.replace("{key}", &self.make_key("buyer", "book", "id"));
        }
        path
    }

    /// What no other image has.
    fn image(&mut self) -> Value {
        self.names += 1;
        let name = format!("raffle-{}", self.names);
        let spec = json!({"role": "companion"});
        json!({"name": name, "alias": name, "version": "1", "reference": format!("registry.example/{name}"), "spec": spec})
    }

    fn template(&mut self) -> Value {
        self.names += 1;
        json!({"title": format!("Hall {}", self.names), "about": "A hall."})
    }

    fn body(&mut self, route: &str, caller: &str) -> Value {
        match route {
            "POST /v1/accounts" => {
                self.accounts += 1;
                let email = format!("new-{}@example.org", self.accounts);
                json!({"email": email, "password": PASSWORD, "name": "New", "role": "buyer"})
            }
            "PATCH /v1/accounts/me" => json!({"name": caller}),
            "DELETE /v1/accounts/me" => json!({"password": PASSWORD}),
            "POST /v1/accounts/me/api-keys" => {
                let scope = match caller {
                    "admin" => "ops",
                    seller if seller.contains("seller") || MEMBERS.iter().any(|(member, _)| *member == seller) => {
                        "sell"
                    }
                    _ => "book",
                };
                json!({"name": "till", "scopes": [scope]})
            }
            "POST /v1/sessions" => json!({"email": "buyer@example.org", "password": PASSWORD}),
            "POST /v1/sessions/refresh" => json!({"refresh_token": self.sign_in("buyer", "refresh_token")}),
            "POST /v1/shows" => json!({"title": "Dogs", "field": "musical"}),
            "POST /v1/images" => self.image(),
            "POST /v1/templates" | "PUT /v1/templates/{template}" => self.template(),
            "POST /v1/deployments" => json!({"template": "tpl_reserved-seating", "show": self.new_show()}),
            "PUT /v1/deployments/{deployment}" => {
                json!({"template": "tpl_reserved-seating", "show": self.deployed})
            }
            "PUT /v1/deployments/{deployment}/policies" => json!({"rules": []}),
            "POST /v1/templates/{template}/render" => json!({"show": self.show}),
            "POST /v1/incidents" => json!({"title": "Rain", "severity": "info", "show": self.show}),
            "PATCH /v1/incidents/{incident}" => json!({"comment": "Umbrellas."}),
            "POST /v1/deployments/{deployment}/scale" => json!({"component": "engine", "replicas": 1}),
            "POST /v1/deployments/{deployment}/relocate" => json!({"component": "engine", "node": "local"}),
            "PATCH /v1/shows/{show}" => json!({"description": "With cats."}),
            "POST /v1/shows/{show}/performances" => {
                json!({"starts_at": "2099-01-02T20:00:00Z", "venue_preset": "study-rooms"})
            }
            "PATCH /v1/performances/{performance}" => json!({"sale": {"max_holds_per_buyer": 10_000}}),
            "POST /v1/performances/{performance}/holds" => json!({"best_available": {"quantity": 1}}),
            "POST /v1/performances/{performance}/wishes" => json!({"quantity": 2}),
            "POST /v1/performances/{performance}/blocks" => json!({"seats": [self.seat()]}),
            "POST /v1/shows/{show}/members" => json!({"account": self.helper, "role": "door"}),
            "POST /v1/check-ins" => json!({"code": self.ticket()["code"]}),
            "POST /v1/tickets/{ticket}/transfer" => json!({"to": self.friend}),
            "POST /v1/bookings" if caller == "guest" => {
                let guest = json!({"name": "Guest", "phone": "010-1234-5678", "password": PASSWORD});
                json!({"hold": self.hold_of("guest"), "guest": guest})
            }
            "POST /v1/bookings" => json!({"hold": self.hold()}),
            "POST /v1/bookings/{booking}/guest" => json!({"password": PASSWORD}),
            "POST /v1/bookings/{booking}/reject" => json!({"reason": "Press only"}),
            _ => Value::Null,
        }
    }

    fn status(&mut self, method: &'static str, template: &str, caller: &str) -> u16 {
        let (path, body) = (self.path(template), self.body(&format!("{method} {template}"), caller));
        let machine = caller.ends_with("machine");
        let ends_its_session = template.ends_with("/sessions/current") && !machine;
        let token = match caller {
            "nobody" | "signed-out" => self.token(caller),
            "guest" if ends_its_session => {
                self.make("", "POST", "/v1/sessions", &json!({"guest": true}), "access_token")
            }
            _ if ends_its_session => self.sign_in(caller, "access_token"),
            _ => self.token(caller),
        };
        // A stream has no end: its head says who may listen.
        let method = if path.ends_with("/stream") { "HEAD" } else { method };
        self.ask(&token, method, &path, &body).status
    }
}

/// Every route of the API's description, and whether it asks for a token.
fn routes(world: &mut World) -> Vec<(&'static str, String, bool)> {
    let description: Value = world.ask("", "GET", "/openapi.json", &Value::Null).json();
    let paths = description["paths"].as_object().expect("paths").clone();
    let mut routes = Vec::new();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().expect("methods") {
            let known =
                ["GET", "POST", "PATCH", "PUT", "DELETE"].into_iter().find(|known| known.eq_ignore_ascii_case(method));
            // With nothing as one of the choices it may be left out.
            let choices = operation["security"].as_array();
            let needs_token = choices.is_some_and(|choices| choices.iter().all(|choice| *choice != json!({})));
            routes.push((known.expect("a method"), path.clone(), needs_token));
        }
    }
    routes.sort_by_key(|(method, path, _)| (format!("{method} {path}") == LAST, path.clone(), *method));
    routes
}

#[test]
fn everybody_may_do_what_they_may_and_nothing_else() {
    let mut world = World::open();
    let place = world.data.path().to_owned();
    let _engines = Engines(&place);
    let mut table = format!("{:52}{}\n", "", CALLERS.map(|caller| format!("{caller:>16}")).concat());
    for (method, path, needs_token) in routes(&mut world) {
        write!(table, "{:52}", format!("{method} {path}")).expect("memory takes text");
        for caller in CALLERS {
            let status = world.status(method, &path, caller);
            let unknown = needs_token && ["nobody", "signed-out"].contains(&caller);
            assert!(!unknown || status == 401, "{caller}: {method} {path}: {status}");
            assert!(status < 500, "{caller}: {method} {path}: {status}");
            write!(table, "{status:>16}").expect("memory takes text");
        }
        table.push('\n');
    }
    compare(&table);
    // Nothing above was answered by a token of the keys alone.
    let stranger = world.keys.mint(
        "acc_stranger".parse().expect("an account"),
        Role::Buyer,
        hall::now(),
        std::time::Duration::from_secs(60),
    );
    assert_eq!(world.ask(&stranger, "GET", "/v1/accounts/me", &Value::Null).status, 404);
    assert!(world.data.path().join("accounts").is_dir());
    // In good order, so that the engines that it has started end, too.
    world.server.terminate();
    world.server.wait();
}

fn compare(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/authorisation.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&path, table).expect("the file can be written");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let differing: Vec<_> = table.lines().filter(|line| !known.lines().any(|other| other == *line)).collect();
    assert!(table == known, "this is not what authorisation.txt says:\n{}", differing.join("\n"));
}
