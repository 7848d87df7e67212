//! The matrix's server with tonic.
use std::pin::Pin;

use http::HeaderMap;
use http_body_util::BodyExt;
use matrix::proto::matrix_server::{Matrix, MatrixServer};
use matrix::proto::{Chunk, Failure};
use matrix::{MESSAGE_LIMIT, METADATA_LIMIT};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_stream::Stream;
use tonic::body::BoxBody;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status, Streaming};
use tower::{BoxError, Service as _};

struct Service;

/// An answer that is not compressed: the server's default is meant for Compressed only.
fn plain<T>(message: T) -> Response<T> {
    let mut response = Response::new(message);
    response.disable_compression();
    response
}

/// The metadata that the caller wants back.
fn returned(received: &HeaderMap) -> HeaderMap {
    received
        .iter()
        .filter(|(name, _)| ["matrix-text", "matrix-data-bin"].contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Calls `inner` and adds the metadata that the caller wants back.  Outside the service, because a
/// handler of tonic's can give an answer no trailers.
async fn with_metadata(
    mut inner: Routes,
    request: http::Request<BoxBody>,
) -> Result<http::Response<BoxBody>, BoxError> {
    let back = returned(request.headers());
    let mut response = inner.call(request).await?; // Routes are always ready.
    if back.is_empty() {
        return Ok(response); // As it is: an answer of trailers only has no place for more.
    }
    response.headers_mut().extend(back.clone());
    Ok(response.map(|body| tonic::body::boxed(body.with_trailers(async { Some(Ok(back)) }))))
}

#[tonic::async_trait]
impl Matrix for Service {
    async fn echo(&self, request: Request<Chunk>) -> Result<Response<Chunk>, Status> {
        Ok(plain(request.into_inner()))
    }

    type ChatStream = Pin<Box<dyn Stream<Item = Result<Chunk, Status>> + Send>>;

    async fn chat(
        &self,
        request: Request<Streaming<Chunk>>,
    ) -> Result<Response<Self::ChatStream>, Status> {
        Ok(plain(Box::pin(request.into_inner())))
    }

    async fn compressed(&self, request: Request<Chunk>) -> Result<Response<Chunk>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn fail(&self, request: Request<Failure>) -> Result<Response<Chunk>, Status> {
        let failure = request.into_inner();
        let code = Code::from(failure.code);
        Err(Status::with_details(
            code,
            failure.message,
            failure.details.into(),
        ))
    }

    async fn early(&self, request: Request<Streaming<Chunk>>) -> Result<Response<Chunk>, Status> {
        let first = request.into_inner().message().await?;
        Ok(plain(first.ok_or_else(|| {
            Status::invalid_argument("there is no request")
        })?))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::var("PLUGIND_LISTEN")?;
    let listener = UnixListener::bind(address.trim_start_matches("unix:"))?;
    let mut service = MatrixServer::new(Service)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    if std::env::var_os("MATRIX_DEFAULT_LIMIT").is_none() {
        service = service.max_decoding_message_size(MESSAGE_LIMIT);
    }
    tonic::transport::Server::builder()
        .http2_max_header_list_size(METADATA_LIMIT)
        .layer(tower::layer::layer_fn(|inner: Routes| {
            tower::service_fn(move |request| with_metadata(inner.clone(), request))
        }))
        .add_service(service)
        .serve_with_incoming(UnixListenerStream::new(listener))
        .await?;
    Ok(())
}
