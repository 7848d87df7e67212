package io.github.plugind.matrix;

import com.google.protobuf.ByteString;
import io.grpc.ClientInterceptor;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollEventLoopGroup;
import io.netty.channel.unix.DomainSocketAddress;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/**
 * The matrix's client with grpc-java: Client SOCKET COUNTED_SOCKET LIMITED_SOCKET FRONT_SOCKET
 * PLUGIN DETAILS.
 */
public final class Client {
  private static final int CALL_LIMIT_SECONDS = 20;
  private static final int LARGE_SIZE = 5 << 20;
  private static final int COMPRESSED_SIZE = 4 << 20;
  private static final int TEXT_SIZE = 8 << 10;
  private static final int DATA_SIZE = 4 << 10;
  private static final int CHAT_MESSAGES = 10;

  private final MatrixGrpc.MatrixStub asynchronous;
  private final MatrixGrpc.MatrixBlockingStub blocking;

  private Client(ManagedChannel channel) {
    this.asynchronous = MatrixGrpc.newStub(channel);
    this.blocking = MatrixGrpc.newBlockingStub(channel);
  }

  private interface Check {
    void run() throws Exception;
  }

  /** What arrived is not what should. */
  private static final class WrongException extends Exception {
    WrongException(String message) {
      super(message);
    }
  }

  /** What a call gives, one after the other: messages, then END or a Throwable. */
  private static final class Answers implements StreamObserver<Chunk> {
    private static final Object END = new Object();
    private final BlockingQueue<Object> received = new LinkedBlockingQueue<>();

    @Override
    public void onNext(Chunk answer) {
      received.add(answer);
    }

    @Override
    public void onError(Throwable thrown) {
      received.add(thrown);
    }

    @Override
    public void onCompleted() {
      received.add(END);
    }

    private Object next() throws Exception {
      // The call's deadline comes first.
      Object next = received.poll(2 * CALL_LIMIT_SECONDS, TimeUnit.SECONDS);
      if (next instanceof Exception failure) {
        throw failure;
      }
      return next;
    }

    void expectMessage(String what, byte[] want) throws Exception {
      if (!(next() instanceof Chunk answer)) {
        throw new WrongException(what + ": the answers ended before");
      }
      expect(what, answer.getData().toByteArray(), want);
    }

    void expectEnd() throws Exception {
      if (next() != END) {
        throw new WrongException("there is an answer after the end");
      }
    }
  }

  private static byte[] pattern(int size) {
    byte[] data = new byte[size];
    for (int i = 0; i < size; i++) {
      data[i] = (byte) (i * 31 % 251);
    }
    return data;
  }

  private static Chunk chunk(byte[] data) {
    return Chunk.newBuilder().setData(ByteString.copyFrom(data)).build();
  }

  private static void expect(String what, byte[] got, byte[] want) throws WrongException {
    int size = got == null ? 0 : got.length;
    if (!Arrays.equals(got, want)) {
      throw new WrongException(
          what + ": " + size + " bytes that differ from the " + want.length + " expected");
    }
  }

  private MatrixGrpc.MatrixBlockingStub blocking() {
    return blocking.withDeadlineAfter(CALL_LIMIT_SECONDS, TimeUnit.SECONDS);
  }

  private MatrixGrpc.MatrixStub asynchronous() {
    return asynchronous.withDeadlineAfter(CALL_LIMIT_SECONDS, TimeUnit.SECONDS);
  }

  private void echo(byte[] data) throws Exception {
    expect("the answer", blocking().echo(chunk(data)).getData().toByteArray(), data);
  }

  private void chat() throws Exception {
    Answers answers = new Answers();
    StreamObserver<Chunk> requests = asynchronous().chat(answers);
    for (int i = 1; i <= CHAT_MESSAGES; i++) {
      byte[] data = pattern(i * 1000);
      requests.onNext(chunk(data));
      answers.expectMessage("answer " + i, data);
    }
    requests.onCompleted();
    answers.expectEnd();
  }

  /** {@code plugin} names the plugin that the socket does not name; "" if it does. */
  private void metadata(String plugin) throws Exception {
    String text = "metadata".repeat(TEXT_SIZE / 8);
    byte[] data = pattern(DATA_SIZE);
    Metadata sent = new Metadata();
    sent.put(Keys.TEXT, text);
    sent.put(Keys.DATA, data);
    if (!plugin.isEmpty()) {
      sent.put(Keys.PLUGIN, plugin);
    }
    AtomicReference<Metadata> initial = new AtomicReference<>();
    AtomicReference<Metadata> trailing = new AtomicReference<>();
    blocking()
        .withInterceptors(
            MetadataUtils.newAttachHeadersInterceptor(sent), capture(initial, trailing))
        .echo(Chunk.getDefaultInstance());
    for (var received : Map.of("initial", initial.get(), "trailing", trailing.get()).entrySet()) {
      if (!text.equals(received.getValue().get(Keys.TEXT))) {
        throw new WrongException(received.getKey() + " matrix-text differs");
      }
      expect(received.getKey() + " matrix-data-bin", received.getValue().get(Keys.DATA), data);
    }
  }

