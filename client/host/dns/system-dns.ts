/**
 * Makes this system ask our servers, through whoever owns its DNS, and gives it back. Journalled before every
 * change. Where another program writes the file behind us, writes it again a few times, then stops and says so.
 */

import { basename, dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Log } from '../../../shared/core/base/ports.ts';
import { after, type MonoMs } from '../../../shared/core/base/time.ts';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import type { Clock } from '../../../shared/node/clock.ts';
import type { Run } from '../../../shared/node/run.ts';
import { askHost, askPrograms, type DnsPrograms } from './ask-host.ts';
import { type DnsChoice, type DnsDecision, decideOwner } from './detect.ts';
import { answerWrite, type Fight, noFight } from './fight.ts';
import { FolderWatch } from './folder-watch.ts';
import type { HostFiles } from './host-files.ts';
import { nameServersIn } from './name-servers.ts';
import {
  isOrphan,
  isOurs,
  isUntouched,
  planOurs,
  type ResolvConfChange,
  undoOurs,
  writeOurs,
} from './plain-file.ts';
import { parseResolvConf, writerOf } from './resolv-conf.ts';
import { addResolvconf, removeResolvconf, resolvconfRecord } from './resolvconf.ts';
import { knowsResolvedLink, resolvedFolder, revertResolvedLink, setResolvedLink } from './resolved.ts';

/** How to undo a takeover. What resolved is told goes with our link, so it has no entry. */
export type DnsChange = ResolvConfChange | { readonly kind: 'resolvconf'; readonly record: string };

/** The part of the journal that is needed here. */
export interface DnsJournal {
  /** Adds the change, or puts it in the place of the entry about the same thing, in one step. */
  amend(change: DnsChange): void;
  forget(change: DnsChange): void;
  /** What is not undone. */
  pending(): readonly { readonly kind: string }[];
}

export interface SystemDnsOptions {
  readonly files: HostFiles;
  readonly run: Run;
  readonly journal: DnsJournal;
  readonly clock: Clock;
  readonly log: Log;
  readonly choice: () => DnsChoice;
  /** Usually /etc. */
  readonly etc: string;
  /** Called when another program keeps taking the file back; with its name where it is known. */
  readonly onLost: (rival: string | undefined) => void;
}

export interface DnsPlan {
  /** Addresses where we answer, port 53. */
  readonly servers: readonly string[];
  /** A link of ours that is up, for systemd-resolved; asked for where that owns DNS. Undefined: none can be had. */
  readonly link: () => Promise<number | undefined>;
}

/** resolved may forget our link without writing a file that is watched: looked at first after this, then half as often each time. */
const resolvedLookMs = 30_000;
const longestLookMs = 16 * 60_000;
/** What programs said is believed for so long. */
const askedLastsMs = 5000;

interface Held {
  readonly decision: DnsDecision;
  /** The setting of then. */
  readonly choice: DnsChoice;
  readonly plan: DnsPlan;
  /** Of owner 'resolved'. */
  readonly linkIndex?: number;
  /** Of owner 'file'. */
  readonly change?: ResolvConfChange;
  /** Of owner 'resolvconf': what the file said before there was our record. */
  readonly before?: string;
}

export class SystemDns {
  readonly #options: SystemDnsOptions;
  #held: Held | undefined;
  #watch: FolderWatch | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  #fight: Fight = noFight;
  #asked: { readonly at: MonoMs; readonly programs: Promise<DnsPrograms> } | undefined;

  constructor(options: SystemDnsOptions) {
    this.#options = options;
  }

  /** Who was told, and why; undefined while the system's DNS is its own. */
  get decision(): DnsDecision | undefined {
    return this.#held?.decision;
  }

  /** The network's own servers, as the file named them before ours was put in its place. None: nobody knows. */
  get networkServers(): readonly string[] {
    const held = this.#held;
    if (held?.change === undefined) return nameServersIn(held?.before ?? '');
    const { before } = held.change;
    return before.kind === 'absent' || isOrphan(held.change) ? [] : nameServersIn(before.text ?? '');
  }

  /** Begins to ask whose the DNS of this system is: `apply` within a few seconds need not wait for that. */
  prepare(): void {
    const { run, clock, choice } = this.#options;
    if (this.#held !== undefined || choice() !== 'auto') return;
    this.#asked = { at: clock.now(), programs: askPrograms(run) };
  }

  /** Once. */
  #takeAsked(): Promise<DnsPrograms> | undefined {
    const asked = this.#asked;
    this.#asked = undefined;
    const isFresh = asked !== undefined && this.#options.clock.now() <= after(asked.at, askedLastsMs);
    return isFresh ? asked.programs : undefined;
  }

