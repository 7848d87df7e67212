// In this package because the official client and server keep their parts to it.
package io.grpc.testing.integration;

import io.grpc.ClientInterceptor;
import io.grpc.InsecureChannelCredentials;
import io.grpc.LoadBalancerRegistry;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.netty.InternalNettyChannelBuilder;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.MetadataUtils;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollEventLoopGroup;
import io.netty.channel.unix.DomainSocketAddress;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * The official interop client on a Unix socket.
 *
 * <p>Arguments: the socket's path, the plugin's name or "" where the socket says which one is meant,
 * and the names of the cases. Prints a line for each: its name, a tab, "passes" or "fails: ". Without
 * arguments, prints the names of all cases.
 *
 * <p>TestServiceClient makes channels to TCP ports only. So it is given another channel and other
 * stubs, of the kind that it makes itself, before it runs a case; they are its private parts, hence
 * the reflection.
 */
public final class UnixSocketClient {
  private static final int CASE_LIMIT_SECONDS = 60;
  private static final Metadata.Key<String> PLUGIN =
      Metadata.Key.of("plugind-plugin", Metadata.ASCII_STRING_MARSHALLER);
  private static final Map<String, ?> WITH_ORCA_REPORTS =
      Map.of(
          "loadBalancingConfig", List.of(Map.of("test_backend_metrics_load_balancer", Map.of())));

  private final EventLoopGroup loops = new EpollEventLoopGroup();
  private final DomainSocketAddress address;
  private final String plugin;

  private UnixSocketClient(String path, String plugin) {
    this.address = new DomainSocketAddress(path);
    this.plugin = plugin;
  }

  public static void main(String[] args) throws Exception {
    if (args.length == 0) {
      for (TestCases each : TestCases.values()) {
        System.out.println(each);
      }
      return;
    }
    LoadBalancerRegistry.getDefaultRegistry()
        .register(new CustomBackendMetricsLoadBalancerProvider());
    UnixSocketClient client = new UnixSocketClient(args[0], args[1]);
    ExecutorService threads = Executors.newCachedThreadPool();
    for (String name : List.of(args).subList(2, args.length)) {
      Future<?> outcome =
          threads.submit(
              () -> {
                client.run(TestCases.fromString(name));
                return null;
              });
      try {
        outcome.get(CASE_LIMIT_SECONDS, TimeUnit.SECONDS);
        System.out.println(name + "\tpasses");
      } catch (ExecutionException e) {
        boolean reflected = e.getCause() instanceof InvocationTargetException;
        Throwable why = reflected ? e.getCause().getCause() : e.getCause();
        System.out.println(name + "\tfails: " + firstLine(why));
        System.err.println("-- " + name);
        why.printStackTrace();
      } catch (TimeoutException e) {
        System.out.println(name + "\tfails: no end within " + CASE_LIMIT_SECONDS + " s");
        outcome.cancel(true);
      }
    }
    System.exit(0); // A case that had no end may hold threads.
  }

  private static String firstLine(Throwable thrown) {
    return String.valueOf(thrown).strip().lines().findFirst().orElse("").strip();
  }

  private ManagedChannel channel(AbstractInteropTest tester, TestCases which) {
    NettyChannelBuilder builder =
        NettyChannelBuilder.forAddress(address, InsecureChannelCredentials.create())
            .channelType(EpollDomainSocketChannel.class, DomainSocketAddress.class)
            .eventLoopGroup(loops)
            .overrideAuthority("localhost")
            .flowControlWindow(AbstractInteropTest.TEST_FLOW_CONTROL_WINDOW);
    InternalNettyChannelBuilder.setStatsEnabled(builder, false); // As the official client does.
    builder.intercept(tester.createCensusStatsClientInterceptor());
    if (!plugin.isEmpty()) {
      Metadata headers = new Metadata();
      headers.put(PLUGIN, plugin);
      builder.intercept(MetadataUtils.newAttachHeadersInterceptor(headers));
    }
    if (which == TestCases.ORCA_PER_RPC || which == TestCases.ORCA_OOB) {
      builder.disableServiceConfigLookUp().defaultServiceConfig(WITH_ORCA_REPORTS);
    }
    return builder.build();
  }

  private void run(TestCases which) throws Exception {
    TestServiceClient official = new TestServiceClient();
    official.parseArgs(new String[] {"--use_tls=false"});
    official.setUp();
    AbstractInteropTest tester =
        (AbstractInteropTest) field(TestServiceClient.class, "tester").get(official);
    tester.channel.shutdownNow(); // It led to a TCP port and has not connected.
    tester.channel = channel(tester, which);
    ClientInterceptor tracers =
        (ClientInterceptor) field(AbstractInteropTest.class, "tracerSetupInterceptor").get(tester);
    tester.blockingStub = TestServiceGrpc.newBlockingStub(tester.channel).withInterceptors(tracers);
    tester.asyncStub = TestServiceGrpc.newStub(tester.channel).withInterceptors(tracers);
    try {
      switch (which) {
        case RPC_SOAK -> soak(tester, which, false);
        case CHANNEL_SOAK -> soak(tester, which, true);
        default -> {
          Method run = TestServiceClient.class.getDeclaredMethod("runTest", TestCases.class);
          run.setAccessible(true);
          run.invoke(official, which);
        }
      }
    } finally {
      tester.tearDown();
    }
  }

  /**
   * With the official client's sizes, which only its main function passes on.  A slow machine is no
   * failure, so a call may take longer than its 1 s.
   */
  private void soak(AbstractInteropTest tester, TestCases which, boolean newChannels)
      throws Exception {
    SoakClient.performSoakTest(
        "localhost", 10, 0, 10_000, 0, 50, 271828, 314159, 1, channel(tester, which),
        current -> {
          if (!newChannels) {
            return current;
          }
          current.shutdownNow();
          return channel(tester, which);
        });
  }

  private static Field field(Class<?> owner, String name) throws NoSuchFieldException {
    Field found = owner.getDeclaredField(name);
    found.setAccessible(true);
    return found;
  }
}
