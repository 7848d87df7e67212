//! Runs the real executable, without plugind.
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use proto::may_panic_request::Mode;
use proto::text_client::TextClient;
use proto::*;
use tokio::net::UnixStream;
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::HealthCheckRequest;

mod proto {
    tonic::include_proto!("text.v1");
}

const EXIT_TIME: Duration = Duration::from_secs(10);
const SIGABRT: i32 = 6;
const SIGSEGV: i32 = 11;

struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("text-rust-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a directory for the test");
        Directory(path)
    }
    fn socket(&self) -> PathBuf {
        self.0.join("text.sock")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One run of the plugin: ended and reaped when dropped.
struct Plugin {
    process: Child,
    /// Its first line of output.
    greeting: String,
}

impl Plugin {
    fn start(command: &mut Command) -> Self {
        // No core file of the crashes that are asked for.
        let mut process = unsafe { command.pre_exec(no_core) }
            .stdout(Stdio::piped())
            .spawn()
            .expect("the plugin starts");
        let mut greeting = String::new();
        BufReader::new(process.stdout.as_mut().expect("piped"))
            .read_line(&mut greeting)
            .expect("a line of output");
        Plugin { process, greeting }
    }
    fn on_unix(directory: &Directory) -> Self {
        let address = format!("unix:{}", directory.socket().display());
        let plugin = Self::start(command().env("PLUGIND_LISTEN", &address));
        assert_eq!(plugin.greeting, format!("listening on {address}\n"));
        plugin
    }
    async fn ended(mut self) -> ExitStatus {
        let deadline = Instant::now() + EXIT_TIME;
        tokio::task::spawn_blocking(move || loop {
            if let Some(status) = self.process.try_wait().expect("our child") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "it still runs after {EXIT_TIME:?}"
            );
            std::thread::yield_now();
        })
        .await
        .expect("no panic")
    }
    fn terminate(&self) {
        const SIGTERM: i32 = 15;
        extern "C" {
            fn kill(pid: i32, signal: i32) -> i32;
        }
        let pid = self.process.id() as i32;
        assert_eq!(unsafe { kill(pid, SIGTERM) }, 0);
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn no_core() -> std::io::Result<()> {
    #[repr(C)]
    struct Limit(u64, u64);
    extern "C" {
        fn setrlimit(resource: i32, limit: *const Limit) -> i32;
    }
    const RLIMIT_CORE: i32 = 4;
    unsafe { setrlimit(RLIMIT_CORE, &Limit(0, 0)) };
    Ok(())
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_text-rust"));
    for name in ["PLUGIND_LISTEN", "LISTEN_FDS", "LISTEN_PID"] {
        command.env_remove(name);
    }
    command
}

fn endpoint(target: String) -> Endpoint {
    let timeout = Duration::from_secs(20);
    Endpoint::from_shared(target)
        .expect("an address")
        .timeout(timeout)
}

async fn connect_unix(directory: &Directory) -> TextClient<Channel> {
    let path = directory.socket();
    let dial = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
    });
    let endpoint = endpoint("http://localhost".into());
    let channel = endpoint.connect_with_connector(dial).await;
    TextClient::new(channel.expect("it listens"))
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX)
}

async fn expect_echo(client: &mut TextClient<Channel>) {
    let request = EchoRequest {
        text: "hello".into(),
    };
    let reply = client.echo(request).await.expect("an answer").into_inner();
    assert_eq!(reply.text, "beep boop I got your string. here it is: hello");
}

