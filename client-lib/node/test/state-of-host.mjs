// Prints whether libplugind changed its host: `state-of-host.mjs ADDRESS`, for connection.test.js.
//
// A process of its own, so that "before" is before the library is loaded.  The test ends the server
// when it has read the first line, then closes standard input.
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

const kept = /^(SigBlk|SigIgn|SigCgt|Threads):.*$/gm;
const state = () => readFileSync('/proc/self/status', 'utf8').match(kept);

await readFile('/proc/self/status'); // starts libuv's threads, which are Node's own
const before = state();
const changes = () => JSON.stringify(state().filter((line, i) => line !== before[i]));

const { connect } = await import('plugind');
const client = await connect({ address: process.argv[2] });
const echo = () => client.invoke('text', '/test.Test/Echo', undefined, { timeoutMs: 30_000 });
await echo();
console.log(`changed by load and call: ${changes()}`);
for await (const _ of process.stdin);
await echo().then(
  () => console.log('the server is still there'),
  () => console.log(`changed by its death: ${changes()}`),
);
client.close();
console.log(`changed by close: ${changes()}`);
