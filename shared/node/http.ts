/**
 * Node's HTTP/1.1, without what importing `node:http` brings along: an import reads every export, and some of them load
 * a browser's whole networking (fetch, WebSocket): 7 MB in a bare Node, about 2 in a daemon. Types are imported from
 * `node:http` as ever. Nothing of ours.
 */

import type * as Http from 'node:http';
import type { Agent as HttpAgent } from 'node:http';

const http: typeof Http = process.getBuiltinModule('node:http');

export const Agent: typeof http.Agent = http.Agent;
export type Agent = HttpAgent;
export const createServer: typeof http.createServer = http.createServer;
export const request: typeof http.request = http.request;
export const STATUS_CODES: typeof http.STATUS_CODES = http.STATUS_CODES;
