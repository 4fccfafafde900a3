// New sessions under traffic: nothing is lost while one follows the other. Our side gets short times; the reference
// cannot, so it only ever answers here.
import { expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { Lab, sleep } from './support/hosts.ts';
import { type Kind, oursIsCulvert } from './support/implementations.ts';
import { inner, lastHandshake, type Pair, ping, tunnelPair } from './support/pair.ts';
import { sendDatagrams, startDatagramCounter } from './support/programs.ts';

const needs = { namespaces: true, tools: ['ip', 'wg', 'wireguard-go', 'ping'] };
const shortTimes = JSON.stringify({ rekeyAfterTimeMs: 2000, rejectAfterTimeMs: 4000, rekeyTimeoutMs: 1000 });
const fewMessages = JSON.stringify({ rekeyAfterMessages: 500, rekeyTimeoutMs: 300 });
/** A stand-in for ours has one session throughout. */
const fewestSessions = oursIsCulvert ? 3 : 1;

const ourBeginnings: readonly (readonly [Kind, Kind])[] = [
  ['ours', 'reference'],
  ['ours', 'ours'],
];

describeWith(needs, 'rekeying', () => {
  test.concurrent.each(ourBeginnings)('by time loses nothing: %s begins, %s answers', async (...kinds) => {
    const lab = new Lab();
    try {
      const pair = await tunnelPair(lab, { kinds, env: { CULVERT_TEST_LIMITS: shortTimes } });
      const sessions = watchSessions(pair);
      const there = ping(pair.a.host, inner.b, 180);
      const back = ping(pair.b.host, inner.a6, 160);

      expect((await there).received).toBe(180);
      // b does not know where a is before the first packet from there
      expect((await back).received).toBeGreaterThanOrEqual(155);
      expect((await sessions()).size).toBeGreaterThanOrEqual(fewestSessions);
    } finally {
      await lab.close();
    }
  });

  test.concurrent.each(ourBeginnings)(
    'by messages loses nothing: %s begins, %s answers',
    async (...kinds) => {
      const lab = new Lab();
      try {
        const pair = await tunnelPair(lab, { kinds, env: { CULVERT_TEST_LIMITS: fewMessages } });
        const sessions = watchSessions(pair);
        const counter = await startDatagramCounter(pair.b.host);
        await ping(pair.a.host, inner.b, 1);

        await sendDatagrams(pair.a.host, inner.b, 6000, 6);
        await sleep(200);

        const counted = await counter.finish();
        expect([counted.total, counted.distinct]).toEqual([6000, 6000]);
        expect((await sessions()).size).toBeGreaterThanOrEqual(fewestSessions);
      } finally {
        await lab.close();
      }
    },
  );
});

/** Collects the times of handshakes until asked for them. */
function watchSessions(pair: Pair): () => Promise<Set<number>> {
  const seen = new Set<number>();
  let going = true;
  const watching = (async () => {
    while (going) {
      const at = await lastHandshake(pair.a);
      if (at > 0) seen.add(at);
      await sleep(300);
    }
  })();
  watching.catch(() => {}); // Told to whoever asks; a test that failed before asks no more.
  return async () => {
    going = false;
    await watching;
    return seen;
  };
}
