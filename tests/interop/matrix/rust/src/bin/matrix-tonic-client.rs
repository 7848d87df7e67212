//! The matrix's client with tonic:
//! matrix-tonic-client SOCKET COUNTED_SOCKET LIMITED_SOCKET FRONT_SOCKET PLUGIN DETAILS
use std::time::Duration;

use hyper_util::rt::TokioIo;
use matrix::proto::matrix_client::MatrixClient;
use matrix::proto::{Chunk, Failure};
use matrix::{MESSAGE_LIMIT, METADATA_LIMIT};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::CompressionEncoding;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

const CALL_LIMIT: Duration = Duration::from_secs(20);
const LARGE_SIZE: usize = 5 << 20;
const COMPRESSED_SIZE: usize = 4 << 20;
const TEXT_SIZE: usize = 8 << 10;
const DATA_SIZE: usize = 4 << 10;
const CHAT_MESSAGES: usize = 10;

type Client = MatrixClient<Channel>;
type Checked = Result<(), String>;

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i * 31 % 251) as u8).collect()
}

fn expect(what: &str, got: &[u8], want: &[u8]) -> Checked {
    if got == want {
        return Ok(());
    }
    let (got, want) = (got.len(), want.len());
    Err(format!(
        "{what}: {got} bytes that differ from the {want} expected"
    ))
}

fn said(status: Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

fn within<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_LIMIT);
    request
}

async fn echo(mut client: Client, data: Vec<u8>) -> Checked {
    let request = within(Chunk { data: data.clone() });
    let reply = client.echo(request).await.map_err(said)?;
    expect("the answer", &reply.get_ref().data, &data)
}

async fn chat(mut client: Client) -> Checked {
    let (requests, stream) = mpsc::channel(1);
    let call = client.chat(within(ReceiverStream::new(stream)));
    let first = pattern(1000);
    // The answer begins when the server has something to say, so the first request comes before.
    let send = requests.send(Chunk { data: first });
    let (replies, sent) = tokio::join!(call, send);
    sent.map_err(|_| "the call ended early")?;
    let mut replies = replies.map_err(said)?.into_inner();
    for i in 1..=CHAT_MESSAGES {
        let data = pattern(i * 1000);
        if i > 1 {
            let request = Chunk { data: data.clone() };
            requests
                .send(request)
                .await
                .map_err(|_| "the call ended early")?;
        }
        let reply = replies
            .message()
            .await
            .map_err(said)?
            .ok_or("the answers end early")?;
        expect(&format!("answer {i}"), &reply.data, &data)?;
    }
    drop(requests);
    match replies.message().await.map_err(said)? {
        None => Ok(()),
        Some(_) => Err("there is an answer after the end".into()),
    }
}

fn check_metadata(kind: &str, received: &MetadataMap, text: &str, data: &[u8]) -> Checked {
    let got = received
        .get("matrix-text")
        .map_or(&[][..], |value| value.as_bytes());
    expect(&format!("{kind} matrix-text"), got, text.as_bytes())?;
    let got = received
        .get_bin("matrix-data-bin")
        .and_then(|value| value.to_bytes().ok());
    expect(
        &format!("{kind} matrix-data-bin"),
        &got.unwrap_or_default(),
        data,
    )
}

/// `plugin` names the plugin that the socket does not name.
async fn metadata(channel: Channel, plugin: Option<&str>) -> Checked {
    let text = "metadata".repeat(TEXT_SIZE / 8);
    let data = pattern(DATA_SIZE);
    let mut request = within(tokio_stream::once(Chunk::default()));
    let sent = request.metadata_mut();
    sent.insert("matrix-text", text.parse().map_err(|_| "not ASCII")?);
    sent.insert_bin("matrix-data-bin", MetadataValue::from_bytes(&data));
    if let Some(name) = plugin {
        sent.insert("plugind-plugin", name.parse().map_err(|_| "not ASCII")?);
    }
    // As a streaming call: of others, tonic merges the trailers into the initial metadata.
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.map_err(|error| error.to_string())?;
    let path = http::uri::PathAndQuery::from_static("/plugind.matrix.v1.Matrix/Echo");
    let codec = tonic::codec::ProstCodec::<Chunk, Chunk>::default();
    let reply = grpc.streaming(request, path, codec).await.map_err(said)?;
    check_metadata("initial", reply.metadata(), &text, &data)?;
    let mut replies = reply.into_inner();
    replies.message().await.map_err(said)?;
    let trailers = replies.trailers().await.map_err(said)?.unwrap_or_default();
    check_metadata("trailing", &trailers, &text, &data)
}

