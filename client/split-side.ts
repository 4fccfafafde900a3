/** The daemon's pieces about what goes around the tunnel, and its report of itself; joined by daemon.ts. */

import type { Log } from '../shared/core/base/ports.ts';
import { run } from '../shared/node/run.ts';
import type { LogRing } from './control/log-ring.ts';
import type { Methods } from './control/methods.ts';
import { placeNow } from './control/snapshot.ts';
import { SplitDesk } from './control/split-desk.ts';
import { diagnosisText } from './diagnostics/bundle.ts';
import type { Driver } from './driver/driver.ts';
import { dnsLinkName } from './host/dns/own-link.ts';
import type { Journal } from './host/journal.ts';
import { type Following, followNetwork } from './host/network/follow.ts';
import { openNetworkSource } from './host/network/watch.ts';
import type { HostDns } from './host/private-dns.ts';
import type { ProxyTunnel } from './host/proxy-tunnel.ts';
import type { SplitParts } from './host/split-parts.ts';
import type { Vitals } from './host/vitals.ts';
import type { EdgeStore } from './settings/edges.ts';
import type { SettingsStore } from './settings/store.ts';

interface SplitSources {
  readonly splitParts: SplitParts;
  readonly settings: SettingsStore;
  readonly edges: EdgeStore;
  readonly logs: LogRing;
  readonly journal: Journal;
  readonly driver: Driver;
  readonly proxy: ProxyTunnel;
  readonly dns: HostDns;
  readonly methods: () => Methods;
}

/** Names and proxy follow the rules from here on. */
export function makeSplit(sources: SplitSources): SplitDesk {
  const { splitParts, settings, edges, logs, journal, driver, proxy, dns, methods } = sources;
  splitParts.split.onChange(() => {
    dns.handleWatchChange();
    void proxy.handleRules();
  });
  return new SplitDesk({
    ...splitParts,
    run,
    now: () => placeNow(driver.state, settings.current, edges.list()),
    status: () => methods().status(),
    diagnosis: async () => {
      const status = await methods().status();
      return diagnosisText({ status, settings: methods().settings(), logs, journal, run });
    },
  });
}

interface NetworkSources {
  readonly splitParts: SplitParts;
  readonly settings: SettingsStore;
  readonly driver: Driver;
  readonly vitals: Vitals;
  /** The machine is in another network. */
  readonly onMoved: () => void;
  readonly log: Log;
}

/** From here on the driver, the vitals and the rules hear of the networks around. */
export function watchNetwork(sources: NetworkSources): Following {
  const { splitParts, settings, driver, vitals, onMoved, log } = sources;
  return followNetwork({
    source: openNetworkSource(log),
    send: (event) => driver.send(event),
    vitals,
    own: () => [settings.current['tunnel.interface'], dnsLinkName],
    onMoved,
    onNews: (news) => splitParts.handleNetworkNews(news),
    log,
  });
}
