// A call through libplugind waits in one of libuv's threads.  Node's file system and DNS functions
// need those too, so one thread is always left to them; calls beyond that wait here, in order.
import { Code, PlugindError } from './error.js';

export class ThreadSlots {
  #free;
  #bound;
  #waiting = new Set(); // keeps the order of insertion

  /** At most `slots` holders at once, and at most `bound` waiting for their turn. */
  constructor(slots, bound) {
    this.#free = slots;
    this.#bound = bound;
  }

  /** Resolves when the caller holds a slot; rejects when `timeoutMs` passes first. */
  acquire(timeoutMs) {
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve();
    }
    if (this.#waiting.size >= this.#bound) {
      const message = `${this.#bound} calls already wait for a thread; make fewer at once`;
      return Promise.reject(new PlugindError(Code.RESOURCE_EXHAUSTED, '', message));
    }
    return new Promise((resolve, reject) => {
      const waiter = { resolve, timer: undefined };
      this.#waiting.add(waiter);
      if (timeoutMs !== undefined) waiter.timer = this.#expire(waiter, timeoutMs, reject);
    });
  }

  release() {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free += 1;
      return;
    }
    this.#waiting.delete(next);
    clearTimeout(next.timer);
    next.resolve();
  }

  #expire(waiter, timeoutMs, reject) {
    return setTimeout(() => {
      this.#waiting.delete(waiter);
      const message =
        `the call waited ${timeoutMs} ms for a free thread; raise UV_THREADPOOL_SIZE, ` +
        'its timeout, or make fewer calls at once';
      reject(new PlugindError(Code.DEADLINE_EXCEEDED, '', message));
    }, timeoutMs);
  }
}

const DEFAULT_POOL = 4; // libuv's
const MOST_KOFFI_CALLS = 256; // koffi's default bound of calls in flight
const MOST_WAITING = 10_000;

/** The slots of this process: libuv has one pool, whatever number of clients there is. */
export function processSlots(environment = process.env) {
  const pool = Number.parseInt(environment.UV_THREADPOOL_SIZE ?? '', 10) || DEFAULT_POOL;
  return new ThreadSlots(Math.min(Math.max(1, pool - 1), MOST_KOFFI_CALLS), MOST_WAITING);
}
