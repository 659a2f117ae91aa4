//! What engines that are pods use and cost, as a real Prometheus says it, which scrapes what kubelets would say.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use onrush_control_plane::deployments::Span;
use onrush_control_plane::kubernetes::readings::Prometheus;
use serde_json::json;

use crate::driver::{World, namespace_of, seller};

/// What takes longer never comes.
const PATIENCE: Duration = Duration::from_mins(1);

/// A kubelet's metrics of one engine, which takes half a core.
fn kubelet(namespace: &str, begun: Instant) -> String {
    let cpu = begun.elapsed().as_secs_f64() / 2.0;
    let of = |what: &str, value: &str| format!(r#"{what} {value}"#) + "\n";
    let pod = format!(r#"{{namespace="{namespace}",pod="engine-0-0",container="engine"}}"#);
    let pause = format!(r#"{{namespace="{namespace}",pod="engine-0-0",container=""}}"#);
    let claim = format!(r#"{{namespace="{namespace}",persistentvolumeclaim="data-engine-0-0"}}"#);
    of(&format!("container_cpu_usage_seconds_total{pod}"), &cpu.to_string())
        + &of(&format!("container_memory_working_set_bytes{pause}"), "1000")
        + &of(&format!("container_memory_working_set_bytes{pod}"), "104857600")
        + &of(&format!("kubelet_volume_stats_used_bytes{claim}"), "52428800")
}

/// Answers every request with what there is to say of a namespace; its port.
fn serve(namespace: &Arc<Mutex<String>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, namespace, begun) = (listener.local_addr().unwrap().port(), Arc::clone(namespace), Instant::now());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // A scrape is one short request.
            let Ok(1..) = stream.read(&mut [0; 4_096]) else { continue };
            let body = kubelet(&namespace.lock().unwrap(), begun);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n";
            write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).ok();
        }
    });
    port
}

/// Ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(directory: &std::path::Path, kubelet: u16, port: u16) -> Option<Server> {
    let config = json!({
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "kubelet", "static_configs": [{"targets": [format!("127.0.0.1:{kubelet}")]}]}],
    });
    let file = directory.join("prometheus.yml");
    std::fs::write(&file, config.to_string()).unwrap();
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", file.display())).arg(format!("--web.listen-address=127.0.0.1:{port}"));
    command.arg(format!("--storage.tsdb.path={}", directory.join("data").display()));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok().map(Server)
}

#[test]
fn what_pods_use_is_what_a_prometheus_says() {
    let directory = tempfile::tempdir().unwrap();
    let (namespace, port) = (Arc::default(), free_port());
    let Some(_prometheus) = start(directory.path(), serve(&namespace), port) else {
        let why = "skipped: no prometheus (Debian's package of that name)";
        assert!(std::env::var_os("ONRUSH_NO_SKIPS").is_none(), "{why}");
        return writeln!(std::io::stderr().lock(), "what_pods_use_is_what_a_prometheus_says: {why}").unwrap();
    };
    // In real time: it passes at the other server, too.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let measured = runtime.block_on(async {
        let world = World::measured_by(Prometheus::new(&format!("http://127.0.0.1:{port}")).unwrap());
        let deployment = world.deploy().await;
        *namespace.lock().unwrap() = namespace_of(&deployment);
        let plane = world.shared_plane();
        let watching = tokio::spawn(async move { plane.deployments.as_ref().unwrap().keep_watch().await });
        let span = Span { step: Some("5".to_owned()), ..Span::default() };
        let begun = Instant::now();
        let points = loop {
            let usage = world.deployments().usage(&seller(), &deployment.id, &span).await.unwrap();
            let is_there = usage.points.iter().filter(|point| point.cpu_cores > 0.0).count() > 1;
            if is_there && world.deployments().costs(&seller(), &deployment.id).unwrap().total.amount > 0 {
                break usage.points;
            }
            assert!(begun.elapsed() < PATIENCE, "{usage:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        watching.abort();
        *points.last().unwrap()
    });
    // Of two minutes' rate that has only begun, it is less than the half core at first.
    assert!((0.0..0.6).contains(&measured.cpu_cores), "{measured:?}");
    assert_eq!((measured.memory_bytes, measured.disk_bytes), (104_857_600, 52_428_800));
}
