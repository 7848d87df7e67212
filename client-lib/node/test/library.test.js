import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { libraryVersion } from 'plugind';

import { DECLARATIONS } from '../lib/library.js';
import { TestServer } from './support.js';

const header = new URL('../../include/plugind/plugind.h', import.meta.url);

function declarations(text) {
  return text
    .replace(/\/\*[^]*?\*\//g, '')
    .replace(/^\s*#.*$|extern "C" \{|^\}/gm, '')
    .split(';')
    .map((declaration) => declaration.replace('PD_API', '').trim().replace(/\s+/g, ' '))
    .filter((declaration) => declaration !== '')
    .sort();
}

test('the declarations are those of the header', () => {
  assert.deepEqual(declarations(DECLARATIONS), declarations(readFileSync(header, 'utf8')));
});

test('the version is that of the library', () => {
  assert.match(libraryVersion(), /^\d+\.\d+\.\d+/);
});

test('a missing library says what to do', () => {
  const source = "import('plugind').then(({ connect }) => connect())";
  const result = spawnSync(process.execPath, ['--eval', source], {
    cwd: new URL('.', import.meta.url),
    env: { PLUGIND_LIBRARY: '/nonexistent/libplugind.so' },
    encoding: 'utf8',
  });
  assert.match(result.stderr, /set PLUGIND_LIBRARY to the file.*nonexistent/);
});

test('the host in the README runs', async (t) => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const [, source] = /```js\n([^]*?)```/.exec(readme);
  const server = await TestServer.start();
  t.after(() => server.stop());
  const run = promisify(execFile);
  const result = await run(process.execPath, ['--input-type=module', '--eval', source], {
    cwd: new URL('..', import.meta.url),
    env: { ...process.env, PLUGIND_SOCKET: server.address },
  });
  assert.deepEqual(result, { stdout: 'hello\n', stderr: '' });
});
