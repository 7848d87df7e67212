import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Code, connect } from 'plugind';

import { TestServer } from './support.js';

const empty = new Uint8Array(0);
const echo = (client) => client.invoke('text', '/test.Test/Echo', empty, { timeoutMs: 30_000 });

test('a server that dies is an answer, and its successor is found', async (t) => {
  const server = await TestServer.start();
  t.after(() => server.stop());
  const client = await connect({ address: server.address });
  const exit = client.invoke('text', '/test.Test/Exit', empty, { timeoutMs: 30_000 });
  await assert.rejects(exit, { code: Code.UNAVAILABLE, reason: 'DAEMON_GONE' });
  await server.ended();
  await assert.rejects(echo(client), { code: Code.UNAVAILABLE });
  await server.restart();
  assert.equal((await echo(client)).length, 0);
  client.close();
});

test('connect says where no daemon answers', async () => {
  const address = '/nonexistent/plugind.sock';
  await assert.rejects(connect({ address }), { code: Code.UNAVAILABLE, message: /nonexistent/ });
});

test('connect refuses an address it cannot understand', async () => {
  const pigeon = connect({ address: 'carrier-pigeon:coop' });
  await assert.rejects(pigeon, { code: Code.INVALID_ARGUMENT });
});

test('no signal is touched', { skip: process.platform !== 'linux' }, async (t) => {
  const server = await TestServer.start();
  t.after(() => server.stop());
  const script = fileURLToPath(new URL('state-of-host.mjs', import.meta.url));
  const host = spawn(process.execPath, [script, server.address], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => host.stdin.end());
  const lines = createInterface({ input: host.stdout })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, 'changed by load and call: []');
  await server.end();
  host.stdin.end();
  assert.equal((await lines.next()).value, 'changed by its death: []');
  assert.equal((await lines.next()).value, 'changed by close: []');
  if (host.exitCode === null) await once(host, 'exit');
});
