// The matrix's client with @grpc/grpc-js:
// client.js SOCKET COUNTED_SOCKET LIMITED_SOCKET FRONT_SOCKET PLUGIN DETAILS
import * as grpc from '@grpc/grpc-js';

import { Matrix } from './matrix.js';

const CALL_LIMIT_MS = 20_000;
const MESSAGE_LIMIT = 16 << 20;
const LARGE_SIZE = 5 << 20;
const COMPRESSED_SIZE = 4 << 20;
const TEXT_SIZE = 8 << 10;
const DATA_SIZE = 4 << 10;
const CHAT_MESSAGES = 10;

const within = () => ({ deadline: Date.now() + CALL_LIMIT_MS });

function pattern(size) {
  return Buffer.alloc(size, Buffer.from(Array.from({ length: 251 }, (_, i) => (i * 31) % 251)));
}

function expect(what, got, want) {
  const bytes = Buffer.from(got ?? '');
  if (!bytes.equals(Buffer.from(want))) {
    throw new Error(`${what}: ${bytes.length} bytes that differ from the ${want.length} expected`);
  }
}

// Resolves to the answer, with the metadata before and after it; rejects with what failed.
function unary(client, method, request, metadata = new grpc.Metadata()) {
  return new Promise((resolve, reject) => {
    const outcome = {};
    const call = client[method](request, metadata, within(), (error, reply) => {
      Object.assign(outcome, { error, reply });
    });
    call.on('metadata', (initial) => (outcome.initial = initial));
    call.on('status', (status) => {
      outcome.trailing = status.metadata;
      if (outcome.error) reject(Object.assign(outcome.error, { initial: outcome.initial }));
      else resolve(outcome);
    });
  });
}

async function echo(client, data) {
  const { reply } = await unary(client, 'Echo', { data });
  expect('the answer', reply.data, data);
}

async function chat(client) {
  const stream = client.Chat(new grpc.Metadata(), within());
  const replies = stream[Symbol.asyncIterator]();
  for (let i = 1; i <= CHAT_MESSAGES; i++) {
    const data = pattern(i * 1000);
    stream.write({ data });
    const { value, done } = await replies.next();
    if (done) throw new Error(`the stream ended before answer ${i}`);
    expect(`answer ${i}`, value.data, data);
  }
  stream.end();
  if (!(await replies.next()).done) throw new Error('there is an answer after the end');
}

async function metadata(client, more = {}) {
  const sent = {
    'matrix-text': 'metadata'.repeat(TEXT_SIZE / 8),
    'matrix-data-bin': pattern(DATA_SIZE),
  };
  const request = new grpc.Metadata();
  for (const [key, value] of Object.entries({ ...sent, ...more })) request.set(key, value);
  const { initial, trailing } = await unary(client, 'Echo', {}, request);
  for (const [where, received] of Object.entries({ initial, trailing })) {
    for (const [key, want] of Object.entries(sent)) {
      expect(`${where} ${key}`, received.get(key)[0], want);
    }
  }
}

async function compressed(client) {
  const data = Buffer.alloc(COMPRESSED_SIZE);
  const { reply } = await unary(client, 'Compressed', { data });
  expect('the answer', reply.data, data);
}

// Makes a call that fails as it should; resolves to the failure.
async function fail(client, code, message, details = Buffer.alloc(0)) {
  const error = await unary(client, 'Fail', { code, message, details }).then(
    () => { throw new Error('the call did not fail'); },
    (failure) => failure,
  );
  if (error.code !== code || error.details !== message) {
    throw new Error(`the status is ${error.code} "${error.details}"`);
  }
  return error;
}

async function details(client, want) {
  const error = await fail(client, grpc.status.FAILED_PRECONDITION, 'with details', want);
  expect('grpc-status-details-bin', error.metadata.get('grpc-status-details-bin')[0], want);
}

async function trailersOnly(client) {
  const error = await fail(client, grpc.status.PERMISSION_DENIED, 'denied: 100 % of ∀x');
  if (error.initial) throw new Error('initial metadata came as well');
}

function early(client) {
  const data = pattern(1000);
  return new Promise((resolve, reject) => {
    const stream = client.Early(new grpc.Metadata(), within(), (error, reply) => {
      if (error) reject(error);
      else resolve(reply);
    });
    stream.write({ data }); // and no end()
  }).then((reply) => expect('the answer', reply.data, data));
}

// Resolves to the status of a call with more than the server takes.
function rejected(limited) {
  return unary(limited, 'Echo', { data: pattern(LARGE_SIZE) }).then(
    () => '0',
    ({ code, details }) => `${code} ${details}`,
  );
}

function connect(path, more) {
  return new Matrix(`unix:${path}`, grpc.credentials.createInsecure(), {
    'grpc.max_receive_message_length': MESSAGE_LIMIT,
    ...more,
  });
}

const [path, countedPath, limitedPath, frontPath, plugin, detailsHex] = process.argv.slice(2);
const client = connect(path);
const counted = connect(countedPath, {
  'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip,
});
const limited = connect(limitedPath);
const front = connect(frontPath);
const checks = {
  unary: () => echo(client, Buffer.from('matrix')),
  bidirectional: () => chat(client),
  large: () => echo(client, pattern(LARGE_SIZE)),
  metadata: () => metadata(client),
  compressed: () => compressed(counted),
  details: () => details(client, Buffer.from(detailsHex, 'hex')),
  'trailers-only': () => trailersOnly(client),
  early: () => early(client),
  front: () => metadata(front, { 'plugind-plugin': plugin }),
};
for (const [name, check] of Object.entries(checks)) {
  let outcome = 'passes';
  try {
    await check();
  } catch (error) {
    outcome = `fails: ${error.message.replace(/\s+/g, ' ')}`;
  }
  console.log(`${name}\t${outcome}`);
}
console.log(`rejected\t${await rejected(limited)}`);
for (const each of [client, counted, limited, front]) each.close();
