// A host on libplugind: unary calls to every plugin over one connection, never blocking the loop.
import { Code, PlugindError, connect } from 'plugind';

import { Rows, bigBuffer, checkReverse } from './rows.mjs';
import { services } from './services.mjs';

const rows = new Rows('node-ffi', 'libplugind');
const client = await connect();

// proto-loader knows each method's path and codecs, which is all that a call needs.
async function call(plugin, service, method, message) {
  const { path, requestSerialize, responseDeserialize } = services[service][method];
  const request = requestSerialize(message);
  return responseDeserialize(await client.invoke(plugin, path, request, { timeoutMs: 60_000 }));
}

async function put() {
  const value = Buffer.from('a string from Node');
  await call('kv', 'proto.KV', 'Put', { key: 'node-ffi', value });
  return [true, 'a string from Node'];
}

async function get() {
  const value = (await call('kv', 'proto.KV', 'Get', { key: 'node-ffi' })).value.toString();
  return [value.startsWith('a string from Node'), value];
}

async function echo() {
  const reply = await call('text', 'text.v1.Text', 'Echo', { text: 'héllo from koffi' });
  const expected = 'beep boop I got your string. here it is: héllo from koffi';
  return [reply.text === expected, reply.text];
}

async function reverse() {
  const data = bigBuffer();
  return checkReverse(data, (await call('text', 'text.v1.Text', 'Reverse', { data })).data);
}

function mayPanic(mode, expected) {
  return call('text', 'text.v1.Text', 'MayPanic', { mode }).then(
    () => [false, 'the call succeeded'],
    (error) => [error instanceof PlugindError && expected(error), String(error)],
  );
}

const domainError = (error) =>
  error.code === Code.INVALID_ARGUMENT && error.message === 'the text is empty of sense';
// tonic cancels the call whose handler panicked; the plugin lives.
const cancelled = (error) => error.code === Code.CANCELLED;
const crash = (error) => error.code === Code.UNAVAILABLE && error.reason === 'PLUGIN_CRASHED';

await rows.show('kv', 'Put', put);
await rows.show('kv', 'Get', get);
await rows.show('text', 'Echo', echo);
await rows.show('text', 'Reverse 16 MiB', reverse);
await rows.show('text', 'MayPanic ERROR', () => mayPanic('ERROR', domainError));
await rows.show('text', 'MayPanic PANIC', () => mayPanic('PANIC', cancelled));
await rows.show('text', 'Echo after PANIC', echo);
await rows.show('text', 'MayPanic SEGFAULT', () => mayPanic('SEGFAULT', crash));
await rows.show('text', 'Echo again', echo);

client.close();
process.exitCode = rows.exitCode();
