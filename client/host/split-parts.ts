/**
 * Firewall, routes and the split tunnel, joined: what changes in the one is made so in the others, and what other
 * programs take away is made again. Builds; decides nothing.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import { secondMs } from '../../shared/core/base/time.ts';
import { readMessage } from '../../shared/core/dns/reader.ts';
import type { Clock } from '../../shared/node/clock.ts';
import type { Run } from '../../shared/node/run.ts';
import type { HostPort } from '../driver/ports.ts';
import type { AnswerWatch } from '../resolver/pipeline.ts';
import type { SplitFiles } from '../settings/split-files.ts';
import { ExamineOpening } from './firewall/examination.ts';
import { NameOpening } from './firewall/name-opening.ts';
import { NftablesFirewall } from './firewall/nftables.ts';
import { watchFirewall } from './firewall/watch.ts';
import { HostGuard } from './guard.ts';
import type { Journal } from './journal.ts';
import { lossIn } from './network/lost.ts';
import type { NetworkNews } from './network/source.ts';
import { ProgramGroup } from './program-group.ts';
import { IpRoutes } from './routes/ip-route.ts';
import { tunnelTable } from './routes/plan.ts';
import { SplitTunnel } from './split-tunnel.ts';
import type { SysctlFiles } from './sysctl.ts';

export interface SplitPartsOptions {
  readonly files: SplitFiles;
  readonly journal: Journal;
  readonly run: Run;
  readonly sysctl: SysctlFiles;
  readonly clock: Clock;
  readonly log: Log;
  /** Of the tunnel. */
  readonly interfaceName: () => string;
  /** Names of our own interfaces. */
  readonly own: () => readonly string[];
  /** False where this process may not change the network: then nothing is watched. */
  readonly mayChange: boolean;
}

export interface SplitParts {
  readonly split: SplitTunnel;
  readonly programs: ProgramGroup;
  readonly firewall: NftablesFirewall;
  readonly routes: IpRoutes;
  readonly guard: HostGuard;
  /** Servers that the daemon may ask beside the tunnel. */
  readonly names: NameOpening;
  /** What it may ask while somebody wants a diagnosis. */
  readonly examining: ExamineOpening;
  /** For the resolver: names that rules are about. */
  readonly watch: AnswerWatch;
  /** Lets go of firewall and routes before they are undone. */
  releasing(host: HostPort): HostPort;
  /** Links, addresses, routes or rules changed. */
  handleNetworkNews(news: NetworkNews): void;
  /** Watches no more. What holds stays. */
  close(): void;
}

/** Throws 'settings-unreadable' where the list on disk makes no sense. */
export function makeSplitParts(options: SplitPartsOptions): SplitParts {
  const { files, journal, run, sysctl, clock, log, own, interfaceName } = options;
  const programs = new ProgramGroup(run);
  // An opening is in the firewall before a route leads there, and a closing as well.
  const apply = async (): Promise<void> => {
    await firewall.refresh();
    await routes.refresh();
  };
  const split = new SplitTunnel({ files, clock, log, own, apply, outsideGroup: () => programs.group });
  const view = (): SplitTunnel['view'] => split.view;
  const names = new NameOpening(() => firewall.refresh());
  const examining = new ExamineOpening(() => firewall.refresh());
  const firewall = new NftablesFirewall({
    journal,
    run,
    log,
    split: view,
    ruleServers: () => names.servers,
    examined: () => examining.current,
  });
  const routes = new IpRoutes({ journal, run, sysctl, log, split: view });
  const guard = new HostGuard({ guarded: [firewall, routes], clock, log });
  const nftables = options.mayChange ? watchFirewall(() => guard.handleNews(), log) : undefined;
  return {
    split,
    programs,
    firewall,
    routes,
    guard,
    names,
    examining,
    watch: answerWatch(split, log),
    releasing: (host) => ({
      async restore() {
        await firewall.release();
        await routes.release();
        await host.restore();
      },
    }),
    handleNetworkNews(news) {
      const ours = { interfaceName: interfaceName(), table: tunnelTable, priorities: [tunnelTable] };
      if (lossIn(news, ours) !== undefined) guard.handleNews();
      split.handleNetworkNews();
    },
    close() {
      nftables?.close();
      guard.close();
      split.close();
      programs.close();
    },
  };
}

function answerWatch(split: SplitTunnel, log: Log): AnswerWatch {
  return {
    wants: (name) => split.wants(name),
    async learn(name, bytes) {
      const found = readMessage(bytes)?.addresses() ?? [];
      if (found.length === 0) return;
      const ttlMs = Math.min(...found.map(({ ttl }) => ttl)) * secondMs;
      try {
        await split.handleAnswer({ name, addresses: found.map(({ address }) => address), ttlMs });
      } catch (error) {
        // The name then goes the way of everything else, which is into the tunnel.
        log.warn('a name could not be sent around the tunnel', { text: String(error) });
      }
    },
  };
}
