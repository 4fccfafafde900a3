/**
 * Composition root of the flow worker: the tunnel with a TCP/IP stack inside, and the proxy on it. Started as a
 * worker by daemon.ts, never imported.
 */

import { runFlowThread } from '../shared/node/flows/flow-thread-body.ts';
import { makeProxyRole } from './proxy/role.ts';

runFlowThread(makeProxyRole);
