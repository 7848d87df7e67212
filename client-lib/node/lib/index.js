// Call plugins that the plugind daemon runs.  The types and their documentation are in index.d.ts.
export { Client, connect } from './client.js';
export { Code, PlugindError } from './error.js';
export { libraryVersion } from './library.js';
