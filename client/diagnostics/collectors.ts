/**
 * What a report is made of: named collectors, each with a time limit. One that fails says so in its place and stops
 * nobody else. Collects only our own tables, and nothing that programs do.
 */

import type { SettingEntry } from '../../shared/core/control/api.ts';
import type { Status } from '../../shared/core/control/status.ts';
import type { Run } from '../../shared/node/run.ts';
import { tableFamily, tableName } from '../host/firewall/policy.ts';
import type { HostChange } from '../host/journal.ts';
import { tunnelTable } from '../host/routes/plan.ts';

export interface Collector {
  readonly name: string;
  collect(): Promise<string> | string;
}

export interface CollectorSources {
  readonly status: Status;
  readonly settings: readonly SettingEntry[];
  readonly logs: { read(after: number): { readonly lines: readonly string[] } };
  readonly journal: { pending(): readonly HostChange[] };
  readonly run: Run;
}

const collectorTimeoutMs = 5000;
const maxLogLines = 300;
const maxSectionLength = 64 * 1024;
/** Free text that a person wrote: only whether it was changed is told. */
const privateSettings: ReadonlySet<string> = new Set([
  'edge',
  'dns.upstreams',
  'dns.fallback',
  'dns.block',
  'dns.allow',
  'dns.blockFiles',
  'dns.rebindAllow',
  'dns.caFile',
  'proxy.username',
  'proxy.password',
  'trusted',
  'trusted.networks',
]);

export function collectorsFor(sources: CollectorSources): readonly Collector[] {
  const { status, settings, logs, journal, run } = sources;
  const ask = (program: string, ...words: string[]): Promise<string> => output(run, program, words);
  return [
    {
      name: 'versions',
      collect: async () =>
        `culvert ${status.version}\nnode ${process.version}\n${await ask('uname', '-srm')}`,
    },
    { name: 'status', collect: () => JSON.stringify(status, undefined, 2) },
    { name: 'settings', collect: () => settings.map(settingLine).join('\n') },
    {
      name: 'changes to this machine',
      collect: () => journal.pending().map(changeLine).join('\n') || 'none',
    },
    { name: 'rules IPv4', collect: () => ask('ip', '-4', 'rule', 'show') },
    { name: 'rules IPv6', collect: () => ask('ip', '-6', 'rule', 'show') },
    {
      name: 'our routes IPv4',
      collect: () => ask('ip', '-4', 'route', 'show', 'table', String(tunnelTable)),
    },
    {
      name: 'our routes IPv6',
      collect: () => ask('ip', '-6', 'route', 'show', 'table', String(tunnelTable)),
    },
    { name: 'routes IPv4', collect: () => ask('ip', '-4', 'route', 'show') },
    { name: 'routes IPv6', collect: () => ask('ip', '-6', 'route', 'show') },
    { name: 'links', collect: () => ask('ip', '-brief', 'link', 'show') },
    { name: 'our firewall', collect: () => ask('nft', 'list', 'table', tableFamily, tableName) },
    { name: 'log', collect: () => infoLines(logs.read(0).lines).slice(-maxLogLines).join('\n') },
  ];
}

/** What it says, or in its place why it does not. Never rejects. */
export async function collected(collector: Collector): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve('(took too long)'), collectorTimeoutMs);
  });
  try {
    const text = await Promise.race([Promise.resolve(collector.collect()), limit]);
    return text.length > maxSectionLength ? `${text.slice(0, maxSectionLength)}\n(cut here)` : text;
  } catch (error) {
    return `(not available: ${error instanceof Error ? error.message : String(error)})`;
  } finally {
    clearTimeout(timer);
  }
}

async function output(run: Run, program: string, words: readonly string[]): Promise<string> {
  const { exitCode, stdout } = await run(program, words, {
    allowFailure: true,
    timeoutMs: collectorTimeoutMs,
  });
  return exitCode === 0 ? stdout.trimEnd() || 'none' : 'none, or not to be seen by this user';
}

function settingLine({ name, value, default: usual }: SettingEntry): string {
  if (value === usual) return `${name} = ${String(usual)} (default)`;
  return `${name} = ${privateSettings.has(name) ? '(changed)' : String(value)}`;
}

/** Contents of files are not told: they may hold anything. */
function changeLine(change: HostChange): string {
  const { kind, ...rest } = change;
  const told = Object.entries(rest).filter(([name]) => !['before', 'after', 'written'].includes(name));
  return `${kind} ${told.map(([name, value]) => `${name}=${Array.isArray(value) ? value.join(' ') : String(value)}`).join(' ')}`;
}

/** Lines of level info and above: names and addresses appear below that only. */
function infoLines(lines: readonly string[]): readonly string[] {
  return lines.filter((line) => {
    try {
      const { level } = JSON.parse(line) as { level?: unknown };
      return level !== 'debug' && level !== 'trace' && level !== 20 && level !== 10;
    } catch {
      return false; // Not one of ours.
    }
  });
}
