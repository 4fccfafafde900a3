/**
 * How a program gets through the tunnel now: which of the ways, or why not (product.md §5). Pure.
 */

import { CulvertError } from '../../shared/core/control/codes.ts';
import { type Status, wholeDeviceModes } from '../../shared/core/control/status.ts';
import type { ProxyDoor } from './settings.ts';

/** Whether this system lets us make a network for one program. */
export type IsolationVerdict =
  | { readonly ok: true; readonly ownUser: boolean }
  | { readonly ok: false; readonly reason: string };

export type ExecPlan =
  /** As it is: the whole device is in the tunnel. */
  | { readonly kind: 'plain'; readonly note: string }
  /** In a network of its own, whose only way out is the tunnel. */
  | { readonly kind: 'isolated'; readonly ownUser: boolean }
  /** With proxy variables. */
  | { readonly kind: 'variables'; readonly note: string };

export interface ExecFacts {
  readonly status: Pick<Status, 'mode' | 'state' | 'health'>;
  /** Asked only where it matters. */
  readonly isolation: () => IsolationVerdict;
  readonly strict: boolean;
}

/** Throws 'not-connected', 'not-proxy-mode' or 'exec-not-isolated'. */
export function planExec(facts: ExecFacts): ExecPlan {
  const { status, strict } = facts;
  if (wholeDeviceModes.includes(status.mode)) return planWholeDevice(status);
  if (status.mode !== 'proxy') {
    throw new CulvertError('not-proxy-mode', {
      text: `The mode ${status.mode} has no tunnel that a program could go through.`,
    });
  }
  if (status.state !== 'connected') throw notConnected(status.state);
  const isolation = facts.isolation();
  if (isolation.ok) return { kind: 'isolated', ownUser: isolation.ownUser };
  if (strict) {
    throw new CulvertError('exec-not-isolated', {
      text: `This system does not give a program a network of its own: ${isolation.reason}.`,
    });
  }
  return {
    kind: 'variables',
    note: `Only proxy variables lead this program into the tunnel, and nothing enforces them: ${isolation.reason}.`,
  };
}

function planWholeDevice(status: ExecFacts['status']): ExecPlan {
  const { state, health } = status;
  const has = (code: string): boolean => health.some((item) => item.code === code);
  // While leaving, the machine is closed, but soon it is open.
  if (state === 'off' || state === 'disconnecting' || has('cannot-block')) throw notConnected(state);
  const note = has('split-tunnel')
    ? 'The tunnel takes what its file names, from this program as from all others.'
    : 'The whole device is protected already, so the program runs as it is.';
  return { kind: 'plain', note };
}

function notConnected(state: string): CulvertError {
  return new CulvertError('not-connected', { text: `The tunnel is not up (state: ${state}).` });
}

/** Text like 127.0.0.1:40000 or [::1]:40000. Throws 'not-connected' where it makes no sense. */
export function parseDoor(text: string | undefined): ProxyDoor {
  const [, host, port] = /^\[?([0-9A-Fa-f.:]+?)\]?:(\d{1,5})$/.exec(text ?? '') ?? [];
  if (host === undefined || port === undefined) {
    throw new CulvertError('not-connected', { text: 'The daemon does not say where its proxy is.' });
  }
  return { host, port: Number(port) };
}
