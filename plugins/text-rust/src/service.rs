//! text.v1.Text: strings and buffers in, strings and buffers out, and every way to fail.
use std::pin::Pin;

use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use crate::proto::may_panic_request::Mode;
use crate::proto::text_server::Text;
use crate::proto::{
    EchoReply, EchoRequest, GreetReply, GreetRequest, MayPanicReply, MayPanicRequest, ReverseReply,
    ReverseRequest, SplitRequest, Word,
};

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

pub struct TextService;

fn echo(request: EchoRequest) -> EchoReply {
    EchoReply {
        text: format!("beep boop I got your string. here it is: {}", request.text),
    }
}

/// Writes to address 0, for real: the process gets SIGSEGV.
fn segfault() {
    extern "C" {
        fn memset(to: *mut u8, value: i32, size: usize) -> *mut u8;
    }
    // Through C and a black box, because Rust's own null check would abort instead (SIGABRT), and
    // the optimiser may do what it likes with a store that it knows to be one to address 0.
    unsafe {
        memset(std::hint::black_box(std::ptr::null_mut()), 1, 1);
    }
}

#[tonic::async_trait]
impl Text for TextService {
    async fn echo(&self, request: Request<EchoRequest>) -> Result<Response<EchoReply>, Status> {
        Ok(Response::new(echo(request.into_inner())))
    }

    async fn greet(&self, request: Request<GreetRequest>) -> Result<Response<GreetReply>, Status> {
        let name = request.into_inner().name;
        Ok(Response::new(GreetReply {
            greeting: format!("Hello, {name}!"),
        }))
    }

    async fn reverse(
        &self,
        request: Request<ReverseRequest>,
    ) -> Result<Response<ReverseReply>, Status> {
        let mut data = request.into_inner().data;
        data.reverse();
        Ok(Response::new(ReverseReply { data }))
    }

    async fn may_panic(
        &self,
        request: Request<MayPanicRequest>,
    ) -> Result<Response<MayPanicReply>, Status> {
        match request.into_inner().mode() {
            Mode::Unspecified => {}
            Mode::Error => return Err(Status::invalid_argument("the text is empty of sense")),
            // hyper runs each call in a task of its own, and tokio stops a panic at the task's
            // edge: the process and the other calls of the connection go on.  The call's stream is
            // dropped, which sends RST_STREAM(CANCEL) without any answer; the caller's library
            // makes a status of that (CANCELLED for most).
            Mode::Panic => panic!("MayPanic was asked to panic"),
            Mode::Abort => std::process::abort(),
            Mode::Segfault => segfault(),
        }
        Ok(Response::new(MayPanicReply {
            text: "nothing happened".to_owned(),
        }))
    }

    type SplitStream = Replies<Word>;

    async fn split(
        &self,
        request: Request<SplitRequest>,
    ) -> Result<Response<Self::SplitStream>, Status> {
        let words: Vec<_> = request
            .into_inner()
            .text
            .split_whitespace()
            .map(|word| {
                Ok(Word {
                    text: word.to_owned(),
                })
            })
            .collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(words))))
    }

    type ChatStream = Replies<EchoReply>;

    async fn chat(
        &self,
        request: Request<Streaming<EchoRequest>>,
    ) -> Result<Response<Self::ChatStream>, Status> {
        let replies = request.into_inner().map(|request| request.map(echo));
        Ok(Response::new(Box::pin(replies)))
    }
}
