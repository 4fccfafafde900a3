// The life of the program: into the background and out again, sudden death and return, and starts that must fail with
// one sentence and nothing left behind.
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { eventually, type Host, Lab, type Output, pidsIn } from './support/hosts.ts';
import {
  answers,
  type Kind,
  newInterfaceName,
  oursIsCulvert,
  pairings,
  programOf,
  socketOf,
  startWg,
} from './support/implementations.ts';
import { bringUp, configureEnd, inner, outer, ping, port, reaches, tunnelPair } from './support/pair.ts';

const needs = { namespaces: true, tools: ['ip', 'wg', 'wireguard-go', 'ping', 'setpriv', 'unshare'] };
const crowd = 12;
const shortTimes = JSON.stringify({ keepaliveTimeoutMs: 1000, rekeyTimeoutMs: 1000 });

describeWith(needs, 'the life of the program', () => {
  describe.each<Kind>(['ours', 'reference'])('%s in the background', (kind) => {
    let lab: Lab;
    let host: Host;
    let name: string;

    beforeAll(async () => {
      lab = new Lab();
      host = await lab.host();
    });
    afterAll(async () => {
      await lab.close();
    });

    async function startInBackground(): Promise<number> {
      name = newInterfaceName();
      const output = await host.try([programOf(kind), name], { timeoutMs: 10_000 });
      expect(output, output.err).toMatchObject({ code: 0 });
      expect(existsSync(socketOf(name))).toBe(true);
      expect(await hasLink()).toBe(true);
      const pids = pidsIn(host.namespace);
      expect(pids).toHaveLength(1);
      return pids[0] ?? -1;
    }
    async function hasLink(): Promise<boolean> {
      return (await host.try(['ip', 'link', 'show', name])).code === 0;
    }
    async function leavesNothing(): Promise<void> {
      expect(await eventually(() => pidsIn(host.namespace).length === 0)).toBe(true);
      expect(await hasLink()).toBe(false);
      expect(existsSync(socketOf(name))).toBe(false);
    }

    test('returns when the socket answers, and ends by SIGTERM', async () => {
      const pid = await startInBackground();
      expect(await answers(name)).toBe(true);

      process.kill(pid, 'SIGTERM');

      await leavesNothing();
    });

    test('ends when its interface is deleted', async () => {
      await startInBackground();

      await host.run('ip', 'link', 'del', name);

      await leavesNothing();
    });

    test('ends when its interface is deleted, also beside many others on a busy machine', async () => {
      const names = Array.from({ length: crowd }, newInterfaceName);
      await Promise.all(names.map(async (one) => host.run(programOf(kind), one)));
      expect(pidsIn(host.namespace)).toHaveLength(crowd);

      for (const one of names) await host.run('ip', 'link', 'del', one);

      expect(await eventually(() => pidsIn(host.namespace).length === 0)).toBe(true);
      expect(names.filter((one) => existsSync(socketOf(one)))).toEqual([]);
    });

    test('ends when its socket is removed', async () => {
      await startInBackground();

      rmSync(socketOf(name));

      await leavesNothing();
    });

    test('keeps its socket to root', async () => {
      const pid = await startInBackground();
      const asNobody = ['setpriv', '--reuid=65534', '--clear-groups', 'wg', 'show', name];

      expect((await host.try(asNobody)).code).not.toBe(0);

      process.kill(pid, 'SIGTERM');
      await leavesNothing();
    });
  });

  test('ours leaves nothing behind when it is ended in the foreground', async () => {
    const lab = new Lab();
    try {
      const host = await lab.host();
      for (const signal of ['SIGTERM', 'SIGINT'] as const) {
        const wg = await startWg(host, 'ours');
        await wg.process.stop(signal);

        expect(existsSync(socketOf(wg.name))).toBe(false);
        expect((await host.try(['ip', 'link', 'show', wg.name])).code).not.toBe(0);
      }
    } finally {
      await lab.close();
    }
  });

  test.concurrent.each(pairings)(
    'a tunnel heals after either end was killed: %s begins, %s answers',
    async (...kinds) => {
      const lab = new Lab();
      try {
        const pair = await tunnelPair(lab, { kinds, env: { CULVERT_TEST_LIMITS: shortTimes } });
        expect((await ping(pair.a.host, inner.b, 3)).received).toBe(3);

        for (const end of ['a', 'b'] as const) {
          await pair[end].process.stop('SIGKILL');
          // the socket of the dead one is still there
          const { host, kind, name } = pair[end];
          const reborn = await startWg(host, kind, { name, env: { CULVERT_TEST_LIMITS: shortTimes } });
          await configureEnd(pair, end, end === 'a' ? ['endpoint', `${outer.b}:${port}`] : [], reborn);
          await bringUp(reborn, end);
          // the survivor notices by silence: 15 s by the paper, 2 s with our short times
          expect(await eventually(async () => await reaches(pair.a.host, inner.b, 1), 20_000)).toBe(true);
        }
        expect((await ping(pair.b.host, inner.a, 3)).received).toBe(3);
      } finally {
        await lab.close();
      }
    },
  );

  describe('a start that cannot be', () => {
    let lab: Lab;
    let host: Host;

    beforeAll(async () => {
      lab = new Lab();
      host = await lab.host();
    });
    afterAll(async () => {
      await lab.close();
    });

    async function failing(name: string, before: readonly string[] = []): Promise<Output> {
      const output = await host.try([...before, programOf('ours'), '-f', name], { timeoutMs: 10_000 });
      expect(output.code).toBe(1);
      if (oursIsCulvert) expectOneSentence(output.err);
      expect(pidsIn(host.namespace)).toEqual([]);
      expect((await host.try(['ip', '-br', 'link'])).out.trim().split('\n')).toHaveLength(1);
      return output;
    }

    test.each([...(oursIsCulvert ? [''] : []), 'a/b', '.', '..', 'sixteen-letters-', 'with blank'])(
      'refuses the name %j',
      async (name) => {
        await failing(name);
      },
    );

    test('says that /dev/net/tun is missing', async () => {
      const name = newInterfaceName();
      const hidden = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /dev/net && exec "$@"', 'sh'];

      const { err } = await failing(name, hidden);

      if (oursIsCulvert) expect(err).toContain('/dev/net/tun');
      expect(existsSync(socketOf(name))).toBe(false);
    });

    test('says that it lacks the right to make interfaces', async () => {
      const name = newInterfaceName();

      const { err } = await failing(name, ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin']);

      if (oursIsCulvert) expect(err).toContain('CAP_NET_ADMIN');
      expect(existsSync(socketOf(name))).toBe(false);
    });

    test('leaves a socket alone that another program serves', async () => {
      const name = newInterfaceName();
      writeFileSync(socketOf(name), ''); // the folder exists after this, or this fails
      rmSync(socketOf(name));
      const server = createServer((socket) => socket.end());
      await new Promise<void>((resolve) => server.listen(socketOf(name), resolve));
      try {
        await failing(name);

        expect(existsSync(socketOf(name))).toBe(true);
      } finally {
        server.close();
      }
    });

    test('says that the interface exists', async () => {
      const name = newInterfaceName();
      const other = await lab.host();
      await other.run('ip', 'link', 'add', name, 'type', 'bridge');

      const output = await other.try([programOf('ours'), '-f', name], { timeoutMs: 10_000 });

      expect(output.code).toBe(1);
      if (oursIsCulvert) expectOneSentence(output.err);
      expect(existsSync(socketOf(name))).toBe(false);
    });

    test('takes the place of a socket that nobody serves', async () => {
      const wg = await startWg(host, 'ours');
      await wg.process.stop('SIGKILL');
      expect(existsSync(socketOf(wg.name))).toBe(true);

      const again = await startWg(host, 'ours', { name: wg.name });

      expect(await answers(again.name)).toBe(true);
      await again.stop();
    });

    test.runIf(oursIsCulvert).each([[[]], [['-f']], [['-x', 'wgx']], [['wgx', 'wgy']]])(
      'explains itself for %j',
      async (words) => {
        const output = await host.try([programOf('ours'), ...words], { timeoutMs: 10_000 });

        expect(output.code).not.toBe(0);
        expect(output.err + output.out).not.toBe('');
        expect(pidsIn(host.namespace)).toEqual([]);
      },
    );
  });
});

/** What happened and what to do, without the insides of the program. */
function expectOneSentence(text: string): void {
  const lines = text.trim().split('\n');
  expect(lines.length, text).toBeLessThanOrEqual(2);
  expect(text.trim()).not.toBe('');
  expect(text).not.toMatch(/^\s+at |node:internal|undefined/m);
}
