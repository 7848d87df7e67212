// The matrix's server with @grpc/grpc-js.
import * as grpc from '@grpc/grpc-js';

import { Matrix } from './matrix.js';

const MESSAGE_LIMIT = 16 << 20;
const METADATA_KEYS = ['matrix-text', 'matrix-data-bin'];

function echo(call, done) {
  const back = new grpc.Metadata();
  for (const key of METADATA_KEYS) {
    for (const value of call.metadata.get(key)) back.add(key, value);
  }
  call.sendMetadata(back);
  done(null, call.request, back);
}

function chat(call) {
  call.on('data', (request) => call.write(request));
  call.on('end', () => call.end());
}

// grpc-js's server cannot compress what it sends.
function compressed(call, done) {
  done(null, call.request);
}

function fail(call, done) {
  const { code, message, details } = call.request;
  const metadata = new grpc.Metadata();
  if (details.length > 0) metadata.set('grpc-status-details-bin', details);
  done({ code, details: message, metadata });
}

function early(call, done) {
  call.once('data', (request) => done(null, request));
}

const server = new grpc.Server(
  process.env.MATRIX_DEFAULT_LIMIT ? {} : { 'grpc.max_receive_message_length': MESSAGE_LIMIT },
);
server.addService(Matrix.service, {
  Echo: echo,
  Chat: chat,
  Compressed: compressed,
  Fail: fail,
  Early: early,
});
server.bindAsync(process.env.PLUGIND_LISTEN, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) {
    console.error(error.message);
    process.exit(1);
  }
});
