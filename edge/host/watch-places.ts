/** Puts together what looks after places on this host (place-watch.ts), its sources of knowledge and its measurements. */

import type { Clock } from '../../shared/node/clock.ts';
import type { FreeFlows } from './free-flows.ts';
import type { PathMeasures } from './kernel-path-measures.ts';
import type { KernelHostNames } from './kernel-path-names.ts';
import { PlaceWatch } from './place-watch.ts';
import { maxListed, trackedConnections } from './tracked-connections.ts';

export interface WatchedPlaces {
  readonly clock: Clock;
  readonly names: KernelHostNames;
  readonly free: FreeFlows;
  /** As they are now: a reload may bring others. */
  readonly measures: () => PathMeasures;
  readonly onMeasured: () => void;
}

export function watchPlaces({ clock, names, free, measures, onMeasured }: WatchedPlaces): PlaceWatch {
  return new PlaceWatch({
    now: () => clock.now(),
    readList: () => trackedConnections(maxListed),
    isFree: (flow) =>
      free.isFree(flow, {
        selector: measures().selector,
        nameOf: (device, address) => names.find(device, address, clock.now()),
        now: clock.now(),
      }),
    onUse: (address) => measures().places.noteUse(address, clock.now()),
    ageOf: (address) => measures().ageAt(address, clock.now()),
    measure: async (end) => {
      const isThere = await measures().measurePlace(end);
      onMeasured();
      return isThere;
    },
  });
}
