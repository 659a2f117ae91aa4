//! Members of a show: each may do what the seller said, and nothing else.

use serde_json::json;

use crate::fixture::{Hall, id};

#[test]
fn a_member_may_do_what_the_seller_said_and_nothing_else() {
    let hall = Hall::open();
    let (seller, member, kim) = (hall.seller(), hall.other_seller(), hall.buyer("acc_kim"));
    let account = "acc_other-seller";
    let members = format!("/v1/shows/{}/members", hall.show);
    let booking = id(&hall.booked(&kim, &["A-1-1"]));
    let ticket = id(&hall.get("/v1/tickets").token(&kim).expect(200).json()["items"][0]);
    let invite = |role: &str| {
        let body = json!({"account": account, "role": role});
        assert_eq!(hall.post(&members).token(&seller).json(&body).expect(201).json(), body);
    };
    let may_view = || hall.get(&hall.path("/sales")).token(&member).send().status == 200;
    let may_enter = || {
        let path = format!("/v1/tickets/{ticket}/check-in");
        hall.post(&path).token(&member).json(&json!({"code": "onr1."})).send().status == 422
            && hall.post(&path).token(&member).json(&json!({})).send().status != 404
    };
    let may_manage = || {
        let patch = json!({"sale": {"max_holds_per_buyer": 7}});
        hall.patch(&hall.path("")).token(&member).json(&patch).send().status == 200
    };
    let one = [
        format!("/v1/bookings/{booking}"),
        format!("/v1/bookings/{booking}/document"),
        format!("/v1/tickets/{ticket}"),
    ];
    let listed_as = || {
        let listed = hall.get("/v1/accounts/me/shows").token(&member).expect(200).json()["items"].clone();
        let own = listed.as_array().expect("a list").iter().find(|show| show["id"] == hall.show.as_str());
        own.map(|show| show["your_role"].as_str().expect("a member has a role").to_owned())
    };
    let sees_it_listed = || listed_as().is_some();
    let may_read = || one.each_ref().map(|path| hall.get(path).token(&member).send().status == 200);
    assert_eq!((may_view(), may_manage(), may_read(), sees_it_listed()), (false, false, [false; 3], false));
    invite("view");
    assert_eq!((may_view(), may_manage(), may_read(), sees_it_listed()), (true, false, [true; 3], true));
    invite("door");
    assert_eq!((may_view(), may_enter(), may_manage(), may_read()), (false, true, false, [false; 3]));
    invite("manage");
    assert_eq!((may_view(), may_manage(), listed_as().as_deref()), (true, true, Some("manage")));
    let listed = hall.get(&members).token(&seller).expect(200).json();
    assert_eq!(listed["items"], json!([{"account": account, "role": "manage"}]));
    let cancel = format!("/v1/bookings/{booking}/cancel");
    let by_manager = || hall.post(&cancel).token(&member).json(&json!({})).key("k");
    by_manager().expect(200);
    assert_eq!(by_manager().expect(200).header("idempotency-replayed"), Some("true"));
    hall.unchanged(|| {
        hall.get(&members).token(&member).refused(404, "not-found");
        let friend = json!({"account": "acc_friend", "role": "manage"});
        hall.post(&members).token(&member).json(&friend).refused(404, "not-found");
        hall.post(&members).token(&kim).json(&friend).refused(403, "forbidden");
        let body = json!({"account": "acc_friend", "role": "owner"});
        hall.post(&members).token(&seller).json(&body).refused(422, "invalid-body");
        hall.delete(&format!("{members}/{account}")).token(&member).refused(404, "not-found");
        hall.delete(&format!("{members}/acc_nobody")).token(&member).refused(404, "not-found");
    });
    hall.delete(&format!("{members}/{account}")).token(&seller).expect(204);
    hall.delete(&format!("{members}/{account}")).token(&seller).expect(204);
    assert_eq!((may_view(), may_manage(), sees_it_listed()), (false, false, false));
    hall.unchanged(|| by_manager().refused(404, "not-found"));
    let own = hall.get("/v1/accounts/me/shows").token(&seller).expect(200).json();
    assert_eq!((&own["items"][0]["id"], own["items"][0].get("your_role")), (&json!(hall.show), None));
    hall.get("/v1/accounts/me/shows").refused(401, "unauthenticated");
    hall.get("/v1/accounts/me/shows").token(&kim).refused(403, "forbidden");
}
