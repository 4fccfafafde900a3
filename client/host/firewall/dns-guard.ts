/**
 * While only DNS is private, programs that ask a server of their own over plain port 53 are refused: in a table that
 * belongs to a running `nft` (flag owner, Linux 5.12), so that it goes with the daemon whatever ends it, and needs
 * no journal. What is forwarded for others (containers, guests) is not ours to say: they cannot ask our loopback.
 */

import { isIP } from 'node:net';
import type { Log } from '../../../shared/core/base/ports.ts';
import type { HeldProgram, Hold } from '../../../shared/node/hold.ts';

/** Mark of our own plain questions: to servers of the network, for its names. */
export const plainDnsMark = 0x8385;
const table = 'inet culvert_dns';

/** Another resolver that asks for names of the network by itself, as systemd-resolved does for a link's domains. */
export interface OtherResolver {
  readonly userId: number;
  /** Whom it may ask, numeric. */
  readonly servers: readonly string[];
}

/** The words for nft, one line. */
export function guardRules(other: OtherResolver | undefined): string {
  const chain = [
    'type filter hook output priority filter; policy accept',
    'oifname "lo" accept',
    `meta mark 0x${plainDnsMark.toString(16)} accept`,
    ...otherRules(other),
    'meta l4proto { tcp, udp } th dport 53 goto refuse',
  ];
  // A program learns at once that nobody is there.
  const refuse = ['meta l4proto tcp reject with tcp reset', 'reject with icmpx admin-prohibited'];
  const chains = `chain refuse { ${refuse.join('; ')}; }; chain output { ${chain.join('; ')}; };`;
  return `table ${table} { flags owner; ${chains} }\n`;
}

function otherRules(other: OtherResolver | undefined): readonly string[] {
  if (other === undefined) return [];
  return ([4, 6] as const).flatMap((version) => {
    const servers = other.servers
      .map((server) => server.split('%')[0] ?? '')
      .filter((one) => isIP(one) === version);
    if (servers.length === 0) return [];
    const family = version === 4 ? 'ip' : 'ip6';
    return [`meta skuid ${other.userId} ${family} daddr { ${servers.join(', ')} } th dport 53 accept`];
  });
}

export interface DnsGuardOptions {
  readonly hold: Hold;
  readonly log: Log;
}

export class DnsGuard {
  readonly #options: DnsGuardOptions;
  #program: HeldProgram | undefined;
  #rules = '';

  constructor(options: DnsGuardOptions) {
    this.#options = options;
  }

  get isHolding(): boolean {
    return this.#program !== undefined;
  }

  /** Holds from now on. False, with nothing held and the reason in the log, where this machine cannot do it. */
  async apply(other: OtherResolver | undefined): Promise<boolean> {
    const rules = guardRules(other);
    if (this.isHolding && rules === this.#rules) return true;
    await this.release();
    const { hold, log } = this.#options;
    const program = hold('nft', ['-i'], {
      onEnd: () => {
        if (this.#program !== program) return;
        this.#program = undefined;
        log.warn('nft ended: port 53 is open again for other programs');
      },
    });
    try {
      // It is told back only where it was taken, and it must go with its program.
      await program.ask(`${rules}list table ${table}\n`, /flags owner/);
      this.#program = program;
      this.#rules = rules;
      return true;
    } catch (error) {
      await program.close();
      log.warn('port 53 stays open for other programs', { why: String(error) });
      return false;
    }
  }

  /** Idempotent. */
  async release(): Promise<void> {
    const program = this.#program;
    this.#program = undefined;
    await program?.close();
  }
}
