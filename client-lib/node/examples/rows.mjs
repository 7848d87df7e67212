// Prints one line a call, and remembers whether all were as expected.
const MIB = 1024 * 1024;

export class Rows {
  #failed = 0;

  constructor(host, route) {
    this.host = host;
    this.route = route;
  }

  /** Runs makeCall, which resolves to [asExpected, result], and prints its row. */
  async show(plugin, call, makeCall) {
    const start = performance.now();
    const [ok, result] = await makeCall().catch((error) => [false, String(error)]);
    const milliseconds = (performance.now() - start).toFixed(1);
    const short = result.trim().replace(/\s+/g, ' ').slice(0, 80);
    const verdict = ok ? 'ok' : 'FAIL';
    console.log([this.host, this.route, plugin, call, verdict, short, milliseconds].join('\t'));
    if (!ok) this.#failed += 1;
  }

  exitCode() {
    return this.#failed ? 1 : 0;
  }
}

/** 16 MiB that differ from their own reverse. */
export function bigBuffer() {
  const buffer = Buffer.alloc(16 * MIB);
  for (let i = 0; i < buffer.length; i += 1) buffer[i] = i % 251;
  return buffer;
}

export function checkReverse(data, reply) {
  const expected = Buffer.from(data).reverse();
  return [expected.equals(reply), `${reply.length / MIB} MiB came back reversed`];
}