  /**
   * Takes over, or changes what was taken over; where it holds already nothing happens, so that there is no moment
   * in which names are asked in the clear. Throws with everything given back.
   */
  async apply(plan: DnsPlan): Promise<DnsDecision> {
    const { log } = this.#options;
    if (this.#held !== undefined) {
      if (await this.#holds(this.#held, plan)) return this.#held.decision;
      await this.release();
    }
    const { files, run, etc, choice } = this.#options;
    const facts = await askHost(choice(), { files, run, etc }, this.#takeAsked());
    const decision = decideOwner(facts);
    log.info('the DNS of this system', { owner: decision.owner, because: decision.because });
    try {
      await this.#take(decision, plan);
    } catch (error) {
      await this.release();
      throw error;
    }
    return this.#held?.decision ?? decision;
  }

  async #holds(held: Held, plan: DnsPlan): Promise<boolean> {
    const { files, run, choice } = this.#options;
    if (held.choice !== choice() || !isDeepStrictEqual(held.plan.servers, plan.servers)) return false;
    switch (held.decision.owner) {
      case 'file':
        return held.change !== undefined && isUntouched(held.change, files);
      case 'resolvconf':
        return this.#namesOnly(plan.servers);
      case 'resolved': {
        const index = await plan.link();
        if (index === undefined || index !== held.linkIndex) return false;
        return (await knowsResolvedLink({ index, servers: plan.servers }, run)) === true;
      }
      case 'none':
        return true;
    }
  }

  /** Gives back what is ours still. Idempotent. */
  async release(): Promise<void> {
    const { files, run, journal, log } = this.#options;
    this.#stopWatching();
    const held = this.#held;
    this.#held = undefined;
    this.#fight = noFight;
    // A look that is under way would tell again what is taken back here.
    await this.#looking;
    if (held === undefined) return;
    switch (held.decision.owner) {
      case 'resolved':
        if (held.linkIndex !== undefined) await revertResolvedLink(held.linkIndex, run);
        return;
      case 'resolvconf':
        await removeResolvconf(run);
        journal.forget({ kind: 'resolvconf', record: resolvconfRecord });
        return;
      case 'file':
        if (held.change === undefined) return;
        if (!undoOurs(held.change, files)) log.warn('another program wrote resolv.conf; its file stays', {});
        journal.forget(held.change);
        return;
      case 'none':
        return;
    }
  }

  async #take(decision: DnsDecision, plan: DnsPlan): Promise<void> {
    switch (decision.owner) {
      case 'resolved':
        await this.#takeResolved(decision, plan);
        return;
      case 'resolvconf':
        await this.#takeResolvconf(decision, plan);
        return;
      case 'file':
        this.#takeFile(decision, plan);
        return;
      case 'none':
        this.#held = { decision, choice: this.#options.choice(), plan };
    }
  }

  async #takeResolved(decision: DnsDecision, plan: DnsPlan): Promise<void> {
    const linkIndex = await plan.link();
    if (linkIndex === undefined) {
      const because = 'systemd-resolved takes servers for a link only, and there is none of ours.';
      this.#takeFile({ owner: 'file', because, rival: 'systemd-resolved' }, plan);
      return;
    }
    this.#held = { decision, choice: this.#options.choice(), plan, linkIndex };
    await setResolvedLink({ index: linkIndex, servers: plan.servers }, this.#options.run);
    const look = (): void => {
      this.#looking = this.#looking.then(() => this.#lookAtResolved());
    };
    this.#watch = this.#watchFolder(resolvedFolder, undefined, look);
    this.#lookLater(look, resolvedLookMs);
  }

