import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';

import { Client, Code, PlugindError, connect } from 'plugind';

import { TestServer } from './support.js';

const timeoutMs = 30_000;
const slots = Math.max(1, (Number(process.env.UV_THREADPOOL_SIZE) || 4) - 1);

function invoke(client, name, request, options) {
  const bytes = Buffer.from(request);
  return client.invoke('text', `/test.Test/${name}`, bytes, { timeoutMs, ...options });
}

function openSockets() {
  const directory = '/proc/self/fd';
  if (!existsSync(directory)) return 0;
  const targets = readdirSync(directory).map((fd) => {
    try {
      return readlinkSync(`${directory}/${fd}`);
    } catch {
      return ''; // the listing's own descriptor
    }
  });
  return targets.filter((target) => target.startsWith('socket:')).length;
}

const failsWith = (code, reason, message = /./) => (error) => {
  assert.ok(error instanceof PlugindError, String(error));
  assert.deepEqual([error.code, error.reason], [code, reason]);
  assert.match(error.message, message);
  return true;
};

describe('a client', () => {
  let server;
  let client;
  before(async () => {
    server = await TestServer.start();
    client = await connect({ address: server.address });
  });
  after(async () => {
    client?.close();
    await server.stop();
  });

  test('carries bytes there and back', async () => {
    const reply = await invoke(client, 'Echo', 'héllo\0wörld');
    assert.ok(Buffer.isBuffer(reply));
    assert.equal(reply.toString(), 'héllo\0wörld');
  });

  test('sends the part of a buffer that it is given', async () => {
    const part = new Uint8Array([0, 1, 2, 3, 4]).subarray(1, 4);
    const reply = await client.invoke('text', '/test.Test/Echo', part, { timeoutMs });
    assert.deepEqual([...reply], [1, 2, 3]);
  });

  test('takes an empty message for a message', async () => {
    assert.equal((await client.invoke('text', '/test.Test/Echo')).length, 0);
  });

  test('carries 16 MiB both ways', async () => {
    const data = randomBytes(16 * 1024 * 1024);
    const reply = await invoke(client, 'Reverse', data);
    assert.ok(reply.equals(Buffer.from(data).reverse()));
  });

  test('names the plugin in the metadata, or nobody', async () => {
    const named = JSON.parse(await invoke(client, 'Metadata', ''));
    assert.equal(Buffer.from(named['plugind-plugin'], 'hex').toString(), 'text');
    const unnamed = JSON.parse(await client.invoke(null, '/test.Test/Metadata'));
    assert.ok(!('plugind-plugin' in unnamed));
  });

  const pairs = { 'x-text': 'plain', 'x-data-bin': Buffer.from([0, 255]) };
  for (const metadata of [pairs, new Map(Object.entries(pairs))]) {
    test(`sends metadata from a ${metadata.constructor.name}`, async () => {
      const seen = JSON.parse(await invoke(client, 'Metadata', '', { metadata }));
      assert.equal(Buffer.from(seen['x-text'], 'hex').toString(), 'plain');
      assert.equal(seen['x-data-bin'], '00ff');
    });
  }

  for (const [name, value] of [['X-Upper', 'v'], ['x-text', 'two\nlines'], ['x\0y', 'v']]) {
    test(`refuses the metadata ${JSON.stringify([name, value])}`, async () => {
      const metadata = [[name, value]];
      const refused = failsWith(Code.INVALID_ARGUMENT, '', /is not allowed/);
      await assert.rejects(invoke(client, 'Echo', '', { metadata }), refused);
    });
  }

  test('passes on code, reason and message of an error', async () => {
    const failure = failsWith(Code.INVALID_ARGUMENT, 'TEST_REASON', /^the tëst failed$/);
    await assert.rejects(invoke(client, 'Fail', ''), failure);
    const line = await invoke(client, 'Fail', '').catch(String);
    assert.equal(line, 'INVALID_ARGUMENT (TEST_REASON): the tëst failed');
  });

  test('has no reason for an error without details', async () => {
    const failure = failsWith(Code.NOT_FOUND, '', /^no such thing$/);
    await assert.rejects(invoke(client, 'FailPlain', ''), failure);
    assert.equal(await invoke(client, 'FailPlain', '').catch(String), 'NOT_FOUND: no such thing');
  });

  test('ends a call at its timeout and goes on', async () => {
    const late = invoke(client, 'Wait', '', { timeoutMs: 50 });
    await assert.rejects(late, (error) => error.code === Code.DEADLINE_EXCEEDED);
    assert.equal((await invoke(client, 'Echo', 'on')).toString(), 'on');
  });

  test('makes as many calls at once as there are threads but one', async () => {
    const meeting = Array.from({ length: slots }, () => invoke(client, 'Meet', String(slots)));
    assert.equal((await Promise.all(meeting)).length, slots);
  });

  test('leaves the event loop and the file system free while calls wait', async () => {
    let settled = 0;
    const calls = Array.from({ length: slots + 5 }, () =>
      invoke(client, 'Door', 'x').finally(() => (settled += 1)),
    );
    await readFile(new URL(import.meta.url));
    await new Promise(setImmediate);
    assert.equal(settled, 0);
    // All of libplugind's slots wait at the door, so it is opened from elsewhere.
    await server.open();
    assert.equal(String(await Promise.all(calls)), calls.map(() => 'x').join());
  });

  test('makes many calls in any order', async () => {
    const calls = Array.from({ length: 500 }, async (_, i) => {
      const data = randomBytes(1000 + i);
      assert.ok((await invoke(client, 'Reverse', data)).equals(data.reverse()));
    });
    await Promise.all(calls);
  });

  test('reads the address from the environment', async () => {
    process.env.PLUGIND_SOCKET = server.address;
    const other = await connect();
    delete process.env.PLUGIND_SOCKET;
    assert.equal((await invoke(other, 'Echo', 'x')).toString(), 'x');
    other.close();
  });

  test('refuses calls when closed', async () => {
    const other = await connect({ address: server.address });
    other.close();
    other.close();
    await assert.rejects(invoke(other, 'Echo', ''), failsWith(Code.FAILED_PRECONDITION, ''));
  });

  test('lets a call in flight finish when it is closed', async () => {
    const other = await connect({ address: server.address });
    const late = invoke(other, 'Wait', '', { timeoutMs: 200 });
    const open = openSockets();
    other.close();
    await assert.rejects(late, (error) => error.code === Code.DEADLINE_EXCEEDED);
    assert.ok(openSockets() < open || process.platform !== 'linux');
  });

  test('refuses arguments of the wrong kind', async () => {
    await assert.rejects(client.invoke('text', '/test.Test/Echo', 'text'), TypeError);
    await assert.rejects(client.invoke('te\0xt', '/test.Test/Echo'), /zero byte/);
    await assert.rejects(client.invoke('text', 5), TypeError);
    for (const bad of [0, -1, NaN, Infinity]) {
      await assert.rejects(invoke(client, 'Echo', '', { timeoutMs: bad }), RangeError);
    }
    assert.throws(() => new Client(), TypeError);
  });
});