  private void compressed() throws Exception {
    byte[] data = new byte[COMPRESSED_SIZE];
    Chunk answer = blocking().withCompression("gzip").compressed(chunk(data));
    expect("the answer", answer.getData().toByteArray(), data);
  }

  private static ClientInterceptor capture(
      AtomicReference<Metadata> initial, AtomicReference<Metadata> trailing) {
    return MetadataUtils.newCaptureMetadataInterceptor(initial, trailing);
  }

  /** Makes a call that fails as it should, and gives its trailers. */
  private Metadata fail(Failure wanted, AtomicReference<Metadata> initial) throws Exception {
    AtomicReference<Metadata> trailing = new AtomicReference<>();
    try {
      blocking().withInterceptors(capture(initial, trailing)).fail(wanted);
    } catch (StatusRuntimeException e) {
      if (e.getStatus().getCode().value() == wanted.getCode()
          && wanted.getMessage().equals(e.getStatus().getDescription())) {
        return trailing.get();
      }
      throw e;
    }
    throw new WrongException("the call did not fail");
  }

  private void details(byte[] want) throws Exception {
    Failure wanted =
        Failure.newBuilder()
            .setCode(Status.Code.FAILED_PRECONDITION.value())
            .setMessage("with details")
            .setDetails(ByteString.copyFrom(want))
            .build();
    Metadata trailers = fail(wanted, new AtomicReference<>());
    expect("grpc-status-details-bin", trailers.get(Keys.DETAILS), want);
  }

  private void trailersOnly() throws Exception {
    AtomicReference<Metadata> initial = new AtomicReference<>();
    fail(
        Failure.newBuilder()
            .setCode(Status.Code.PERMISSION_DENIED.value())
            .setMessage("denied: 100 % of ∀x")
            .build(),
        initial);
    if (initial.get() != null) {
      throw new WrongException("initial metadata came as well: " + initial.get());
    }
  }

  private void early() throws Exception {
    byte[] data = pattern(1000);
    Answers answers = new Answers();
    asynchronous().early(answers).onNext(chunk(data)); // and no onCompleted()
    answers.expectMessage("the answer", data);
    answers.expectEnd();
  }

  /** The status of a call with more than the server takes. */
  private String rejected() {
    Status status = Status.OK;
    try {
      blocking().echo(chunk(pattern(LARGE_SIZE)));
    } catch (StatusRuntimeException e) {
      status = e.getStatus();
    }
    return status.getCode().value() + " " + status.getDescription();
  }

  private static ManagedChannel connect(String path, EventLoopGroup loops) {
    return NettyChannelBuilder.forAddress(
            new DomainSocketAddress(path), InsecureChannelCredentials.create())
        .channelType(EpollDomainSocketChannel.class, DomainSocketAddress.class)
        .eventLoopGroup(loops)
        .overrideAuthority("localhost")
        .maxInboundMessageSize(Keys.MESSAGE_LIMIT)
        .maxInboundMetadataSize(Keys.METADATA_LIMIT)
        .build();
  }

  private static void check(String name, Check check) {
    String outcome = "passes";
    try {
      check.run();
    } catch (Exception e) {
      outcome = "fails: " + String.valueOf(e.getMessage()).replaceAll("\\s+", " ");
    }
    System.out.println(name + "\t" + outcome);
  }

  public static void main(String[] args) {
    if (args.length != 6) {
      System.err.println(
          "usage: Client SOCKET COUNTED_SOCKET LIMITED_SOCKET FRONT_SOCKET PLUGIN DETAILS");
      System.exit(2);
    }
    EventLoopGroup loops = new EpollEventLoopGroup(1);
    Client client = new Client(connect(args[0], loops));
    Client counted = new Client(connect(args[1], loops));
    Client limited = new Client(connect(args[2], loops));
    Client front = new Client(connect(args[3], loops));
    check("unary", () -> client.echo("matrix".getBytes()));
    check("bidirectional", client::chat);
    check("large", () -> client.echo(pattern(LARGE_SIZE)));
    check("metadata", () -> client.metadata(""));
    check("compressed", counted::compressed);
    check("details", () -> client.details(HexFormat.of().parseHex(args[5])));
    check("trailers-only", client::trailersOnly);
    check("early", client::early);
    check("front", () -> front.metadata(args[4]));
    System.out.println("rejected\t" + limited.rejected());
    System.exit(0); // The loops' threads are nobody's daemons.
  }
}
