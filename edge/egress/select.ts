/**
 * Which way a flow goes, and why (product.md §6): rules that block, the device's pin, rules by first match, then the
 * choice by what is measured. Pure: told the time, given its measurements. Whether a flow may leave at all is deny.ts.
 */

import type { MonoMs } from '../../shared/core/base/time.ts';
import { brokenRank, DefaultPath, type RankedPath } from './default-path.ts';
import type { FlowProtocol, PathType } from './path.ts';
import { RecentMap } from './recent-map.ts';
import type { PathReports } from './report.ts';
import { type EgressRule, isCertain, type RuleHit, RuleList, type RuleSubject } from './rules.ts';
import { destinationKeys, siteKey } from './site.ts';

/** A path as the choice sees it. */
export interface SelectablePath {
  readonly id: string;
  readonly type: PathType;
  carries(protocol: FlowProtocol, family: number): boolean;
  /** Half a sentence where nothing can go this way now. */
  trouble(): string | undefined;
}

/** What a device may have for itself. */
export interface DevicePaths {
  /** Id of a path; undefined: none. */
  readonly pin?: string | undefined;
  /** Paths that it may be pinned to; undefined: all. */
  readonly granted?: readonly string[] | undefined;
  readonly tags?: readonly string[] | undefined;
}

export interface Question extends RuleSubject {
  readonly protocol: FlowProtocol;
  /** The place is closed unless a rule names it: then only such a rule opens it, for its own path. */
  readonly isClosed?: boolean | undefined;
}

/** Why, as data; sentence.ts makes words of it. */
export type Reason =
  | { readonly by: 'block-rule' | 'rule'; readonly hit: RuleHit }
  | { readonly by: 'pin'; readonly device: string }
  | { readonly by: 'auto'; readonly why: AutoReason }
  | { readonly by: 'nothing'; readonly why: 'no-path' | 'closed' | 'cannot-carry' };

/**
 * 'only': there is no other; 'default': nothing is known of the place that says otherwise; 'kept': the site's flows
 * leave there already; 'better-here': measured to be better for this place; 'fails-here': the usual one does not lead
 * to this place; 'avoided': the usual one does not answer.
 */
export type AutoReason = 'only' | 'default' | 'kept' | 'better-here' | 'fails-here' | 'avoided';

export type Choice =
  | {
      readonly kind: 'path';
      readonly path: string;
      /** Tried in this order where the path fails; empty where the path was asked for by name. */
      readonly fallbacks: readonly string[];
      readonly reason: Reason;
      readonly keys: readonly string[];
      readonly site: string;
      /** So long may the first attempt take before the next path is tried as well. */
      readonly patienceMs: number;
      /** Connect to the same place by this one too, only to know how long it takes. */
      readonly alsoMeasure: string | undefined;
    }
  | { readonly kind: 'block'; readonly path: string; readonly reason: Reason }
  | { readonly kind: 'none'; readonly reason: Reason };

export interface SelectorOptions {
  readonly paths: readonly SelectablePath[];
  readonly rules: readonly EgressRule[];
  readonly reports: PathReports;
  /** How long a site without flows keeps its exit: about what a login without activity lasts. */
  readonly keepSiteMs?: number;
}

interface Site {
  path: string;
  since: MonoMs;
  usedAt: MonoMs;
  flows: number;
}

const usualKeepSiteMs = 30 * 60_000;
const maxSites = 16_384;
/** Paths that are tried for one flow, the first included. */
const maxTries = 3;
/** A new site leaves the default for a path that is so much better there... */
const hereShare = 0.1;
const hereMs = 5;
/** ... and a site that has its exit only for more, and not at once again. */
const moveShare = 0.3;
const moveMs = 25;
const moveDwellMs = 60_000;
const leastPatienceMs = 200;
const mostPatienceMs = 1200;
/** One lost packet is repeated after a second: no reason to show a site another address. */
const keptPatienceMs = 1250;
/** At most this share of flows is measured on a second path, in bursts of a few. */
const exploreShare = 0.05;
const exploreBurst = 3;
/** A place is measured again on another path after this. */
const remeasureMs = 60_000;
/** A path that was measured so often is known. */
const knownSamples = 4;
/** How often the default path is thought about. */
const reconsiderMs = 250;

