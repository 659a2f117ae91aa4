//! Requests that are not refused though no honest client sends them: they do no harm.

use crate::fixture::Server;

/// RFC 9112, section 2.2: a recipient may take a lone line feed for the end of a line. Ours does; what matters is that
/// it then sees one request only.
#[test]
fn lone_line_feeds_make_no_second_request() {
    let server = Server::start();
    let mut connection = server.connect();
    connection.send("GET /healthz HTTP/1.1\nHost: x\nConnection: close\n\nGET /healthz HTTP/1.1\nHost: x\n\n");
    connection.finish();
    assert!(connection.all().len() <= 1);
}

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
