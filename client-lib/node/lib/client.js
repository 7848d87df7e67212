import koffi from 'koffi';

import { Code, PlugindError } from './error.js';
import { load } from './library.js';
import { processSlots } from './thread_slots.js';

const LONGEST_TIMER_MS = 2 ** 31 - 1; // what setTimeout can count
const ONLY_CONNECT = Symbol('connect');
const slots = processSlots();

export async function connect({ address, timeoutMs = 5000 } = {}) {
  const library = load();
  checkTimeout(timeoutMs);
  if (address !== undefined) checkString(address, 'address');
  const handle = await runInThread(library.pd_connect, timeoutMs, (remaining) => [
    address ?? null,
    remaining,
  ]);
  return new Client(ONLY_CONNECT, handle);
}

export class Client {
  #handle;
  #calls = 0;
  #closed = false;

  constructor(key, handle) {
    if (key !== ONLY_CONNECT) throw new TypeError('a Client is made by connect()');
    this.#handle = handle;
  }

  async invoke(plugin, method, request = new Uint8Array(0), options = {}) {
    const library = load();
    if (plugin !== null) checkString(plugin, 'plugin');
    checkString(method, 'method');
    checkTimeout(options.timeoutMs);
    if (!(request instanceof Uint8Array)) throw new TypeError('request must be a Uint8Array');
    if (this.#closed) {
      const message = 'the client is closed; connect again to call';
      throw new PlugindError(Code.FAILED_PRECONDITION, '', message);
    }

    const callOptions = newOptions(options.metadata);
    this.#calls += 1;
    try {
      const reply = await runInThread(library.pd_invoke, options.timeoutMs, (remaining) => {
        if (remaining !== undefined) library.pd_options_set_timeout_ms(callOptions, remaining);
        return [this.#handle, plugin, method, request, request.byteLength, callOptions];
      });
      return takeReply(reply);
    } finally {
      library.pd_options_free(callOptions);
      this.#calls -= 1;
      this.#freeWhenIdle();
    }
  }

  close() {
    this.#closed = true;
    this.#freeWhenIdle();
  }

  // pd_close frees the client, so it may only run when no thread is in a call: after close() the
  // call that ends last runs it.
  #freeWhenIdle() {
    if (!this.#closed || this.#calls > 0 || this.#handle === null) return;
    load().pd_close(this.#handle);
    this.#handle = null;
  }
}

// Calls `function_` in one of libuv's threads, with the arguments that `argumentsFor(remaining
// milliseconds)` gives when the thread is there, and a slot for the error as the last one.
async function runInThread(function_, timeoutMs, argumentsFor) {
  const start = performance.now();
  await slots.acquire(timeoutMs && Math.min(timeoutMs, LONGEST_TIMER_MS));
  try {
    // 0 would mean "no bound" to libplugind.
    const remaining = timeoutMs && Math.max(1, Math.ceil(timeoutMs - (performance.now() - start)));
    const error = [null];
    const arguments_ = argumentsFor(remaining);
    const result = await new Promise((resolve, reject) => {
      function_.async(...arguments_, error, (failure, value) => {
        // Naming them here keeps the buffers that the thread reads alive until it has ended.
        arguments_.length = 0;
        failure ? reject(failure) : resolve(value);
      });
    });
    if (result === null) throw takeError(error[0]);
    return result;
  } finally {
    slots.release();
  }
}

function newOptions(metadata = []) {
  const library = load();
  const options = library.pd_options_new();
  const pairs = Symbol.iterator in metadata ? metadata : Object.entries(metadata);
  for (const [name, value] of pairs) {
    const data = Buffer.from(value);
    const legal = typeof name === 'string' && !name.includes('\0');
    if (legal && library.pd_options_add_metadata(options, name, data, data.length) === 0) continue;
    library.pd_options_free(options);
    const message =
      `metadata ${JSON.stringify(name)} = ${JSON.stringify(String(value))} is not allowed; names ` +
      'are lower case, values printable ASCII unless the name ends in "-bin"';
    throw new PlugindError(Code.INVALID_ARGUMENT, '', message);
  }
  return options;
}

function takeReply(reply) {
  const library = load();
  try {
    const size = library.pd_reply_size(reply);
    // The view is of the library's memory; Buffer.from copies what it is given a view of.
    const view = new Uint8Array(koffi.view(library.pd_reply_data(reply), size));
    return Buffer.from(view);
  } finally {
    library.pd_reply_free(reply);
  }
}

function takeError(error) {
  const library = load();
  try {
    return new PlugindError(
      library.pd_error_code(error),
      library.pd_error_reason(error),
      library.pd_error_message(error),
    );
  } finally {
    library.pd_error_free(error);
  }
}

function checkTimeout(timeoutMs) {
  if (timeoutMs === undefined) return;
  // 0 means "no bound" to libplugind, which is never what a program that computed 0 wants.
  if (!(timeoutMs > 0 && timeoutMs <= Number.MAX_SAFE_INTEGER)) {
    throw new RangeError(`timeoutMs is ${timeoutMs}; it must be more than 0 and finite`);
  }
}

function checkString(text, what) {
  if (typeof text !== 'string') throw new TypeError(`${what} must be a string`);
  if (text.includes('\0')) throw new RangeError(`${what} contains a zero byte`);
}
