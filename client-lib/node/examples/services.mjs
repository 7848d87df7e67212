// The plugins' services, read from their .proto files when the host starts.
import { fileURLToPath } from 'node:url';

import { loadSync } from '@grpc/proto-loader';
import protobuf from 'protobufjs';

const protos = fileURLToPath(new URL('../../../plugins/proto/', import.meta.url));

export const services = loadSync(['kv.proto', 'text.proto'], { includeDirs: [protos] });

const schema = `
  syntax = "proto3";
  package google.rpc;
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
`;
const { root } = protobuf.parse(schema, { keepCase: true });
const Status = root.lookupType('google.rpc.Status');
const ErrorInfo = root.lookupType('google.rpc.ErrorInfo');

/** The google.rpc.ErrorInfo reason in a failed call's status details, or "". */
export function errorReason(error) {
  const [bytes] = error.metadata?.get('grpc-status-details-bin') ?? [];
  const details = bytes ? Status.decode(bytes).details : [];
  const info = details.find((detail) => detail.type_url.endsWith('/google.rpc.ErrorInfo'));
  return info ? ErrorInfo.decode(info.value).reason : '';
}