async fn compressed(client: Client) -> Checked {
    let mut client = client
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    let data = vec![0; COMPRESSED_SIZE];
    let request = within(Chunk { data: data.clone() });
    let reply = client.compressed(request).await.map_err(said)?;
    expect("the answer", &reply.get_ref().data, &data)
}

/// Makes a call that fails as it should; gives the failure.
async fn fail(mut client: Client, wanted: Failure) -> Result<Status, String> {
    let (code, message) = (Code::from(wanted.code), wanted.message.clone());
    match client.fail(within(wanted)).await {
        Ok(_) => Err("the call did not fail".into()),
        Err(status) if status.code() == code && status.message() == message => Ok(status),
        Err(status) => Err(format!("the status is {}", said(status))),
    }
}

async fn details(client: Client, want: Vec<u8>) -> Checked {
    let wanted = Failure {
        code: Code::FailedPrecondition as i32,
        message: "with details".into(),
        details: want.clone(),
    };
    let status = fail(client, wanted).await?;
    expect("grpc-status-details-bin", status.details(), &want)
}

async fn trailers_only(client: Client) -> Checked {
    let wanted = Failure {
        code: Code::PermissionDenied as i32,
        message: "denied: 100 % of ∀x".into(),
        details: Vec::new(),
    };
    fail(client, wanted).await.map(drop)
}

async fn early(mut client: Client) -> Checked {
    let data = pattern(1000);
    let (requests, stream) = mpsc::channel(1);
    let request = Chunk { data: data.clone() };
    requests
        .send(request)
        .await
        .map_err(|_| "the call ended early")?;
    let reply = client
        .early(within(ReceiverStream::new(stream)))
        .await
        .map_err(said)?;
    drop(requests); // The requests end only now.
    expect("the answer", &reply.get_ref().data, &data)
}

/// The status of a call with more than the server takes.
async fn rejected(mut limited: Client) -> String {
    let data = pattern(LARGE_SIZE);
    match limited.echo(within(Chunk { data })).await {
        Ok(_) => "0".into(),
        Err(status) => format!("{} {}", status.code() as i32, status.message()),
    }
}

async fn connect(path: &str) -> Result<Channel, String> {
    let path = path.to_owned();
    Endpoint::from_static("http://localhost")
        .http2_max_header_list_size(METADATA_LIMIT)
        .connect_with_connector(tower::service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        }))
        .await
        .map_err(|error| error.to_string())
}

fn client(channel: &Channel) -> Client {
    MatrixClient::new(channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
}

fn from_hex(hex: &str) -> Result<Vec<u8>, std::num::ParseIntError> {
    (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16))
        .collect()
}

fn print(name: &str, outcome: Checked) {
    match outcome {
        Ok(()) => println!("{name}\tpasses"),
        Err(why) => println!(
            "{name}\tfails: {}",
            why.split_whitespace().collect::<Vec<_>>().join(" ")
        ),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, counted_path, limited_path, front_path, plugin, details_hex] = arguments.as_slice()
    else {
        let arguments = "SOCKET COUNTED_SOCKET LIMITED_SOCKET FRONT_SOCKET PLUGIN DETAILS";
        return Err(format!("usage: matrix-tonic-client {arguments}").into());
    };
    let channel = connect(path).await?;
    let plain = client(&channel);
    let counted = client(&connect(counted_path).await?);
    let limited = client(&connect(limited_path).await?);
    let front = connect(front_path).await?;
    print("unary", echo(plain.clone(), b"matrix".to_vec()).await);
    print("bidirectional", chat(plain.clone()).await);
    print("large", echo(plain.clone(), pattern(LARGE_SIZE)).await);
    print("metadata", metadata(channel, None).await);
    print("compressed", compressed(counted).await);
    print(
        "details",
        details(plain.clone(), from_hex(details_hex)?).await,
    );
    print("trailers-only", trailers_only(plain.clone()).await);
    print("early", early(plain).await);
    print("front", metadata(front, Some(plugin)).await);
    println!("rejected\t{}", rejected(limited).await);
    Ok(())
}
