/**
 * What is around this machine: the network it is in, by the name of its Wi-Fi where there is one, and what of it the user
 * should know about. Asks; decides nothing.
 */

import { type HealthItem, healthItem } from '../../shared/core/control/health.ts';
import type { ConnectionState } from '../connection/state.ts';
import type { Surroundings } from '../liveness/rest.ts';
import { collisions, wayOut } from './network/fingerprint.ts';
import type { NetworkWatch } from './network/watch.ts';
import type { WifiPort } from './network/wifi.ts';

export interface SurroundingsOptions {
  /** Undefined until it is opened. */
  readonly network: () => Pick<NetworkWatch, 'current' | 'snapshot'> | undefined;
  readonly wifi: WifiPort;
  /** Names of our own interfaces. */
  readonly own: () => readonly string[];
  /** Networks of the tunnel: our own addresses in it with their length, and narrow AllowedIPs. */
  readonly tunnelPrefixes: () => readonly string[];
  readonly isLocked: () => boolean;
  readonly mtu: { readonly reduced: number | undefined; readonly isBroken: boolean };
}

/** The network of now. Rejects where nobody looked yet. */
export async function aroundNow(options: SurroundingsOptions): Promise<Surroundings> {
  const network = options.network();
  if (network?.snapshot === undefined) throw new Error('nobody looked yet');
  const name = wayOut(network.snapshot, new Set(options.own()));
  const ssid = name === undefined ? undefined : await options.wifi.ssid(name);
  return { ssid, wired: name !== undefined && !options.wifi.isWifi(name), network: network.current };
}

/** While a tunnel is wanted: ranges that the network around us uses, too. While off: that nothing leaves. */
export function hostHealth(state: ConnectionState, options: SurroundingsOptions): readonly HealthItem[] {
  if (state.kind === 'off') return options.isLocked() ? [healthItem('lockdown')] : [];
  if (!('reach' in state) || state.reach !== 'device') return [];
  // What a silent edge leaves unanswered says nothing about sizes.
  const sizes = state.kind === 'connected' ? sizeHealth(options) : [];
  return [...sizes, ...collisionHealth(options)];
}

function sizeHealth({ mtu }: SurroundingsOptions): readonly HealthItem[] {
  if (mtu.isBroken) return [healthItem('mtu-broken')];
  if (mtu.reduced === undefined) return [];
  const item = healthItem('mtu-reduced');
  return [{ ...item, text: `${item.text} (${mtu.reduced} bytes)` }];
}

function collisionHealth(options: SurroundingsOptions): readonly HealthItem[] {
  const snapshot = options.network()?.snapshot;
  if (snapshot === undefined) return [];
  const [found] = collisions(snapshot, options.tunnelPrefixes(), new Set(options.own()));
  if (found === undefined) return [];
  const item = healthItem('address-collision');
  const { tunnelPrefix, localPrefix, interfaceName } = found;
  const text = `${tunnelPrefix} of the tunnel and ${localPrefix} of the network on ${interfaceName} overlap; some addresses may lead to the wrong one.`;
  return [{ ...item, text }];
}
