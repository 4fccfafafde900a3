/**
 * The control API's operations about the split tunnel, the local network and the way of a packet. Decides nothing that
 * client/split does not.
 */

import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { formatAddress, formatPrefix } from '../../shared/core/base/ip.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { type HealthItem, healthItem } from '../../shared/core/control/health.ts';
import type {
  ExplainView,
  LanRequest,
  LanView,
  RouteWay,
  SplitList,
  SplitProgramRequest,
  SplitRoutes,
  SplitRuleRequest,
} from '../../shared/core/control/split-api.ts';
import {
  type Mode,
  type RuleServers,
  type Status,
  wholeDeviceModes,
} from '../../shared/core/control/status.ts';
import type { Handlers } from '../../shared/node/control/socket-server.ts';
import type { Run } from '../../shared/node/run.ts';
import type { Reach } from '../connection/state.ts';
import type { HostGuard } from '../host/guard.ts';
import type { ProgramGroup } from '../host/program-group.ts';
import type { SplitTunnel } from '../host/split-tunnel.ts';
import { NameSet } from '../resolver/name-set.ts';
import { effectivePrefixes } from '../split/effective.ts';
import { explainHost, hostIn } from '../split/explain.ts';
import { isIncludeOnly, ruleOf, type SplitRule, targetText } from '../split/rules.ts';

export interface SplitDeskOptions {
  readonly split: SplitTunnel;
  readonly programs: ProgramGroup;
  readonly guard: Pick<HostGuard, 'health'>;
  readonly run: Run;
  /** What the connection is now; `reach` undefined while it is off. */
  readonly now: () => {
    readonly mode: Mode;
    readonly reach: Reach | undefined;
    readonly interfaceName: string;
    /** Of the edge in use, or of the one that would be. */
    readonly allowedIps: readonly string[];
  };
  readonly status: () => Promise<Status>;
  readonly diagnosis: () => Promise<string>;
}

type SplitHandlers = Pick<Handlers, keyof SplitRoutes>;

const lookupTimeoutMs = 5000;

export class SplitDesk {
  readonly #options: SplitDeskOptions;

  constructor(options: SplitDeskOptions) {
    this.#options = options;
  }

  /** What the control socket serves. */
  handlers(): SplitHandlers {
    return {
      split: () => this.#list(),
      addSplitRule: (body) => this.#add(body),
      removeSplitRule: (body) => this.#remove(body),
      splitProgram: (body) => this.#program(body),
      lan: () => this.#lanView(),
      changeLan: (body) => this.#changeLan(body),
      explainRoute: ({ host }) => this.#explain(host),
      diagnosis: async () => ({ text: await this.#options.diagnosis() }),
    };
  }

  /** What the user should know while protection is on. */
  health(): readonly HealthItem[] {
    const { split, programs, guard, now } = this.#options;
    const { reach } = now();
    if (reach === undefined || reach === 'dns') return [];
    const items: HealthItem[] = [...guard.health()];
    if (isIncludeOnly(split.rules)) items.push(healthItem('split-include'));
    else if (split.rules.length > 0 || programs.list().length > 0) items.push(healthItem('split-rules'));
    if (split.lan !== undefined && reach === 'device') {
      const { until } = split.lan;
      const item = healthItem('lan-open');
      const text = `Devices of the network around you can be reached until ${until === undefined ? 'you close it' : new Date(until).toISOString()}.`;
      items.push({ ...item, text });
    }
    return items;
  }

  #list(): SplitList {
    const { split, programs, now } = this.#options;
    const rules = split.rules.map((rule) => ({
      mode: rule.mode,
      kind: rule.kind,
      target: targetText(rule),
      ...(rule.kind === 'host' ? { addresses: this.#learnedFor(rule) } : {}),
    }));
    const running = programs.list().map(({ pid, name }) => ({
      mode: 'exclude' as const,
      kind: 'program' as const,
      target: `${name} (${pid})`,
    }));
    const includeOnly = isIncludeOnly(split.rules);
    return { rules: [...rules, ...running], includeOnly, notes: notesFor(split.rules, now().mode) };
  }

  #learnedFor(rule: SplitRule): readonly string[] {
    const { learned } = this.#options.split;
    return learned
      .prefixes(rule.mode)
      .filter(({ address }) => {
        const found = learned.find(address)?.rule;
        return found !== undefined && targetText(found) === targetText(rule);
      })
      .map(({ address }) => formatAddress(address));
  }

  async #add(body: SplitRuleRequest): Promise<SplitList> {
    const { split, now } = this.#options;
    const rule = ruleFrom(body);
    if (effectivePrefixes(now().allowedIps, [...split.rules, rule]) === undefined) {
      throw new CulvertError('too-many-rules');
    }
    await split.add(rule);
    return this.#list();
  }

  async #remove(body: SplitRuleRequest): Promise<SplitList> {
    await this.#options.split.remove(ruleFrom(body));
    return this.#list();
  }

