// A host with nothing of plugind's: @grpc/grpc-js on the plugins' own sockets.
import { once } from 'node:events';
import { dirname } from 'node:path';
import { promisify } from 'node:util';

import grpc from '@grpc/grpc-js';

import { Rows, bigBuffer, checkReverse } from './rows.mjs';
import { errorReason, services } from './services.mjs';

const ANY_SIZE = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };
const rows = new Rows('node-grpc-js', 'plugin-socket');
const definitions = grpc.loadPackageDefinition(services);

// Where calls to one plugin go: RUNTIME_DIR/plugins/NAME.sock beside the front socket.
function pluginSocket(plugin) {
  const { PLUGIND_SOCKET, XDG_RUNTIME_DIR } = process.env;
  const front = PLUGIND_SOCKET || `${XDG_RUNTIME_DIR || '/run'}/plugind/plugind.sock`;
  return `unix:${dirname(front.replace(/^unix:/, ''))}/plugins/${plugin}.sock`;
}

const withDeadline = () => ({ deadline: Date.now() + 60_000 });

function unary(client, method) {
  const call = promisify(client[method].bind(client));
  return (request) => call(request, new grpc.Metadata(), withDeadline());
}

const credentials = grpc.credentials.createInsecure();
const kv = new definitions.proto.KV(pluginSocket('kv'), credentials);
const text = new definitions.text.v1.Text(pluginSocket('text'), credentials, ANY_SIZE);

async function put() {
  await unary(kv, 'Put')({ key: 'node-grpc-js', value: Buffer.from('a string from Node') });
  return [true, 'a string from Node'];
}

async function get() {
  const value = (await unary(kv, 'Get')({ key: 'node-grpc-js' })).value.toString();
  return [value.startsWith('a string from Node'), value];
}

async function echo() {
  const reply = await unary(text, 'Echo')({ text: 'héllo from grpc-js' });
  const expected = 'beep boop I got your string. here it is: héllo from grpc-js';
  return [reply.text === expected, reply.text];
}

async function reverse() {
  const data = bigBuffer();
  return checkReverse(data, (await unary(text, 'Reverse')({ data })).data);
}

async function split() {
  const words = [];
  for await (const word of text.Split({ text: 'one message a word' }, withDeadline())) {
    words.push(word.text);
  }
  return [words.join() === 'one,message,a,word', words.join('|')];
}

async function chat() {
  // The next question is asked when the answer to the last one is there.
  const stream = text.Chat(new grpc.Metadata(), withDeadline());
  const answers = [];
  for (const question of ['first', 'second', 'third']) {
    stream.write({ text: question });
    const [reply] = await once(stream, 'data');
    answers.push(reply.text.split(': ').at(-1));
  }
  stream.end();
  await once(stream, 'end');
  return [answers.join() === 'first,second,third', answers.join('|')];
}

function mayPanic(mode, expected) {
  return unary(text, 'MayPanic')({ mode }).then(
    () => [false, 'the call succeeded'],
    (error) => {
      const reason = errorReason(error);
      const name = grpc.status[error.code] + (reason && ` (${reason})`);
      return [expected(error, reason), `${name}: ${error.details}`];
    },
  );
}

const domainError = (error) =>
  error.code === grpc.status.INVALID_ARGUMENT && error.details === 'the text is empty of sense';
// tonic cancels the call whose handler panicked; the plugin lives.
const cancelled = (error) => error.code === grpc.status.CANCELLED;
const crash = (error, reason) =>
  error.code === grpc.status.UNAVAILABLE && reason === 'PLUGIN_CRASHED';

await rows.show('kv', 'Put', put);
await rows.show('kv', 'Get', get);
await rows.show('text', 'Echo', echo);
await rows.show('text', 'Reverse 16 MiB', reverse);
await rows.show('text', 'Split', split);
await rows.show('text', 'Chat', chat);
await rows.show('text', 'MayPanic ERROR', () => mayPanic('ERROR', domainError));
await rows.show('text', 'MayPanic PANIC', () => mayPanic('PANIC', cancelled));
await rows.show('text', 'Echo after PANIC', echo);
await rows.show('text', 'MayPanic SEGFAULT', () => mayPanic('SEGFAULT', crash));
await rows.show('text', 'Echo again', echo);

kv.close();
text.close();
process.exitCode = rows.exitCode();
