/** Joins the keeper of safe sessions to the connection, the tunnel and the edge's API. */

import { decodeBase64Key } from '../../shared/core/base/bytes.ts';
import type { Log } from '../../shared/core/base/ports.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { Status } from '../../shared/core/control/status.ts';
import { publicKeyOf } from '../../shared/node/wgtools/keys.ts';
import type { Driver } from '../driver/driver.ts';
import type { TunnelPort } from '../driver/ports.ts';
import type { EnrollmentDesk } from '../enroll/enrollment-desk.ts';
import type { RegistrationStore } from '../enroll/registrations.ts';
import type { EdgeStore } from '../settings/edges.ts';
import type { SettingsStore } from '../settings/store.ts';
import { agreeOnSession } from './agree.ts';
import { SessionKeeper, type SessionKeys } from './session-keeper.ts';

/** A tunnel whose keys can be other ones than its file's. */
export interface RekeyedTunnel extends Pick<TunnelPort, 'status'> {
  rekey(keys: SessionKeys | undefined, present: 'goes on' | 'ends'): Promise<void>;
}

export interface FollowQuantumParts {
  readonly driver: Pick<Driver, 'state' | 'onChange'>;
  /** Of the whole device. */
  readonly tunnel: RekeyedTunnel;
  readonly proxy: RekeyedTunnel;
  readonly enrollment: Pick<EnrollmentDesk, 'call'>;
  readonly edges: Pick<EdgeStore, 'profile'>;
  readonly registrations: Pick<RegistrationStore, 'find'>;
  readonly settings: Pick<SettingsStore, 'current' | 'onChange'>;
  readonly log: Log;
}

export interface QuantumSide {
  /** `edge.quantum`, while the tunnel in use is safe. */
  shown(status: Status): Status;
  close(): void;
}

export function followQuantum(parts: FollowQuantumParts): QuantumSide {
  const { driver, enrollment, edges, registrations, settings, log } = parts;
  /** The one that has a session's keys keeps being meant until it has its own again. */
  let inUse: RekeyedTunnel | undefined;
  const tunnel = (): RekeyedTunnel => {
    const { state } = driver;
    if ('reach' in state) inUse = state.reach === 'proxy' ? parts.proxy : parts.tunnel;
    return inUse ?? parts.tunnel;
  };
  const keeper = new SessionKeeper({
    connectedTo: () => {
      const { state } = driver;
      if (state.kind !== 'connected') return undefined;
      // An edge whose file was imported has no such call.
      return registrations.find(state.edge) === undefined ? undefined : state.edge;
    },
    isWanted: () => settings.current.quantum,
    agree: async (edge) => {
      const edgeKey = decodeBase64Key(registrations.find(edge)?.edgeKey ?? '');
      const { privateKey } = edges.profile(edge).config.interface;
      if (edgeKey === undefined || privateKey === undefined) throw new CulvertError('not-registered');
      const deviceKey = publicKeyOf(privateKey);
      return agreeOnSession({
        deviceKey,
        edgeKey,
        ask: (request) => enrollment.call(edge, 'openSession', request),
      });
    },
    rekey: (keys, present) => tunnel().rekey(keys, present),
    status: () => tunnel().status(),
    onChange: () => undefined,
    log,
  });
  driver.onChange(() => keeper.handleChange());
  settings.onChange(() => keeper.handleChange());
  return {
    shown: (status) => {
      if (!keeper.isHeld || status.edge === undefined || status.state !== 'connected') return status;
      return { ...status, edge: { ...status.edge, quantum: true } };
    },
    close: () => keeper.close(),
  };
}