async fn may_panic(client: &mut TextClient<Channel>, mode: Mode) -> tonic::Status {
    let request = MayPanicRequest { mode: mode.into() };
    client.may_panic(request).await.expect_err("it fails")
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_every_kind_of_call() {
    let directory = Directory::new();
    let _plugin = Plugin::on_unix(&directory);
    let mut client = connect_unix(&directory).await;
    expect_echo(&mut client).await;

    let greeting = client.greet(GreetRequest { name: "Ada".into() }).await;
    assert_eq!(
        greeting.expect("an answer").into_inner().greeting,
        "Hello, Ada!"
    );

    let data: Vec<u8> = (0..16u32 << 20).map(|i| (i % 251) as u8).collect();
    let reversed: Vec<u8> = data.iter().rev().copied().collect();
    let reply = client.reverse(ReverseRequest { data }).await;
    assert!(reply.expect("an answer").into_inner().data == reversed);

    let text = "three short words".to_owned();
    let words = client.split(SplitRequest { text }).await;
    let words: Vec<_> = words.expect("a stream").into_inner().collect().await;
    let words: Vec<_> = words
        .into_iter()
        .map(|word| word.expect("a word").text)
        .collect();
    assert_eq!(words, ["three", "short", "words"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_message_by_message() {
    let directory = Directory::new();
    let _plugin = Plugin::on_unix(&directory);
    let mut client = connect_unix(&directory).await;
    let (say, said) = tokio::sync::mpsc::channel(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(said);
    let mut replies = client.chat(requests).await.expect("a stream").into_inner();
    for text in ["one", "two", "three"] {
        let request = EchoRequest { text: text.into() };
        say.send(request).await.expect("the call is open");
        // Each answer comes before the next request is made.
        let reply = replies.next().await.expect("more").expect("an answer");
        assert!(reply.text.ends_with(&format!(" {text}")));
    }
    drop(say);
    assert!(replies.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn error_and_panic_end_the_call_alone() {
    let directory = Directory::new();
    let _plugin = Plugin::on_unix(&directory);
    let mut client = connect_unix(&directory).await;

    let error = may_panic(&mut client, Mode::Error).await;
    assert_eq!(error.code(), Code::InvalidArgument);
    assert_eq!(error.message(), "the text is empty of sense");

    // A call that is open on the same connection while another one panics.
    let (say, said) = tokio::sync::mpsc::channel(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(said);
    let mut replies = client.chat(requests).await.expect("a stream").into_inner();
    let panic = may_panic(&mut client, Mode::Panic).await;
    assert_eq!(panic.code(), Code::Cancelled, "{panic:?}");
    let request = EchoRequest {
        text: "still here".into(),
    };
    say.send(request).await.expect("the call is open");
    assert!(replies.next().await.expect("more").is_ok());

    let nothing = MayPanicRequest::default();
    assert!(client.may_panic(nothing).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn abort_and_segfault_end_the_process_by_that_signal() {
    for (mode, signal) in [(Mode::Abort, SIGABRT), (Mode::Segfault, SIGSEGV)] {
        let directory = Directory::new();
        let plugin = Plugin::on_unix(&directory);
        let mut client = connect_unix(&directory).await;
        let error = may_panic(&mut client, mode).await;
        assert_ne!(error.code(), Code::Ok);
        assert_eq!(plugin.ended().await.signal(), Some(signal), "{mode:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_cleanly_when_asked_though_a_call_is_open() {
    let directory = Directory::new();
    let plugin = Plugin::on_unix(&directory);
    let mut client = connect_unix(&directory).await;
    let open = client
        .chat(tokio_stream::pending())
        .await
        .expect("a stream");
    plugin.terminate();
    assert_eq!(plugin.ended().await.code(), Some(0));
    drop(open);
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_cleanly_when_asked_as_soon_as_it_listens() {
    for _ in 0..20 {
        let directory = Directory::new();
        let plugin = Plugin::on_unix(&directory);
        plugin.terminate();
        assert_eq!(plugin.ended().await.code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_a_socket_that_listens_already() {
    let directory = Directory::new();
    let listener = UnixListener::bind(directory.socket()).expect("a socket");
    // A shell puts it at descriptor 3, and writes the pid that it keeps through exec.
    let _plugin = Plugin::start(
        Command::new("sh")
            .args(["-c", "exec env LISTEN_FDS=1 LISTEN_PID=$$ \"$0\" 3<&0"])
            .arg(env!("CARGO_BIN_EXE_text-rust"))
            .env("PLUGIND_LISTEN", "unix:/nowhere/else.sock")
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(listener))),
    );
    expect_echo(&mut connect_unix(&directory).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listens_on_tcp_and_is_healthy() {
    let plugin = Plugin::start(command().args(["--listen", "tcp:127.0.0.1:0"]));
    let address = plugin.greeting.trim().strip_prefix("listening on tcp:");
    let target = format!("http://{}", address.expect("an address"));
    let channel = endpoint(target).connect().await.expect("it listens");
    expect_echo(&mut TextClient::new(channel.clone())).await;
    let mut health = HealthClient::new(channel);
    for service in ["", "text.v1.Text"] {
        let service = service.to_owned();
        let reply = health.check(HealthCheckRequest { service }).await;
        let status = reply.expect("an answer").into_inner().status();
        assert_eq!(status, ServingStatus::Serving);
    }
}

#[test]
fn says_when_it_cannot_listen() {
    for (address, why) in [
        ("unix:/no/such/directory/text.sock", "No such file"),
        (
            "http://localhost",
            "an address is unix:/path or tcp:HOST:PORT",
        ),
        ("", "set PLUGIND_LISTEN"),
    ] {
        let output = command()
            .env("PLUGIND_LISTEN", address)
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(1));
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(message.contains(why), "{message}");
    }
}
