// A third host floods the responder with handshake initiations. Cookies go out, running traffic goes on, and who has
// a right to a new handshake still gets one (paper §5.3, §5.4.7).
import { expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { type Host, Lab, sleep } from './support/hosts.ts';
import { type Kind, oursIsCulvert, pairings } from './support/implementations.ts';
import {
  forgetSession,
  inner,
  lastHandshake,
  type Pair,
  ping,
  port,
  reaches,
  tunnelPair,
} from './support/pair.ts';
import { startFlood } from './support/programs.ts';

const needs = { namespaces: true, tools: ['ip', 'wg', 'wireguard-go', 'ping'] };
const target = '198.51.100.2';
const ratePerSecond = 30_000;
const floodSeconds = 9;
/** The reference drops what does not fit into its queue, so one attempt may fail: ours asks more often here. */
const shortTimes = JSON.stringify({ rekeyTimeoutMs: 500 });
const mustGetThrough = oursIsCulvert;
/** Two cores are shared with the flood itself. */
const fewestReplies = 0.9;

describeWith(needs, 'a flood of handshakes', () => {
  test.each(pairings)('with a right mac1 is answered by cookies: %s begins, %s answers', async (...kinds) => {
    const lab = new Lab();
    try {
      const { pair, attacker } = await attackedPair(lab, kinds);
      const flood = await startFlood(attacker, floodOf(pair, 'valid'));
      await sleep(300);

      const running = await ping(pair.a.host, inner.b, 40);
      await forgetSession(pair);
      const again = await reaches(pair.a.host, inner.b, floodSeconds - 2);
      const duringFlood = await lastHandshake(pair.a);
      const { sent, cookies } = await flood.result;

      expect(running.received).toBeGreaterThanOrEqual(40 * fewestReplies);
      if (mustGetThrough) expect([again, duringFlood > 0]).toEqual([true, true]);
      expect(sent).toBeGreaterThan((ratePerSecond * floodSeconds) / 4);
      expect(cookies).toBeGreaterThan(0);
      expect((await ping(pair.a.host, inner.b, 5)).received).toBe(5);
    } finally {
      await lab.close();
    }
  });

  test.each<Kind>(['ours', 'reference'])('with a wrong mac1 gets no answer from %s', async (responder) => {
    const lab = new Lab();
    try {
      const { pair, attacker } = await attackedPair(lab, ['reference', responder]);
      const flood = await startFlood(attacker, { ...floodOf(pair, 'bad'), seconds: 4 });
      await sleep(300);

      const running = await ping(pair.a.host, inner.b, 20);
      await forgetSession(pair);
      const again = await reaches(pair.a.host, inner.b, 1);
      const { cookies } = await flood.result;

      expect(running.received).toBeGreaterThanOrEqual(20 * fewestReplies);
      expect(again).toBe(true);
      expect(cookies).toBe(0);
    } finally {
      await lab.close();
    }
  });
});

async function attackedPair(
  lab: Lab,
  kinds: readonly [Kind, Kind],
): Promise<{ readonly pair: Pair; readonly attacker: Host }> {
  const pair = await tunnelPair(lab, { kinds, env: { CULVERT_TEST_LIMITS: shortTimes } });
  const attacker = await lab.host();
  await lab.link(attacker, pair.b.host, 'eth1');
  await attacker.run('ip', 'addr', 'add', '198.51.100.1/24', 'dev', 'eth1');
  await pair.b.host.run('ip', 'addr', 'add', `${target}/24`, 'dev', 'eth1');
  await ping(pair.a.host, inner.b, 2);
  return { pair, attacker };
}

function floodOf(pair: Pair, mac1: 'valid' | 'bad'): Parameters<typeof startFlood>[1] {
  const { public: publicKey } = pair.keys.b;
  return { address: target, port, publicKey, seconds: floodSeconds, rate: ratePerSecond, mac1 };
}
