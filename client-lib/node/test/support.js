import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import grpc from '@grpc/grpc-js';

/** A gRPC server process on a Unix socket, which can be ended and started again. */
export class TestServer {
  static async start() {
    const server = new TestServer();
    server.directory = await mkdtemp(join(tmpdir(), 'plugind-node-'));
    server.address = `unix:${server.directory}/server.sock`;
    await server.restart();
    return server;
  }

  async restart() {
    const script = fileURLToPath(new URL('server.mjs', import.meta.url));
    this.process = spawn(process.execPath, [script, this.address], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(this.process.stdout, 'data');
  }

  /** Calls /test.Test/Open without libplugind. */
  async open() {
    const client = new grpc.Client(this.address, grpc.credentials.createInsecure());
    const same = (bytes) => bytes;
    const call = promisify(client.makeUnaryRequest.bind(client));
    await call('/test.Test/Open', same, same, Buffer.alloc(0));
    client.close();
  }

  async ended() {
    const { exitCode, signalCode } = this.process;
    if (exitCode === null && signalCode === null) await once(this.process, 'exit');
  }

  /** Ends the server, which may be started again. */
  async end() {
    this.process.stdin.end();
    await this.ended();
  }

  async stop() {
    await this.end();
    await rm(this.directory, { recursive: true });
  }
}
