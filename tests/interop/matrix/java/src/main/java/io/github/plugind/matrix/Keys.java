package io.github.plugind.matrix;

import io.grpc.Metadata;

/** What the matrix's server and client share: the names of metadata, and limits. */
final class Keys {
  static final int MESSAGE_LIMIT = 16 << 20;
  static final int METADATA_LIMIT = 64 << 10;

  static final Metadata.Key<String> TEXT =
      Metadata.Key.of("matrix-text", Metadata.ASCII_STRING_MARSHALLER);
  static final Metadata.Key<byte[]> DATA =
      Metadata.Key.of("matrix-data-bin", Metadata.BINARY_BYTE_MARSHALLER);
  static final Metadata.Key<String> PLUGIN =
      Metadata.Key.of("plugind-plugin", Metadata.ASCII_STRING_MARSHALLER);
  static final Metadata.Key<byte[]> DETAILS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);

  private Keys() {}
}
