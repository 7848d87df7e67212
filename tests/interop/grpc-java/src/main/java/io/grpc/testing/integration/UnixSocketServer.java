// In this package because the official client and server keep their parts to it.
package io.grpc.testing.integration;

import io.grpc.InsecureServerCredentials;
import io.grpc.ServerInterceptors;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.services.MetricRecorder;
import io.grpc.xds.orca.OrcaMetricReportingServerInterceptor;
import io.grpc.xds.orca.OrcaServiceImpl;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.epoll.EpollEventLoopGroup;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * The official interop server as a plugin: it listens where PLUGIND_LISTEN says.
 *
 * <p>TestServiceServer listens on TCP ports only; what it serves is served here.
 */
public final class UnixSocketServer {
  private static final String PREFIX = "unix:";

  public static void main(String[] args) throws Exception {
    String listen = System.getenv("PLUGIND_LISTEN");
    if (listen == null || !listen.startsWith(PREFIX)) {
      System.err.println("PLUGIND_LISTEN is " + listen + ", not unix:/path");
      System.exit(2);
    }
    ScheduledExecutorService executor = Executors.newSingleThreadScheduledExecutor();
    MetricRecorder recorder = MetricRecorder.newInstance();
    EventLoopGroup loops = new EpollEventLoopGroup();
    NettyServerBuilder.forAddress(
            new DomainSocketAddress(listen.substring(PREFIX.length())),
            InsecureServerCredentials.create())
        .channelType(EpollServerDomainSocketChannel.class)
        .bossEventLoopGroup(loops)
        .workerEventLoopGroup(loops)
        .maxInboundMessageSize(AbstractInteropTest.MAX_MESSAGE_SIZE)
        .addService(
            ServerInterceptors.intercept(
                new TestServiceImpl(executor, recorder), TestServiceImpl.interceptors()))
        .addService(OrcaServiceImpl.createService(executor, recorder, 1, TimeUnit.SECONDS))
        .intercept(OrcaMetricReportingServerInterceptor.create(recorder))
        .build()
        .start()
        .awaitTermination();
  }
}
