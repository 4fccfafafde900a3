/** Worker entry of culvert-wg: TUN inside, UDP outside. */

import { runTunTunnelThread } from '../dataplane/thread-body.ts';

runTunTunnelThread();
