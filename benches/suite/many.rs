//! Many runs in one process, beside a program that makes the same calls and shares its syncs.

use std::io::Write as _;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::oneshot;

use super::server::{Server, TOKEN};
use super::{Row, at_home, interleaved, measure, ms, own, ratio, row};

/// How many runs at once, here and there.
const AT_ONCE: usize = 64;

/// The syncs a run waits for: its intent, its outcome (nothing could find it again), its end.
const SYNCS: usize = 3;

/// A run that makes one thing, keeps what came back and looks at it.
const BOOK: &str = r#"
format = 1
name = "one"
[inputs]
url.about = "The server"
slug.about = "What is made"
token = { about = "The token", secret = true, from = [{ env = "AUTHENTIK_TOKEN" }] }
[connections.api]
base = "{{ url }}/api/v3/"
headers = { authorization = "Bearer {{ token }}" }
[[steps]]
id = "make"
http = { on = "api", method = "POST", url = "core/applications/", json = { name = "{{ slug }}", slug = "{{ slug }}" } }
save.made = ".slug"
gates = [{ that = "made == slug" }]
"#;

/// So many runs a second, and what each costs.
pub(crate) fn runs(short: bool, rows: &mut Vec<Row>) {
    let server = Server::start(Duration::ZERO);
    let home = tempfile::tempdir().unwrap();
    let count: u32 = if short { 300 } else { 1_000 };
    std::fs::write(home.path().join("one.toml"), BOOK).unwrap();
    let lines: Vec<String> = (0..count).map(|n| format!("{{\"slug\": \"app-{n}\"}}\n")).collect();
    std::fs::write(home.path().join("lines.jsonl"), lines.concat()).unwrap();
    let (url, at_once) = (format!("url={}", server.url()), AT_ONCE.to_string());
    let words =
        ["run", "one.toml", "--each", "lines.jsonl", "--at-once", &at_once, "--input", &url];
    let mut many = || {
        server.reset();
        measure(&mut at_home(home.path(), &words))
    };
    let mut least = || {
        server.reset();
        let mut command = std::process::Command::new(own());
        let synced = home.path().join("synced").display().to_string();
        command.args(["baseline:many", &server.url(), &synced, &count.to_string()]);
        measure(&mut command)
    };
    let found = interleaved(if short { 3 } else { 7 }, &mut [&mut many, &mut least]);
    let rate = |wall: Duration| f64::from(count) / wall.as_secs_f64();
    let (own, least) = (found[0], found[1]);
    let what = format!("{count} runs in one process, {AT_ONCE} at once, against the least");
    let times = ratio(own.wall, least.wall);
    let measured = format!("{} = {times:.2}× {}", ms(own.wall), ms(least.wall));
    row(rows, &what, measured, "", None);
    let measured = format!("{:.0} (the least: {:.0})", rate(own.wall), rate(least.wall));
    let off = (!short).then(|| 2_500.0 / rate(own.wall));
    row(rows, "… runs a second, all durable", measured, "≥ 2,500", off);
    let each = own.cpu / count;
    let measured = format!("{} (the least: {})", ms(each), ms(least.cpu / count));
    let off = (!short).then(|| ratio(each, Duration::from_micros(400)));
    row(rows, "… processor time a run", measured, "≤ 0.4 ms", off);
}

/// The least: the same calls, as many at once, as many waits for a sync that all share.
pub(crate) fn least(arguments: &[String]) {
    let [url, file, count] = arguments else { return };
    let (count, disk) = (count.parse::<usize>().unwrap(), Disk::start(file));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let one = |number: usize| {
        let body = format!("{{\"name\":\"app-{number}\",\"slug\":\"app-{number}\"}}");
        let request = client.post(format!("{url}/api/v3/core/applications/")).bearer_auth(TOKEN);
        let request = request.header("content-type", "application/json").body(body);
        let disk = &disk;
        async move {
            disk.synced().await;
            let body = request.send().await.unwrap().bytes().await.unwrap();
            let _: serde_json::Value = serde_json::from_slice(&body).unwrap();
            for _ in 1..SYNCS {
                disk.synced().await;
            }
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        stream::iter(0..count)
            .map(one)
            .buffer_unordered(AT_ONCE)
            .for_each(std::future::ready)
            .await;
    });
}

/// A thread that syncs a file for all that wait.
struct Disk(Sender<oneshot::Sender<()>>);

impl Disk {
    fn start(file: &str) -> Self {
        let (give, take) = channel();
        let file = std::fs::File::create(file).unwrap();
        std::thread::spawn(move || serve(file, &take));
        Self(give)
    }

    async fn synced(&self) {
        let (told, known) = oneshot::channel();
        self.0.send(told).unwrap();
        known.await.unwrap();
    }
}

fn serve(mut file: std::fs::File, waiting: &Receiver<oneshot::Sender<()>>) {
    while let Ok(first) = waiting.recv() {
        let all: Vec<_> = std::iter::once(first).chain(waiting.try_iter()).collect();
        file.write_all(&vec![b'x'; 512 * all.len()]).unwrap();
        file.sync_data().unwrap();
        for told in all {
            told.send(()).unwrap();
        }
    }
}