  async #program({ pid, outside }: SplitProgramRequest): Promise<SplitList> {
    const { programs, split } = this.#options;
    if (outside) await programs.add(pid);
    else programs.remove(pid);
    await split.handlePrograms();
    return this.#list();
  }

  #lanView(): LanView {
    const { split } = this.#options;
    const networks = split.local().map((one) => ({ interface: one.interfaceName, prefix: one.prefix }));
    const { lan } = split;
    if (lan === undefined) return { open: false, networks };
    return {
      open: true,
      ...(lan.until === undefined ? {} : { until: new Date(lan.until).toISOString() }),
      networks,
    };
  }

  async #changeLan({ open, forMs }: LanRequest): Promise<LanView> {
    const { split } = this.#options;
    if (open) await split.openLan(forMs);
    else await split.closeLan();
    return this.#lanView();
  }

  async #explain(text: string): Promise<ExplainView> {
    const { split, now } = this.#options;
    const host = hostIn(text);
    const { reach, interfaceName, allowedIps } = now();
    const own = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((one) => one.address));
    const view = {
      reach,
      interfaceName,
      allowedIps,
      rules: split.rules,
      hostRoutes: split.local(),
      granted: split.lan === undefined ? [] : split.local().map((one) => one.prefix),
      own,
      proxyGoesAround: true,
      learned: split.learned,
    };
    const byProxy = reach === 'proxy';
    // In mode proxy the far end looks names up: asking here would tell the network.
    const found = isIP(host) !== 0 || byProxy ? [] : await addressesOf(host);
    const ways = explainHost(view, host, found);
    const status = await this.#options.status();
    const edgePath = edgePathIn(status);
    const beside = status.state === 'connected' ? (status.dns?.besideTunnel ?? []) : [];
    const asked = isIP(host) === 0 && !byProxy;
    const noted = ways.map((way) => withQuestions(way, beside));
    return {
      host,
      ...(asked ? { resolved: askedHow(host, beside) } : {}),
      ways: await Promise.all(noted.map((way) => this.#completed(way, edgePath))),
    };
  }

  /** With what the kernel would do, and the edge. */
  async #completed(way: RouteWay, edgePath: string | undefined): Promise<RouteWay> {
    const { run, now } = this.#options;
    const path = way.path === 'tunnel' ? edgePath : undefined;
    const taken =
      way.address === undefined || now().reach === 'proxy' ? undefined : await kernelWay(way.address, run);
    return {
      ...way,
      ...(taken === undefined ? {} : { interface: taken }),
      ...(path === undefined ? {} : { edgePath: path }),
    };
  }
}

function ruleFrom({ kind, target, mode }: SplitRuleRequest): SplitRule {
  const rule = ruleOf(kind, target, mode);
  if (typeof rule === 'string') throw new CulvertError('bad-rule', { text: rule });
  if (rule.kind === 'ip' && rule.mode === 'exclude' && rule.prefix.bits === 0) {
    throw new CulvertError('bad-rule', {
      text: `${formatPrefix(rule.prefix)} is everything: that is no tunnel at all.`,
      remedy: 'Turn protection off instead: culvert disconnect',
    });
  }
  return rule;
}

/** Who looks a name up, in words. */
function askedHow(host: string, beside: readonly RuleServers[]): string {
  const names = new NameSet<RuleServers>();
  for (const one of beside) names.add(one.name, one);
  const rule = names.find(host.toLowerCase().replace(/\.$/, ''))?.value;
  if (rule === undefined) return 'the resolver of this system, as programs ask it';
  const servers = rule.servers.join(', ');
  return `${servers === '' ? 'nobody' : servers}, outside the tunnel, since you gave ${rule.name} to the network`;
}

/** Programs do not reach such a server; we do, on port 53. */
function withQuestions(way: RouteWay, beside: readonly RuleServers[]): RouteWay {
  const { address } = way;
  const rules = beside.filter(({ servers }) => address !== undefined && servers.includes(address));
  if (rules.length === 0) return way;
  const names = rules.map(({ name }) => name).join(', ');
  return {
    ...way,
    why: `${way.why} Only culvert itself asks it outside the tunnel, on port 53, for ${names}.`,
  };
}

/** Where the edge told it. */
function edgePathIn(status: Status): string | undefined {
  const path: unknown = 'path' in status ? status.path : undefined;
  return typeof path === 'object' && path !== null && 'id' in path && typeof path.id === 'string'
    ? path.id
    : undefined;
}

function notesFor(rules: readonly SplitRule[], mode: Mode): readonly string[] {
  const hasNames = rules.some((rule) => rule.kind === 'host');
  if (mode === 'doh' || mode === 'dot') return ['This mode has no tunnel; the list waits for one that has.'];
  if (!hasNames || !wholeDeviceModes.includes(mode)) return [];
  return mode === 'tunnel' || mode === 'tunnel_only'
    ? [
        `Rules for names need the answers of DNS, which mode ${mode} does not see: use tunnel+doh or tunnel+dot.`,
      ]
    : ['A rule for a name holds from the first time that a program asks for the name.'];
}

async function addressesOf(name: string): Promise<readonly string[]> {
  const tooLate = new Promise<never>((_, reject) => {
    setTimeout(
      () => reject(new CulvertError('timeout', { text: `Nobody answers for the name ${name}.` })),
      lookupTimeoutMs,
    ).unref();
  });
  try {
    const found = await Promise.race([lookup(name, { all: true }), tooLate]);
    return found.map(({ address }) => address);
  } catch (cause) {
    if (cause instanceof CulvertError) throw cause;
    throw new CulvertError('unknown-host', { text: `The name ${name} has no address.`, cause });
  }
}

/** The interface of `ip route get`; undefined where there is none. */
async function kernelWay(address: string, run: Run): Promise<string | undefined> {
  try {
    const words = ['-o', 'route', 'get', address];
    const { stdout } = await run('ip', words, { allowFailure: true });
    return / dev (\S+)/.exec(stdout)?.[1];
  } catch {
    return undefined; // No `ip` on this machine: then the kernel's word is left out.
  }
}
