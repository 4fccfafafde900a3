/** Joins the follower of an edge's configuration to the connection. */

import type { Log } from '../../shared/core/base/ports.ts';
import type { Reach } from '../connection/state.ts';
import type { Driver } from '../driver/driver.ts';
import { ConfigFollower, type LookEvent } from './config-follower.ts';
import type { EnrollmentDesk } from './enrollment-desk.ts';

export interface FollowParts {
  readonly driver: Driver;
  readonly enrollment: EnrollmentDesk;
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
  reach,
  onStopping,
  onLook,
  log,
}: FollowParts): ConfigFollower {
  const follower = new ConfigFollower({
    enrollment,
    connectedTo: () => (driver.state.kind === 'connected' ? driver.state.edge : undefined),
    reconnect: (edge) => driver.send({ kind: 'reconnect', edge, reach: reach() }),
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
