//! Requests that are not refused though no honest client sends them: they do no harm.

use crate::fixture::Server;

#[test]
fn a_header_of_the_request_puts_none_into_the_answer() {
    let server = Server::start();
    for id in ["a\r\nSet-Cookie: b", "a\nSet-Cookie: b", "a%0d%0aSet-Cookie: b"] {
        let answer = server.get("/healthz").header("X-Request-Id", id).send();
        assert_eq!(answer.header("set-cookie"), None);
    }
    let path = "/v1/holds/x%0d%0aSet-Cookie:b";
    let answer = server.get(path).token(&server.buyer("acc_kim")).refused(404, "not-found").answer;
    assert_eq!(answer.header("set-cookie"), None);
}
