//! What no honest client sends: refused or cut off, never served, and the server goes on.

use crate::fixture::Server;

#[test]
fn what_is_no_request_is_not_served() {
    let server = Server::start();
    let long = "x".repeat(70_000);
    let lines: Vec<Vec<u8>> = [
        "\r\n\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "GET /healthz\r\n\r\n",
        "/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "G\0T /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GÄT /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "G@T /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "G(T /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        " GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "get /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "HEAD\t/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET  HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /healthz HTTP/0.9\r\nHost: x\r\n\r\n",
        "GET /healthz HTTP/1.2\r\nHost: x\r\n\r\n",
        "GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n",
        "GET /healthz HTTP/3\r\nHost: x\r\n\r\n",
        "GET /healthz http/1.1\r\nHost: x\r\n\r\n",
        "GET /healthz HTTP/1.1 \r\nHost: x\r\n\r\n",
        "GET /healthz HTTP/1.1x\r\nHost: x\r\n\r\n",
        "GET /health z HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET \0/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /healthz\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /healthz\x7f HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT onrush.test:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\n Host: x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX Y: z\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX\0: y\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX: y\0z\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX: y\x0bz\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX: y\x7fz\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX: y\rSet-Cookie: z\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX: y\r\n folded\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX: y\r\n\tfolded\r\n\r\n",
        "GET /healthz HTTP/1.1\rHost: x\r\r",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1 1\r\n\r\nxx",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nx",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx",
        "GET /healthz HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame at all, but long enough for one",
        "PRI * HTTP/1.1\r\nHost: x\r\n\r\n",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "EHLO onrush.test\r\n",
    ]
    .into_iter()
    .map(|line| line.as_bytes().to_vec())
    .chain([
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        vec![0; 1000],
        vec![0xff; 20_000],
        format!("{long} /healthz HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes(),
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes(),
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{long}: x\r\n\r\n").into_bytes(),
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n").into_bytes(),
        long.clone().into_bytes(),
    ])
    .collect();
    assert!(lines.len() >= 40);
    for line in &lines {
        let shown = String::from_utf8_lossy(&line[..line.len().min(100)]).into_owned();
        let mut connection = server.connect();
        connection.send(line);
        connection.finish();
        let answers = connection.all_or_garbage();
        let refused = answers.len() <= 1 && answers.iter().all(|answer| (400..500).contains(&answer.status));
        assert!(refused, "{shown:?} was answered with {answers:?}");
        server.get("/healthz").expect(200);
    }
}

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
