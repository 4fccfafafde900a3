// A laptop that gets another address while programs ask for names: every question is answered, by DoH and by DoT, though
// the connections of before lead nowhere any more.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { DnsWorld, type Laptop, networkServer } from './support/dns-world.ts';

const needs = { namespaces: true, tools: ['ip', 'nft', 'nsenter', 'setpriv', 'openssl', 'dig', 'getent'] };
const stub = '127.0.83.53';
const expected = { doh: '198.51.100.1', dot: '198.51.100.2' } as const;
const names = 60;

describeWith(needs, 'a laptop that gets another address', () => {
  const world = new DnsWorld(process.pid % 100_000);
  let machine: Laptop;

  beforeAll(() => world.open());
  afterEach(() => machine.shutDown());
  afterAll(() => world.close());

  /** Takes one address away and gives another, as a new lease does. */
  function moveTo(address: string): void {
    const before = /inet (\S+)/.exec(machine.run('ip', '-4', 'addr', 'show', 'dev', 'up0').out)?.[1] ?? '';
    machine.sh(`ip addr del ${before} dev up0
      ip addr add ${address}/24 dev up0
      ip route replace default via ${networkServer}`);
  }

  /** One question after the other, each with as much patience as a stub resolver has. */
  function askAll(prefix: string): Promise<string> {
    const script = `for i in $(seq ${names}); do dig @${stub} +tries=1 +time=5 +short ${prefix}$i.example; done`;
    return new Promise((resolve, reject) => {
      const child = machine.start('sh', '-c', script);
      let out = '';
      child.stdout?.on('data', (text: Buffer) => (out += text.toString()));
      child.once('error', reject);
      child.once('close', () => resolve(out));
    });
  }

  test.for(['doh', 'dot'] as const)('%s: loses no question', async (way) => {
    machine = await world.boot();
    machine.protect(way);

    const whole = askAll(way);
    for (const last of way === 'doh' ? [3, 4, 5] : [6, 7, 8]) {
      moveTo(`192.0.2.${last}`);
      // So many more were asked before the next move: the world has heard them.
      machine.dig(`@${stub}`, '+short', `${way}-moved${last}.example`);
    }
    const answers = (await whole).trim().split('\n');
    const still = machine.dig(`@${stub}`, '+short', `${way}-after.example`).trim();

    expect(answers.filter((answer) => answer !== expected[way])).toEqual([]);
    expect(answers).toHaveLength(names);
    expect(still).toBe(expected[way]);
  });
});
