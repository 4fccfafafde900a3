/**
 * Composition root of the packet worker: the tunnel on a TUN interface. Started as a worker by
 * daemon.ts, never imported.
 */

import { runTunTunnelThread } from '../shared/node/dataplane/thread-body.ts';

runTunTunnelThread();
