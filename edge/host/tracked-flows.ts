/**
 * What the kernel's list of connections says of the flows of devices: which have been answered, and which have waited
 * for an answer for so long that their first packet is lost. TCP alone: who sends datagrams need not be answered.
 * Pure: told the list as /proc/net/nf_conntrack has it, and the time.
 */

import { parseAddress } from '../../shared/core/base/ip.ts';
import type { MonoMs } from '../../shared/core/base/time.ts';
import { slotOfMark } from './kernel-marks.ts';

/** As the device began it. */
export interface TrackedFlow {
  /** Of the path that it takes. */
  readonly slot: number;
  readonly source: Uint8Array;
  readonly destination: { readonly address: Uint8Array; readonly port: number };
}

export interface TrackedFlows {
  /** Answered, and not seen before. */
  readonly answered: readonly TrackedFlow[];
  /** Without an answer for a while now. */
  readonly waiting: readonly TrackedFlow[];
}

/** Answers take less, nearly always. A first packet is repeated after a second (RFC 6298 §2). */
const doubtMs = 800;
/** The kernel remembers for two minutes what nobody answered; whoever asked may be long gone. */
const staleMs = 60_000;
/** Most that are told of one list. */
const maxTold = 1024;
const answeredSince = -1;

export class FlowTracker {
  /** Flow → since when it is unanswered, or that it is answered. As long as the last list. */
  #known: ReadonlyMap<string, number> = new Map();
  #isWaiting = false;

  /** Whether a flow of the last list had no answer: look again soon. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  handleList(list: string, now: MonoMs): TrackedFlows {
    const known = new Map<string, number>();
    const answered: TrackedFlow[] = [];
    const waiting: TrackedFlow[] = [];
    this.#isWaiting = false;
    for (const line of list.split('\n')) {
      const slot = slotOf(line);
      if (slot === 0) continue;
      const isUnanswered = line.includes(' [UNREPLIED] ');
      // What goes on in the middle of a connection has no beginning to wait for.
      if (isUnanswered && !line.includes(' SYN_SENT ')) continue;
      const ends = endsText(line);
      const key = `${slot} ${ends}`;
      const before = this.#known.get(key);
      const since = isUnanswered ? (before ?? now) : answeredSince;
      known.set(key, since);
      if (isUnanswered) this.#isWaiting ||= now - since < staleMs;
      const isNews = isUnanswered
        ? now - since >= doubtMs && now - since < staleMs
        : before !== answeredSince;
      const told = isUnanswered ? waiting : answered;
      if (!isNews || told.length >= maxTold) continue;
      const flow = flowOf(ends, slot);
      if (flow !== undefined) told.push(flow);
    }
    this.#known = known;
    return { answered, waiting };
  }
}

/** 0 for what is no TCP connection by a path. */
function slotOf(line: string): number {
  if (!line.includes(' tcp ')) return 0;
  const at = line.lastIndexOf(' mark=');
  return at < 0 ? 0 : slotOfMark(Number.parseInt(line.slice(at + 6), 10));
}

/** 'src=A dst=B sport=C dport=D' of the first direction. */
function endsText(line: string): string {
  const from = line.indexOf('src=');
  const last = line.indexOf('dport=', from);
  const to = line.indexOf(' ', last);
  return line.slice(from, to < 0 ? undefined : to);
}

function flowOf(ends: string, slot: number): TrackedFlow | undefined {
  const found = /^src=(\S+) dst=(\S+) sport=\d+ dport=(\d+)$/.exec(ends);
  const [source, address] = [parseAddress(found?.[1] ?? ''), parseAddress(found?.[2] ?? '')];
  if (source === undefined || address === undefined) return undefined;
  return { slot, source, destination: { address, port: Number(found?.[3]) } };
}
