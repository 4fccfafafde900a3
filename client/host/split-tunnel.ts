/**
 * The split tunnel of this machine as it is now: rules, names learned, the local network. Keeps them on disk, lets them
 * expire, and has firewall and routes follow without touching the tunnel. What they mean is computed in client/split.
 */

import { networkInterfaces } from 'node:os';
import type { Log } from '../../shared/core/base/ports.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { Clock } from '../../shared/node/clock.ts';
import type { LanGrant, SplitFiles } from '../settings/split-files.ts';
import { LearnedAddresses } from '../split/learned.ts';
import { type AddressedInterface, type LocalNetwork, localNetworks } from '../split/local-networks.ts';
import { addRule, removeRule, ruleForName, type SplitRule, targetText } from '../split/rules.ts';
import type { SplitView } from '../split/view.ts';

export interface SplitTunnelOptions {
  readonly files: SplitFiles;
  readonly clock: Clock;
  readonly log: Log;
  /** Names of our own interfaces. */
  readonly own: () => readonly string[];
  /** Firewall and routes follow what changed; the firewall closes before routes move. */
  readonly apply: () => Promise<void>;
  /** Folder of programs that go outside, while there are any. */
  readonly outsideGroup?: () => string | undefined;
  /** Default: the system's. */
  readonly interfaces?: () => readonly AddressedInterface[];
}

/** A machine that slept does not notice a timer: look at least this often while something runs out. */
const longestWaitMs = 30_000;

export class SplitTunnel {
  readonly #options: SplitTunnelOptions;
  readonly #learned = new LearnedAddresses();
  readonly #listeners = new Set<() => void>();
  #rules: readonly SplitRule[];
  #lan: LanGrant | undefined;
  /** The networks around us, as of the last `apply`. */
  #local: string;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** Throws 'settings-unreadable' where the list on disk makes no sense. */
  constructor(options: SplitTunnelOptions) {
    this.#options = options;
    this.#rules = options.files.readRules();
    this.#local = JSON.stringify(this.local());
    this.#lan = stillOpen(options.files.readLan(), options.clock.unix());
    this.#arm();
  }

  get rules(): readonly SplitRule[] {
    return this.#rules;
  }

  get learned(): LearnedAddresses {
    return this.#learned;
  }

  /** Undefined while the local network is closed. */
  get lan(): LanGrant | undefined {
    return this.#lan;
  }

  /** For firewall and routes, as of now. */
  get view(): SplitView {
    return {
      rules: this.#rules,
      learned: { include: this.#learned.prefixes('include'), exclude: this.#learned.prefixes('exclude') },
      local: this.local(),
      lanOpen: this.#lan !== undefined,
      outsideGroup: this.#options.outsideGroup?.(),
    };
  }

  local(): readonly LocalNetwork[] {
    const { interfaces = systemInterfaces, own } = this.#options;
    return localNetworks(interfaces(), new Set(own()));
  }

  /** True where answers for this name have to be told to `handleAnswer`. */
  wants(name: string): boolean {
    return ruleForName(this.#rules, name) !== undefined;
  }

  /** Calls back after every change of what the user reads. Returns the function that ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async add(rule: SplitRule): Promise<void> {
    const rules = addRule(this.#rules, rule);
    if (rules === undefined) throw new CulvertError('too-many-rules');
    await this.#setRules(rules);
  }

  /** Throws 'unknown-rule' where the list has no such target. */
  async remove(rule: SplitRule): Promise<void> {
    const rules = removeRule(this.#rules, rule.kind, targetText(rule));
    if (rules.length === this.#rules.length) throw new CulvertError('unknown-rule');
    await this.#setRules(rules);
  }

  /** Opens the local network; `forMs` undefined: until it is closed. */
  async openLan(forMs: number | undefined): Promise<void> {
    const grant = forMs === undefined ? {} : { until: this.#options.clock.unix() + forMs };
    this.#options.files.writeLan(grant);
    this.#lan = grant;
    this.#options.log.info('the local network is open', {
      minutes: forMs === undefined ? 0 : forMs / 60_000,
    });
    await this.#changed();
  }

  async closeLan(): Promise<void> {
    this.#options.files.writeLan(undefined);
    if (this.#lan === undefined) return;
    this.#lan = undefined;
    this.#options.log.info('the local network is closed');
    await this.#changed();
  }

  /** Other programs go outside now. */
  handlePrograms(): Promise<void> {
    return this.#changed();
  }

  /** An answer of DNS, before its program has it. Resolves when the machine is ready for what the program does next. */
  async handleAnswer(answer: {
    readonly name: string;
    readonly addresses: readonly Uint8Array[];
    readonly ttlMs: number;
  }): Promise<void> {
    const isNews = this.#learned.handleAnswer(this.#rules, answer, this.#options.clock.now());
    this.#arm();
    if (isNews) await this.#changed();
  }

  /** Links, addresses or routes changed. */
  handleNetworkNews(): void {
    if (JSON.stringify(this.local()) !== this.#local) void this.#changed().catch(this.#failed);
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #setRules(rules: readonly SplitRule[]): Promise<void> {
    this.#options.files.writeRules(rules);
    this.#rules = rules;
    this.#learned.handleRules(rules);
    await this.#changed();
  }

  async #changed(): Promise<void> {
    this.#local = JSON.stringify(this.local());
    this.#arm();
    for (const listener of this.#listeners) listener();
    await this.#options.apply();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#isClosed) return;
    const { clock } = this.#options;
    const next = this.#learned.nextTimeout();
    const waits = [
      ...(next === undefined ? [] : [next - clock.now()]),
      ...(this.#lan?.until === undefined ? [] : [this.#lan.until - clock.unix()]),
    ];
    if (waits.length === 0) return;
    const waitMs = Math.min(Math.max(Math.ceil(Math.min(...waits)), 0), longestWaitMs);
    this.#timer = setTimeout(() => this.#handleTimeout(), waitMs);
    this.#timer.unref();
  }

  #handleTimeout(): void {
    const { clock } = this.#options;
    const forgot = this.#learned.handleTimeout(clock.now());
    if (this.#lan !== undefined && stillOpen(this.#lan, clock.unix()) === undefined) {
      void this.closeLan().catch(this.#failed);
      return;
    }
    if (forgot) void this.#changed().catch(this.#failed);
    else this.#arm();
  }

  readonly #failed = (error: unknown): void => {
    this.#options.log.error('the split tunnel could not be applied', { text: String(error) });
  };
}

function stillOpen(grant: LanGrant | undefined, now: number): LanGrant | undefined {
  return grant?.until === undefined || grant.until > now ? grant : undefined;
}

function systemInterfaces(): readonly AddressedInterface[] {
  return Object.entries(networkInterfaces()).map(([name, addresses = []]) => ({
    name,
    addresses: addresses.flatMap(({ cidr }) => (cidr === null ? [] : [cidr.replace(/%[^/]*/, '')])),
  }));
}
