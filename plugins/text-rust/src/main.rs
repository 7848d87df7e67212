//! The text plugin.  Runs under plugind, or by itself: text-rust --listen tcp:127.0.0.1:50051
mod listen;
mod service;

mod proto {
    tonic::include_proto!("text.v1");
    pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("text");
}

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use listen::Listen;
use proto::text_server::TextServer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{signal, Signal, SignalKind};
use tokio_stream::wrappers::UnixListenerStream;
use tokio_stream::Stream;
use tonic::transport::server::{Connected, TcpIncoming};

/// How long calls in flight may go on after SIGTERM.
const DRAIN_TIME: Duration = Duration::from_secs(2);
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// SIGTERM and SIGINT, which this process catches from the moment that this is made.
struct StopSignals(Signal, Signal);

impl StopSignals {
    fn catch() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(StopSignals(terminate, interrupt))
    }
    async fn wait(mut self) {
        tokio::select! { _ = self.0.recv() => {}, _ = self.1.recv() => {} }
    }
}

async fn serve<I, C>(incoming: I, stop: StopSignals) -> Result<(), Box<dyn Error>>
where
    I: Stream<Item = std::io::Result<C>>,
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    C::ConnectInfo: Clone + Send + Sync,
{
    let (mut health_reporter, health) = tonic_health::server::health_reporter();
    let text = TextServer::new(service::TextService)
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX);
    // The server as a whole ("") says SERVING by itself.
    health_reporter
        .set_serving::<TextServer<service::TextService>>()
        .await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1alpha()?;

    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let server = tonic::transport::Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_service(health)
        .add_service(reflection)
        .add_service(text)
        .serve_with_incoming_shutdown(incoming, async {
            stop.wait().await;
            let _ = stopping.send(()); // fails only when nobody waits any more
        });
    let drained_too_long = async {
        if stopped.await.is_ok() {
            tokio::time::sleep(DRAIN_TIME).await;
        }
    };
    tokio::select! {
        result = server => result?,
        () = drained_too_long => {}
    }
    Ok(())
}

async fn run() -> Result<(), Box<dyn Error>> {
    // Before it says that it listens: whoever reads that may ask it to end.
    let stop = StopSignals::catch()?;
    match listen::find_listen(std::env::args().skip(1))? {
        Listen::Descriptor(listener) => {
            listener.set_nonblocking(true)?;
            let listener = UnixListener::from_std(listener)?;
            println!("listening on descriptor 3");
            serve(UnixListenerStream::new(listener), stop).await
        }
        Listen::Unix(path) => {
            let address = format!("unix:{}", path.display());
            let listener = UnixListener::bind(path)
                .map_err(|error| format!("cannot listen on {address}: {error}"))?;
            println!("listening on {address}");
            serve(UnixListenerStream::new(listener), stop).await
        }
        Listen::Tcp(host_and_port) => {
            let listener = TcpListener::bind(&host_and_port)
                .await
                .map_err(|error| format!("cannot listen on tcp:{host_and_port}: {error}"))?;
            println!("listening on tcp:{}", listener.local_addr()?);
            let no_delay = true;
            let keepalive = None;
            let incoming = TcpIncoming::from_listener(listener, no_delay, keepalive)
                .map_err(|error| error.to_string())?;
            serve(incoming, stop).await
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("text-rust: {error}");
            ExitCode::FAILURE
        }
    }
}
