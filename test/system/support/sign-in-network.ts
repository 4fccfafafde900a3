/** A network that wants a sign-in, around the laptop of a DeviceWorld. What leaves meanwhile is counted. Needs dnsmasq. */

import { spawn } from 'node:child_process';
import { expect, vi } from 'vitest';
import { type DeviceWorld, elsewhere, router } from './device-world.ts';

/** The page of ours that the network leads to its sign-in. */
export const probePage = 'http://probe.example/generate_204';
/** What its sign-in says. */
export const signInText = 'Please sign in';

/** Port 80 of everywhere, and port 8081, which is what the network makes of port 80. */
const web = `const { createServer } = require('node:http');
createServer((q, r) => {
  if (q.headers.host === 'probe.example' && q.url === '/generate_204') return r.writeHead(204).end();
  r.end('<h1>${signInText}</h1>');
}).listen(80, '::');
createServer((q, r) => r.writeHead(302, { location: 'http://login.example/' }).end()).listen(8081, '::');`;

/** Everything but the sign-in and its own names is swallowed. */
const walls = `table inet walls {
  chain early { type filter hook prerouting priority -400; policy accept;
    iifname != "up0" accept
    udp dport 51820 drop
  }
  chain nat { type nat hook prerouting priority dstnat; policy accept;
    iifname "up0" ip daddr ${elsewhere} tcp dport 80 redirect to :8081
  }
}
table inet signin {
  chain in { type filter hook prerouting priority -350; policy accept;
    iifname != "up0" accept
    udp dport 51820 accept
    icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld-listener-done, mld2-listener-report } accept
    ip daddr ${router} udp dport 53 accept
    ip daddr ${router} tcp dport 53 accept
    ip daddr { ${router}, ${elsewhere} } tcp dport { 80, 443 } counter accept comment "sign-in"
    counter comment "other"
  }
}
`;

export class SignInNetwork {
  readonly #world: DeviceWorld;

  constructor(world: DeviceWorld) {
    this.#world = world;
  }

  /** Its names and its web, and a daemon that asks for it; call it in an open world. */
  async start(): Promise<void> {
    const world = this.#world;
    world.startNames({ 'probe.example': elsewhere, 'login.example': router });
    const child = spawn('ip', ['netns', 'exec', world.server, process.execPath, '-e', web], {
      stdio: 'ignore',
    });
    world.atEnd(() => void child.kill('SIGKILL'));
    world.succeed(world.culvert('settings', 'set', 'portal.probes', probePage));
    world.succeed(world.culvert('settings', 'set', 'portal.detection', 'on'));
    await vi.waitFor(
      () => expect(world.inClient('curl', '-s', '-m2', 'http://login.example/').out).toContain(signInText),
      { timeout: 20_000 },
    );
  }

  wallUp(): void {
    this.#world.succeed(this.#world.inServer('sh', '-c', `printf '%s' '${walls}' | nft -f -`));
  }

  signIn(): void {
    this.#world.succeed(this.#world.inServer('nft', 'delete', 'table', 'inet', 'walls'));
  }

  /** A network like any other again. Idempotent. */
  remove(): void {
    for (const table of ['walls', 'signin']) this.#world.inServer('nft', 'delete', 'table', 'inet', table);
  }

  /** Packets since `wallUp`. */
  counted(comment: 'sign-in' | 'other'): number {
    const listing = this.#world.succeed(this.#world.inServer('nft', 'list', 'chain', 'inet', 'signin', 'in'));
    const found = new RegExp(`counter packets (\\d+) bytes \\d+ (?:accept )?comment "${comment}"`);
    return Number(found.exec(listing)?.[1]);
  }
}