  #lookLater(look: () => void, delayMs: number): void {
    this.#timer = setTimeout(() => {
      this.#lookLater(look, Math.min(longestLookMs, 2 * delayMs));
      look();
    }, delayMs);
    this.#timer.unref();
  }

  /** resolved was started anew, or somebody told it otherwise: it is told again. */
  async #lookAtResolved(): Promise<void> {
    const { run, log } = this.#options;
    const held = this.#held;
    if (held?.linkIndex === undefined) return;
    const link = { index: held.linkIndex, servers: held.plan.servers };
    // No answer: it is being started, and its files will tell when it is there.
    const knows = await knowsResolvedLink(link, run);
    if (knows !== false || this.#held !== held || !this.#mayAnswer('systemd-resolved')) return;
    log.info('systemd-resolved has forgotten our servers; told again', {});
    await setResolvedLink(link, run).catch((error: unknown) => {
      log.warn('systemd-resolved cannot be told', { text: String(error) });
    });
  }

  async #takeResolvconf(decision: DnsDecision, plan: DnsPlan): Promise<void> {
    const { files, run, journal } = this.#options;
    const change: DnsChange = { kind: 'resolvconf', record: resolvconfRecord };
    const before = files.read(this.#path) ?? '';
    journal.amend(change);
    this.#held = { decision, choice: this.#options.choice(), plan, before };
    await addResolvconf(plan.servers, before, run);
    if (this.#namesOnly(plan.servers)) return;
    // It names others beside us, and the C library would ask those.
    await removeResolvconf(run);
    journal.forget(change);
    const because = 'resolvconf names other servers too, so its file was replaced.';
    this.#takeFile({ owner: 'file', because, rival: 'resolvconf' }, plan);
  }

  #takeFile(decision: DnsDecision, plan: DnsPlan): void {
    const { files, journal, log } = this.#options;
    const { change, text } = planOurs(this.#path, plan.servers, files, this.#left());
    if (isOrphan(change)) log.warn('resolv.conf is one of ours, and what stood before it is not known');
    journal.amend(change);
    try {
      writeOurs(this.#path, text, files);
    } catch (cause) {
      // Nothing was written, and an entry of an earlier run is still right where its file stands.
      if (!isOurs(change, files)) journal.forget(change);
      throw new CulvertError('dns-file-closed', { cause, text: closedText(this.#path, cause) });
    }
    this.#held = { decision, choice: this.#options.choice(), plan, change };
    this.#watch = this.#watchFolder(dirname(this.#path), basename(this.#path), () => this.#look());
  }

  #namesOnly(servers: readonly string[]): boolean {
    const { nameServers } = parseResolvConf(this.#options.files.read(this.#path) ?? '');
    return nameServers.length > 0 && nameServers.every((server) => servers.includes(server));
  }

  /** What an earlier run left to undo. */
  #left(): ResolvConfChange | undefined {
    const isFile = (change: { readonly kind: string }): change is ResolvConfChange =>
      change.kind === 'resolv-conf';
    return this.#options.journal.pending().find(isFile);
  }

  get #path(): string {
    return join(this.#options.etc, 'resolv.conf');
  }

  #watchFolder(folder: string, name: string | undefined, onChange: () => void): FolderWatch | undefined {
    try {
      return new FolderWatch(folder, name, onChange);
    } catch (error) {
      this.#options.log.warn('a folder cannot be watched', { folder, text: String(error) });
      return undefined;
    }
  }

  #stopWatching(): void {
    this.#watch?.close();
    this.#watch = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Somebody wrote: theirs is the new state to go back to, ours goes over it. */
  #look(): void {
    const { files, journal, log, onLost } = this.#options;
    const held = this.#held;
    if (held?.change === undefined || isUntouched(held.change, files)) return;
    const writer = writerOf(files.read(this.#path) ?? '');
    const rival = writer === undefined || writer === 'culvert' ? held.decision.rival : writer;
    if (!this.#mayAnswer(rival)) return;
    log.info('another program wrote resolv.conf; written again', { rival: rival ?? 'unknown' });
    const { change, text } = planOurs(this.#path, held.plan.servers, files, held.change);
    journal.amend(change);
    this.#held = { ...held, change };
    try {
      writeOurs(this.#path, text, files);
    } catch (error) {
      log.warn('resolv.conf cannot be written', { text: String(error) });
      this.#stopWatching();
      onLost(rival);
    }
  }

  /** Whether to answer what `rival` did once more. Says so where that is over. */
  #mayAnswer(rival: string | undefined): boolean {
    const [fight, answer] = answerWrite(this.#fight, this.#options.clock.now());
    this.#fight = fight;
    if (answer === 'again') return true;
    this.#stopWatching();
    this.#options.onLost(rival);
    return false;
  }
}

function closedText(path: string, cause: unknown): string {
  const { code } = cause as NodeJS.ErrnoException;
  const why =
    code === 'EROFS'
      ? 'it is on a read-only file system'
      : code === 'EPERM'
        ? 'it is locked (chattr +i)'
        : String(code);
  return `${path} cannot be written: ${why}.`;
}
