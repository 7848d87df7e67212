// The service of matrix.proto, for the server and for the client.
import { fileURLToPath } from 'node:url';

import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const proto = fileURLToPath(new URL('../matrix.proto', import.meta.url));
const loaded = grpc.loadPackageDefinition(loadSync(proto, { defaults: true }));

export const { Matrix } = loaded.plugind.matrix.v1;
