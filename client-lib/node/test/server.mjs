// A plain gRPC server for the tests: `server.mjs unix:/path` prints "ready" when it listens.
//
// Its methods take any bytes, so it needs no generated code; they are those of test.Test, and Echo of
// text.v1.Text too:
//   Echo, Reverse   answer the request, and the request reversed
//   Metadata        answers the request metadata as JSON: name → value in hex
//   Fail            INVALID_ARGUMENT with a message and google.rpc.ErrorInfo reason TEST_REASON
//   FailPlain       NOT_FOUND with a message and no details
//   Meet            answers when as many calls as the request's number are in it at once
//   Wait            never answers
//   Door            answers from the first Open on
//   Open            opens the door
//   Exit            ends this process during the call
// It leaves when its standard input closes, so that it cannot outlive the test.
import { rmSync } from 'node:fs';

import grpc from '@grpc/grpc-js';
import protobuf from 'protobufjs';

const schema = `
  syntax = "proto3";
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; }
`;
const { root } = protobuf.parse(schema, { keepCase: true });

function errorDetails(code, message) {
  const value = root.lookupType('ErrorInfo').encode({ reason: 'TEST_REASON', domain: 'plugind' });
  const type_url = 'type.googleapis.com/google.rpc.ErrorInfo';
  const details = [{ type_url, value: value.finish() }];
  return Buffer.from(root.lookupType('Status').encode({ code, message, details }).finish());
}

let meeting = [];
let openDoor;
const open = new Promise((resolve) => (openDoor = resolve));

const handlers = {
  Echo: (call, answer) => answer(null, call.request),
  Reverse: (call, answer) => answer(null, Buffer.from(call.request).reverse()),
  Metadata(call, answer) {
    const seen = Object.entries(call.metadata.getMap());
    const hex = seen.map(([name, value]) => [name, Buffer.from(value).toString('hex')]);
    answer(null, Buffer.from(JSON.stringify(Object.fromEntries(hex))));
  },
  Fail(call, answer) {
    const metadata = new grpc.Metadata();
    const [code, details] = [grpc.status.INVALID_ARGUMENT, 'the tëst failed'];
    metadata.set('grpc-status-details-bin', errorDetails(code, details));
    answer({ code, details, metadata });
  },
  FailPlain: (call, answer) => answer({ code: grpc.status.NOT_FOUND, details: 'no such thing' }),
  Meet(call, answer) {
    meeting.push(() => answer(null, call.request));
    if (meeting.length < Number(call.request)) return;
    for (const leave of meeting) leave();
    meeting = [];
  },
  Wait() {},
  Door: (call, answer) => open.then(() => answer(null, call.request)),
  Open(call, answer) {
    openDoor();
    answer(null, call.request);
  },
  Exit: () => process.exit(1),
};

const same = (bytes) => bytes;
const method = (path) => ({
  path,
  requestStream: false,
  responseStream: false,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
});
const names = Object.keys(handlers);
const service = Object.fromEntries(names.map((name) => [name, method(`/test.Test/${name}`)]));

const server = new grpc.Server({
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
});
server.addService(service, handlers);
server.addService({ Echo: method('/text.v1.Text/Echo') }, handlers);
const address = process.argv[2];
rmSync(address.replace('unix:', ''), { force: true }); // of a server that was ended before
server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
  console.log('ready');
});
process.stdin.on('end', () => process.exit(0)).resume();
