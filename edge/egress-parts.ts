/** What an edge needs of the backend that lets its devices out, and what it gives it. Types only. */

import type { Log } from '../shared/core/base/ports.ts';
import type { UnixMs } from '../shared/core/base/time.ts';
import type { TunnelBackend } from '../shared/node/dataplane/messages.ts';
import type { EgressCounts } from './admin/status.ts';
import type { EdgeConfig } from './config.ts';
import type { DeviceDelta, DeviceEntry } from './egress/devices.ts';
import type { PathStatus } from './egress/egress-paths.ts';
import type { PathsAnswer, PathsQuestion } from './egress/paths-question.ts';
import type { HostJournal } from './host/journal.ts';
import type { EdgeIdentity } from './identity.ts';
import type { DeviceChanges } from './peers/sync-plan.ts';
import type { Teardown } from './teardown.ts';

/** A tunnel with its way out, running. What was made for it is in the teardown. */
export interface EdgeEgress {
  readonly tunnel: TunnelBackend;
  /** Undefined where the kernel forwards and does not tell. */
  counts(): Promise<EgressCounts | undefined>;
  /** Packets that the kernel's guard dropped since the start, by reason; absent where there is none. */
  guardDrops?(): Promise<Readonly<Record<string, number>>>;
  /** Throws CulvertError. */
  paths(question: PathsQuestion): Promise<PathsAnswer>;
  /** The ways out as they do now; absent where the counts have them. */
  pathStatus?(): Promise<readonly PathStatus[]>;
  /** Applies peers, openings and what is closed. On an error all stays as it was. */
  reload(before: EdgeConfig, after: EdgeConfig): Promise<void>;
  /** Devices of the store changed; the tunnel has followed already. What is cut is silent when it resolves. */
  follow(change: DeviceFollowing): Promise<void>;
}

export interface DeviceFollowing extends Pick<DeviceChanges, 'cut'> {
  /** For those who keep a list of their own. */
  readonly delta: DeviceDelta;
}

export interface EgressParts {
  readonly config: EdgeConfig;
  /** The configuration as it is now, after reloads. */
  readonly current: () => EdgeConfig;
  /** Of the store, as they are now; peers of edge.yaml are not among them. */
  readonly devices: () => readonly DeviceEntry[];
  /** Of the store: whether this is the key of one. */
  readonly isStoreKey: (publicKey: Uint8Array) => boolean;
  /** Where the gateway finds the API of devices. */
  readonly apiSocket: string;
  readonly identity: EdgeIdentity;
  readonly journal: HostJournal;
  /** Of the control socket, which a kill leaves behind. */
  readonly socketPath: string;
  readonly teardown: Teardown;
  readonly log: Log;
  readonly unixNow: () => UnixMs;
  /** The tunnel has ended by itself. */
  readonly onEnd: (why: 'gone' | 'failed', detail: string) => void;
}
