/** Composition of private DNS: the resolver, the system's side of it, the guard of port 53. Opens nothing. No logic. */

import type { Log } from '../shared/core/base/ports.ts';
import type { Clock } from '../shared/node/clock.ts';
import { systemEntropy } from '../shared/node/entropy.ts';
import { hold } from '../shared/node/hold.ts';
import { run } from '../shared/node/run.ts';
import { systemFiles } from './host/dns/host-files.ts';
import { systemNameServers } from './host/dns/name-servers.ts';
import { otherResolver } from './host/dns/other-resolver.ts';
import { openOwnLink } from './host/dns/own-link.ts';
import { SystemDns } from './host/dns/system-dns.ts';
import { DnsGuard, plainDnsMark } from './host/firewall/dns-guard.ts';
import type { NameOpening } from './host/firewall/name-opening.ts';
import type { Journal } from './host/journal.ts';
import { HostDns } from './host/private-dns.ts';
import { undoDns } from './host/restore.ts';
import { tunnelMark } from './host/routes/plan.ts';
import { systemSysctl } from './host/sysctl.ts';
import type { AnswerWatch } from './resolver/pipeline.ts';
import { PrivateDns, type PrivateDnsSettings } from './resolver/private-dns.ts';
import { edgeDnsSettings, privateDnsSettings, stubPlaces } from './settings/dns-settings.ts';
import type { SettingsStore } from './settings/store.ts';

export interface DnsSideParts {
  readonly settings: SettingsStore;
  readonly journal: Journal;
  readonly watch: AnswerWatch;
  /** Servers that the daemon may ask beside the tunnel. */
  readonly names: NameOpening;
  /** Of a sign-in that the network wants: these are asked of the network. */
  readonly signInNames?: () => readonly string[];
  readonly clock: Clock;
  readonly log: Log;
}

/** Private DNS and the system's side of it. Nothing is opened. */
export function makeDns({ settings, journal, watch, names, signInNames, clock, log }: DnsSideParts): {
  dns: HostDns;
  system: SystemDns;
} {
  const entropy = systemEntropy();
  const system = new SystemDns({
    files: systemFiles,
    run,
    journal,
    clock,
    log,
    etc: '/etc',
    choice: () => settings.current['dns.system'],
    onLost: (rival) => {
      log.warn('another program keeps taking the DNS of this system back', { rival: rival ?? 'unknown' });
      dns.handleLost();
    },
  });
  const dns = new HostDns({
    settingsFor: (transport) =>
      withSignIn(privateDnsSettings(settings.current, transport), signInNames?.() ?? []),
    settingsBefore: (edgeServers) => edgeDnsSettings(settings.current, edgeServers),
    places: () => stubPlaces(settings.current),
    around: { mark: tunnelMark, open: (servers) => names.set(servers) },
    open: (given, edgeServers, around) =>
      new PrivateDns(given, {
        clock,
        log,
        entropy,
        networkServers: () => networkServers(system),
        edgeServers,
        plainMark: plainDnsMark,
        around,
        watch,
      }),
    system,
    mayChange: () => process.getuid?.() === 0,
    undoLeft: () => undoDns(journal, { run, sysctl: systemSysctl }),
    guard: new DnsGuard({ hold, log }),
    guardPlan: (owner) => ({
      isWanted: settings.current['dns.guardPort53'],
      other: otherResolver(owner, networkServers(system)),
    }),
    openLink: openOwnLink,
    run,
    log,
  });
  return { dns, system };
}

/** Answers of the network's own servers are never kept, so nothing of a sign-in outlives it. */
function withSignIn(settings: PrivateDnsSettings, names: readonly string[]): PrivateDnsSettings {
  return names.length === 0 ? settings : { ...settings, signInNames: names };
}

/** Those that the system's files name now, and those that they named before ours stood there. */
export function networkServers(system: SystemDns): readonly string[] {
  return [...new Set([...system.networkServers, ...systemNameServers()])];
}
