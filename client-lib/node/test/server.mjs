// A plain gRPC server for the tests: `server.mjs unix:/path` prints "ready" when it listens.
//
// Its service test.Test takes any bytes, so it needs no generated code:
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
import grpc from '@grpc/grpc-js';
import protobuf from 'protobufjs';

const { root } = protobuf.parse(`
  syntax = "proto3";
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; }
`);

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
const service = Object.fromEntries(
  Object.keys(handlers).map((name) => [
    name,
    {
      path: `/test.Test/${name}`,
      requestStream: false,
      responseStream: false,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    },
  ]),
);

const server = new grpc.Server({
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
});
server.addService(service, handlers);
server.bindAsync(process.argv[2], grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
  console.log('ready');
});
process.stdin.on('end', () => process.exit(0)).resume();
