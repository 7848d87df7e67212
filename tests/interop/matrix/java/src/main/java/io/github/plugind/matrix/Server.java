package io.github.plugind.matrix;

import com.google.protobuf.ByteString;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.epoll.EpollEventLoopGroup;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;

/** The matrix's server with grpc-java. */
public final class Server {
  private static final String PREFIX = "unix:";

  /** Sends the metadata back that the caller wants back. */
  private static final class MetadataBack implements ServerInterceptor {
    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, A> call, Metadata request, ServerCallHandler<Q, A> next) {
      Metadata back = new Metadata();
      if (request.containsKey(Keys.TEXT)) {
        back.put(Keys.TEXT, request.get(Keys.TEXT));
      }
      if (request.containsKey(Keys.DATA)) {
        back.put(Keys.DATA, request.get(Keys.DATA));
      }
      return next.startCall(
          new SimpleForwardingServerCall<Q, A>(call) {
            @Override
            public void sendHeaders(Metadata headers) {
              headers.merge(back);
              super.sendHeaders(headers);
            }

            @Override
            public void close(Status status, Metadata trailers) {
              trailers.merge(back);
              super.close(status, trailers);
            }
          },
          request);
    }
  }

  private static final class Service extends MatrixGrpc.MatrixImplBase {
    @Override
    public void echo(Chunk request, StreamObserver<Chunk> answer) {
      answer.onNext(request);
      answer.onCompleted();
    }

    @Override
    public StreamObserver<Chunk> chat(StreamObserver<Chunk> answers) {
      return new Forwarding(answers) {
        @Override
        public void onNext(Chunk request) {
          answers.onNext(request);
        }

        @Override
        public void onCompleted() {
          answers.onCompleted();
        }
      };
    }

    @Override
    public void compressed(Chunk request, StreamObserver<Chunk> answer) {
      ((ServerCallStreamObserver<Chunk>) answer).setCompression("gzip");
      answer.onNext(request);
      answer.onCompleted();
    }

    @Override
    public void fail(Failure request, StreamObserver<Chunk> answer) {
      Metadata trailers = new Metadata();
      ByteString details = request.getDetails();
      if (!details.isEmpty()) {
        trailers.put(Keys.DETAILS, details.toByteArray());
      }
      answer.onError(
          Status.fromCodeValue(request.getCode())
              .withDescription(request.getMessage())
              .asRuntimeException(trailers));
    }

    @Override
    public StreamObserver<Chunk> early(StreamObserver<Chunk> answer) {
      return new Forwarding(answer) {
        private boolean answered;

        @Override
        public void onNext(Chunk request) {
          if (!answered) {
            answered = true;
            answer.onNext(request);
            answer.onCompleted();
          }
        }

        @Override
        public void onCompleted() {}
      };
    }
  }

  /** Requests whose failure there is nothing to do about: the call has ended. */
  private abstract static class Forwarding implements StreamObserver<Chunk> {
    protected final StreamObserver<Chunk> answers;

    Forwarding(StreamObserver<Chunk> answers) {
      this.answers = answers;
    }

    @Override
    public void onError(Throwable thrown) {}
  }

  public static void main(String[] args) throws Exception {
    String listen = System.getenv("PLUGIND_LISTEN");
    if (listen == null || !listen.startsWith(PREFIX)) {
      System.err.println("PLUGIND_LISTEN is " + listen + ", not unix:/path");
      System.exit(2);
    }
    EventLoopGroup loops = new EpollEventLoopGroup();
    NettyServerBuilder builder =
        NettyServerBuilder.forAddress(
                new DomainSocketAddress(listen.substring(PREFIX.length())),
                InsecureServerCredentials.create())
            .channelType(EpollServerDomainSocketChannel.class)
            .bossEventLoopGroup(loops)
            .workerEventLoopGroup(loops)
            .maxInboundMetadataSize(Keys.METADATA_LIMIT)
            .intercept(new MetadataBack())
            .addService(new Service());
    if (System.getenv("MATRIX_DEFAULT_LIMIT") == null) {
      builder.maxInboundMessageSize(Keys.MESSAGE_LIMIT);
    }
    builder.build().start().awaitTermination();
  }
}
