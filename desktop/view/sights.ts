// What others on this network can see, in each state: the card under the switch. Pure. Where the daemon says nothing it
// says that nobody knows.
import type { Snapshot } from '../bridge/ipc.ts';
import type { Seen, Sight } from './texts/catalogue.ts';

export type Sights = Readonly<Record<Sight, Seen>>;

const open: Sights = { names: 'visible', addresses: 'visible', content: 'visible', amount: 'visible' };
const closed: Sights = { names: 'hidden', addresses: 'hidden', content: 'hidden', amount: 'visible' };
const partly: Sights = { names: 'partly', addresses: 'partly', content: 'partly', amount: 'visible' };
const onlyNames: Sights = { ...open, names: 'hidden' };
const unknown: Sights = { names: 'unknown', addresses: 'unknown', content: 'unknown', amount: 'visible' };

export function sightsOf(snapshot: Snapshot | undefined): Sights {
  if (snapshot?.daemon !== 'answers') return unknown;
  switch (snapshot.key) {
    case 'connected':
    case 'locked':
      return leaks(snapshot) ? partly : closed;
    case 'connected-proxy':
    case 'connected-split':
      return partly;
    case 'dns':
      // An encrypted page still begins with the name of its site in the clear.
      return { ...onlyNames, names: 'partly' };
    case 'connecting':
    case 'waiting':
    case 'blocked':
    case 'portal':
      return waits(snapshot);
    default:
      return open;
  }
}

/** While it waits: a whole device is closed, the proxy closes only itself, private look-ups close nothing but names. */
function waits(snapshot: Extract<Snapshot, { daemon: 'answers' }>): Sights {
  const { mode } = snapshot.status;
  if (mode === 'proxy') return partly;
  if (mode === 'doh' || mode === 'dot') return { ...onlyNames, names: 'partly' };
  return leaks(snapshot) ? partly : closed;
}

function leaks({ status }: Extract<Snapshot, { daemon: 'answers' }>): boolean {
  const leaking = ['cannot-block', 'split-rules', 'split-include', 'split-tunnel', 'split-proxy', 'lan-open'];
  const isNamesLeft = status.mode === 'tunnel_only';
  return isNamesLeft || status.health.some((item) => leaking.includes(item.code));
}
