// Compiled, never run: what a TypeScript host writes has to fit lib/index.d.ts.
import { Client, Code, PlugindError, connect, libraryVersion } from 'plugind';

export async function host(request: Uint8Array): Promise<Uint8Array> {
  const client: Client = await connect({ address: '/run/x.sock', timeoutMs: 100 });
  try {
    const metadata = { 'x-a': 'b', 'x-b-bin': new Uint8Array(1) };
    return await client.invoke(null, '/a.B/C', request, { timeoutMs: 5, metadata });
  } catch (error) {
    if (error instanceof PlugindError && error.code === Code.NOT_FOUND) console.log(error.reason);
    // @ts-expect-error the code is a number
    if (error instanceof PlugindError && error.code === 'NOT_FOUND') console.log();
    throw error;
  } finally {
    client.close();
  }
}

// @ts-expect-error a request is bytes
export const wrong = async () => (await connect()).invoke('text', '/a.B/C', 'text');

export const version: string = libraryVersion();
