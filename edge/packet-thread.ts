/** Composition root of the packet worker: a TUN interface inside, UDP outside. Not imported by anybody. */

import { runTunTunnelThread } from '../shared/node/dataplane/thread-body.ts';

runTunTunnelThread();
