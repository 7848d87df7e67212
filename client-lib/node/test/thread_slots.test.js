import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Code } from 'plugind';

import { ThreadSlots, processSlots } from '../lib/thread_slots.js';

async function isPending(promise) {
  const pending = Symbol('pending');
  const turn = new Promise((resolve) => setImmediate(resolve, pending));
  return (await Promise.race([promise, turn])) === pending;
}

async function countFree(slots) {
  let free = 0;
  while (!(await isPending(slots.acquire()))) free += 1;
  return free;
}

test('slots are handed on in order', async () => {
  const slots = new ThreadSlots(1, 10);
  await slots.acquire();
  const second = slots.acquire();
  const third = slots.acquire();
  assert.ok(await isPending(second));
  slots.release();
  await second;
  assert.ok(await isPending(third));
  slots.release();
  await third;
});

test('a released slot is free again', async () => {
  const slots = new ThreadSlots(2, 10);
  await slots.acquire();
  slots.release();
  assert.equal(await countFree(slots), 2);
});

test('a wait ends at its timeout and leaves the queue', async () => {
  const slots = new ThreadSlots(1, 1);
  await slots.acquire();
  await assert.rejects(slots.acquire(1), { code: Code.DEADLINE_EXCEEDED });
  slots.release();
  assert.equal(await countFree(slots), 1);
});

test('the queue is bounded', async () => {
  const slots = new ThreadSlots(1, 1);
  await slots.acquire();
  const waiting = slots.acquire();
  await assert.rejects(slots.acquire(), { code: Code.RESOURCE_EXHAUSTED });
  slots.release();
  await waiting;
});

for (const [size, free] of [[undefined, 3], ['1', 1], ['16', 15], ['9999', 256], ['junk', 3]]) {
  test(`UV_THREADPOOL_SIZE ${size} gives ${free} slots`, async () => {
    assert.equal(await countFree(processSlots({ UV_THREADPOOL_SIZE: size })), free);
  });
}
