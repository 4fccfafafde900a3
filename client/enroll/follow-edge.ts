/** Joins the follower of an edge's configuration to the connection. */

import type { Log } from '../../shared/core/base/ports.ts';
import { type ConnectionState, isOffline, type Reach } from '../connection/state.ts';
import type { Driver } from '../driver/driver.ts';
import { ConfigFollower, type LookEvent } from './config-follower.ts';
import type { EnrollmentDesk } from './enrollment-desk.ts';
import { SilentEdge } from './silent-edge.ts';

export interface FollowParts {
  readonly driver: Driver;
  readonly enrollment: EnrollmentDesk;
  /** Of an edge that does not answer on its tunnel: from outside of it. */
  readonly refreshSilent: (edge: string) => Promise<boolean>;
  /** Of the mode that is set now. */
  readonly reach: () => Reach;
  /** An edge says that it ends: another one may take over. */
  readonly onStopping?: (edge: string) => void;
  /** The edge wants to know what of it can be reached from here. */
  readonly onLook?: (edge: string, asked: LookEvent) => void;
  readonly log: Log;
}

/** The caller closes it. */
export function followEdge({
  driver,
  enrollment,
  refreshSilent,
  reach,
  onStopping,
  onLook,
  log,
}: FollowParts): ConfigFollower {
  const reconnect = (edge: string): void => driver.send({ kind: 'reconnect', edge, reach: reach() });
  const silent = new SilentEdge({
    refresh: refreshSilent,
    soughtEdge: () => soughtEdge(driver.state),
    reconnect,
    log,
  });
  const follower = new ConfigFollower({
    enrollment,
    silent,
    connectedTo: () => (driver.state.kind === 'connected' ? driver.state.edge : undefined),
    reconnect,
    ...(onStopping === undefined ? {} : { onStopping }),
    ...(onLook === undefined ? {} : { onLook }),
    log,
  });
  driver.onChange(() => {
    if (driver.state.kind === 'off') follower.forget();
    follower.handleChange();
  });
  return follower;
}

function soughtEdge(state: ConnectionState): string | undefined {
  const isSought = state.kind === 'connecting' || (state.kind === 'waiting' && !isOffline(state));
  return isSought && state.reach !== 'dns' ? state.edge : undefined;
}