export class PathSelector {
  readonly #paths: ReadonlyMap<string, SelectablePath>;
  readonly #usable: readonly SelectablePath[];
  readonly #reports: PathReports;
  readonly #keepSiteMs: number;
  readonly #default = new DefaultPath();
  readonly #sites = new RecentMap<Site>(maxSites);
  readonly #drained = new Set<string>();
  #rules: RuleList;
  /** Those that block, and those that open what is closed. */
  #blocking: RuleList;
  #opening: RuleList;
  #devices: ReadonlyMap<string, DevicePaths> = new Map();
  #reconsideredAt: MonoMs | undefined;
  #exploreTokens = exploreBurst;

  constructor(options: SelectorOptions) {
    this.#paths = new Map(options.paths.map((path) => [path.id, path]));
    this.#usable = options.paths.filter((path) => path.type !== 'block');
    this.#reports = options.reports;
    this.#keepSiteMs = options.keepSiteMs ?? usualKeepSiteMs;
    [this.#rules, this.#blocking, this.#opening] = this.#compile(options.rules);
  }

  /** Thinks about the default path now, for those who look at it before or without a flow. */
  settle(now: MonoMs): void {
    this.#reconsider(now);
  }

  /** Voluntary and forced moves of the default path since the start. */
  get switches(): number {
    return this.#default.switches;
  }

  /** Of those, the moves to this path. */
  switchesTo(path: string): number {
    return this.#default.arrivals(path);
  }

  /** Where flows go by default; undefined before the first flow. */
  get defaultPath(): string | undefined {
    return this.#default.id;
  }

  setRules(rules: readonly EgressRule[]): void {
    [this.#rules, this.#blocking, this.#opening] = this.#compile(rules);
  }

  /** By name of the device. */
  setDevices(devices: ReadonlyMap<string, DevicePaths>): void {
    this.#devices = devices;
  }

  /** The path that a device is pinned to, where it may have it and there is one. */
  pinOf(name: string | undefined): string | undefined {
    const device = name === undefined ? undefined : this.#devices.get(name);
    const pin = device?.pin;
    if (pin === undefined || device?.granted?.includes(pin) === false) return undefined;
    return this.#paths.has(pin) ? pin : undefined;
  }

  /** New flows avoid a drained path unless it is asked for by name; those that run stay. */
  setDrained(path: string, isDrained: boolean): void {
    if (isDrained) this.#drained.add(path);
    else this.#drained.delete(path);
  }

  isDrained(path: string): boolean {
    return this.#drained.has(path);
  }

  choose(question: Question, now: MonoMs): Choice {
    const device = question.device === undefined ? undefined : this.#devices.get(question.device);
    const subject = device?.tags === undefined ? question : { ...question, tags: device.tags };
    const blocked = this.#blocking.find(subject);
    if (blocked !== undefined) {
      return { kind: 'block', path: blocked.rule.use, reason: { by: 'block-rule', hit: blocked } };
    }
    if (question.isClosed === true) return this.#chooseClosed(subject, now);
    const pinned = this.pinOf(question.device);
    if (pinned !== undefined) {
      return this.#named(pinned, subject, now, { by: 'pin', device: question.device ?? '' });
    }
    const hit = this.#rules.find(subject);
    if (hit === undefined || hit.rule.use === 'auto') return this.#auto(subject, now);
    return this.#named(hit.rule.use, subject, now, { by: 'rule', hit });
  }

  /** Whether the name of the place could make another choice. */
  dependsOnName(question: Question): boolean {
    const device = question.device === undefined ? undefined : this.#devices.get(question.device);
    const subject = device?.tags === undefined ? question : { ...question, tags: device.tags };
    if (this.#blocking.find(subject)?.certainty === 'exact') return false;
    if (this.#blocking.dependsOnName(subject)) return true;
    if (question.isClosed === true) return this.#opening.dependsOnName(subject);
    return this.pinOf(question.device) === undefined && this.#rules.dependsOnName(subject);
  }

  /** A flow was opened by `used`, which may be a fallback. The function tells that it has ended; call it once. */
  handleOpened(choice: Extract<Choice, { kind: 'path' }>, used: string, now: MonoMs): (now: MonoMs) => void {
    if (choice.reason.by !== 'auto') return () => undefined;
    const known = this.#sites.get(choice.site);
    const site = known ?? { path: used, since: now, usedAt: now, flows: 0 };
    if (known === undefined) this.#sites.set(choice.site, site);
    else if (known.path !== used && this.#mayMove(known, choice, used, now)) {
      known.path = used;
      known.since = now;
    }
    site.usedAt = now;
    site.flows++;
    return (endedAt) => {
      site.flows--;
      site.usedAt = endedAt;
    };
  }

  /** All paths that could carry it by choice, the best first, as they are ranked now. For people. */
  rank(question: Question, now: MonoMs): readonly RankedPath[] {
    const keys = destinationKeys(question.address, certainName(question));
    return this.#ranked(this.#carriers(question), keys, now);
  }

  /** A single attempt on another path does not move a site; a path that fails there does. */
  #mayMove(site: Site, choice: Extract<Choice, { kind: 'path' }>, used: string, now: MonoMs): boolean {
    const isAvoided = choice.reason.by === 'auto' && choice.reason.why === 'avoided';
    return (used === choice.path && !isAvoided) || this.#rankOf(site.path, now) >= brokenRank;
  }

  /** Only a rule that names the range opens it. */
  #chooseClosed(subject: Question, now: MonoMs): Choice {
    const hit = this.#opening.find(subject);
    if (hit === undefined) return { kind: 'none', reason: { by: 'nothing', why: 'closed' } };
    return this.#named(hit.rule.use, subject, now, { by: 'rule', hit });
  }

  #named(id: string, question: Question, now: MonoMs, reason: Reason): Choice {
    const path = this.#paths.get(id);
    if (path === undefined) return { kind: 'none', reason: { by: 'nothing', why: 'no-path' } };
    if (path.type === 'block') return { kind: 'block', path: id, reason };
    if (!path.carries(question.protocol, question.address.length)) {
      return { kind: 'none', reason: { by: 'nothing', why: 'cannot-carry' } };
    }
    return { ...this.#flowOf(id, question, now), reason, fallbacks: [] };
  }

  #auto(question: Question, now: MonoMs): Choice {
    const carriers = this.#carriers(question);
    const first = carriers[0];
    if (first === undefined) return { kind: 'none', reason: { by: 'nothing', why: 'no-path' } };
    if (carriers.length === 1) {
      const reason: Reason = { by: 'auto', why: 'only' };
      return { ...this.#flowOf(first.id, question, now), reason, fallbacks: [] };
    }
    this.#reconsider(now);
    const keys = destinationKeys(question.address, certainName(question));
    const site = siteKey(question.device, question.address, certainName(question));
    const ranked = this.#ranked(carriers, keys, now);
    const [path, why] = this.#pick(ranked, this.#siteOf(site, now), now);
    const fallbacks = ranked.filter((one) => one.id !== path).slice(0, maxTries - 1);
    const flow = this.#flowOf(path, question, now);
    return {
      ...flow,
      site,
      patienceMs: why === 'kept' ? Math.max(keptPatienceMs, flow.patienceMs) : flow.patienceMs,
      reason: { by: 'auto', why },
      fallbacks: fallbacks.map((one) => one.id),
      alsoMeasure: question.protocol === 'tcp' ? this.#explore(ranked, path, keys, now) : undefined,
    };
  }

  #pick(ranked: readonly RankedPath[], site: Site | undefined, now: MonoMs): readonly [string, AutoReason] {
    const best = ranked[0] as RankedPath;
    const usual = ranked.find((one) => one.id === (site?.path ?? this.#default.id));
    if (usual === undefined) return [best.id, 'default'];
    if (usual.rank > best.rank) return [best.id, 'avoided'];
    if (site === undefined) {
      const isBetter = best.costMs * (1 + hereShare) + hereMs < usual.costMs;
      return isBetter ? [best.id, 'better-here'] : [usual.id, 'default'];
    }
    const isMuchBetter = best.costMs * (1 + moveShare) + moveMs < usual.costMs;
    const mayMove = now - site.since >= moveDwellMs;
    return isMuchBetter && mayMove ? [best.id, 'better-here'] : [usual.id, 'kept'];
  }

  #flowOf(
    path: string,
    question: Question,
    now: MonoMs,
  ): Omit<Extract<Choice, { kind: 'path' }>, 'reason' | 'fallbacks'> {
    const keys = destinationKeys(question.address, certainName(question));
    const { connectMs, deviationMs, from } = this.#reports.expect(path, keys, now);
    const wanted = from === 'none' ? mostPatienceMs : 2 * connectMs + 4 * deviationMs;
    const patienceMs = Math.min(mostPatienceMs, Math.max(leastPatienceMs, wanted));
    return { kind: 'path', path, keys, site: '', patienceMs, alsoMeasure: undefined };
  }

  #siteOf(key: string, now: MonoMs): Site | undefined {
    const site = this.#sites.peek(key);
    if (site === undefined || site.flows > 0 || now - site.usedAt < this.#keepSiteMs) return site;
    this.#sites.delete(key);
    return undefined;
  }

  #reconsider(now: MonoMs): void {
    if (this.#reconsideredAt !== undefined && now - this.#reconsideredAt < reconsiderMs) return;
    this.#reconsideredAt = now;
    const open = this.#usable.filter((path) => !this.#drained.has(path.id));
    const isKnown = open.every(({ id }) => this.#reports.samples(id) >= knownSamples);
    this.#default.reconsider(this.#ranked(open, [], now), now, isKnown);
  }

  #carriers(question: Question): readonly SelectablePath[] {
    const family = question.address.length;
    const able = this.#usable.filter((path) => path.carries(question.protocol, family));
    const open = able.filter((path) => !this.#drained.has(path.id));
    // Rather by a path that is being drained than not at all.
    return open.length > 0 ? open : able;
  }

  #ranked(paths: readonly SelectablePath[], keys: readonly string[], now: MonoMs): readonly RankedPath[] {
    const ranked = paths.map(({ id }) => ({
      id,
      rank: this.#rankOf(id, now),
      costMs: this.#reports.expect(id, keys, now).costMs,
    }));
    return ranked.toSorted((a, b) => a.rank - b.rank || a.costMs - b.costMs);
  }

  #rankOf(id: string, now: MonoMs): number {
    if (this.#paths.get(id)?.trouble() !== undefined) return ranks.down;
    return ranks[this.#reports.health(id, now)];
  }

  /** A second path to measure this place by, where that is worth it and within the share. */
  #explore(
    ranked: readonly RankedPath[],
    chosen: string,
    keys: readonly string[],
    now: MonoMs,
  ): string | undefined {
    this.#exploreTokens = Math.min(exploreBurst, this.#exploreTokens + exploreShare);
    const key = keys[0];
    // A place that is seen for the first time may never come again.
    if (this.#exploreTokens < 1 || key === undefined) return undefined;
    if (!ranked.some((one) => this.#reports.ageAt(one.id, key, now) < remeasureMs)) return undefined;
    let oldest: string | undefined;
    let oldestAge = remeasureMs;
    for (const one of ranked) {
      if (one.id === chosen || one.rank > 0) continue;
      const age = this.#reports.ageAt(one.id, key, now);
      if (age > oldestAge) [oldest, oldestAge] = [one.id, age];
    }
    if (oldest !== undefined) this.#exploreTokens -= 1;
    return oldest;
  }

  #compile(rules: readonly EgressRule[]): readonly [RuleList, RuleList, RuleList] {
    const blocks = (rule: EgressRule): boolean => this.#paths.get(rule.use)?.type === 'block';
    return [
      new RuleList(rules),
      new RuleList(rules, (rule) => blocks(rule) && !isCatchAll(rule)),
      new RuleList(rules, (rule) => rule.match.cidr !== undefined && rule.use !== 'auto'),
    ];
  }
}

const ranks = { unknown: 0, good: 0, suspect: 1, recovering: 2, down: 3 } as const;

/** The last line of a list: it comes in its turn, also where it blocks, or nothing else could be let through. */
function isCatchAll({ match }: EgressRule): boolean {
  return Object.values(match).every((part) => part === undefined);
}

/** The name to remember a place by. */
export function certainName(question: RuleSubject): string | undefined {
  return question.name !== undefined && isCertain(question.name) ? question.name.name : undefined;
}
