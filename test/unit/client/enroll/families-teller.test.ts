import { expect, test } from 'vitest';
import { FamiliesTeller } from '../../../../client/enroll/families-teller.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

function world() {
  const told: string[] = [];
  const waiting: (() => void)[] = [];
  const now = {
    edge: undefined as string | undefined,
    families: 'full' as 'off' | 'full',
    mode: 'tunnel',
    fails: false,
  };
  const teller = new FamiliesTeller({
    enrollment: {
      call: async (edge: string, name: string, ...body: readonly unknown[]) => {
        told.push(`${edge} ${name} ${JSON.stringify(body[0])}`);
        if (now.fails) throw new Error('not there');
        return undefined as never;
      },
    },
    connectedTo: () => now.edge,
    choice: () => ({ families: now.families, mode: now.mode }),
    log: silentLog,
    after: (_ms, run) => {
      waiting.push(run);
      return () => {
        waiting.splice(waiting.indexOf(run), 1);
      };
    },
  });
  return { teller, told, now, waiting };
}

const words = (families: string): string => `home chooseFamilies {"families":"${families}"}`;

test('tells the edge the filter at each connect and each change of it, once', () => {
  const { teller, told, now } = world();

  teller.handleChange();
  now.edge = 'home';
  teller.handleChange();
  teller.handleChange();
  now.families = 'off';
  teller.handleChange();
  now.edge = undefined;
  teller.handleChange();
  now.edge = 'home';
  teller.handleChange();

  expect(told).toEqual([words('full'), words('edge'), words('edge')]);
});

test('leaves the filter to the edge in tunnel_only', () => {
  const { teller, told, now } = world();
  now.edge = 'home';
  now.mode = 'tunnel_only';

  teller.handleChange();

  expect(told).toEqual([words('edge')]);
});

test('tells again an edge that could not be told, a few times, and not after it was left', async () => {
  const { teller, told, now, waiting } = world();
  now.edge = 'home';
  now.fails = true;

  teller.handleChange();
  for (let i = 0; i < 10; i++) {
    await new Promise(setImmediate);
    waiting.shift()?.();
  }
  const tries = told.length;
  now.edge = undefined;
  teller.handleChange();
  await new Promise(setImmediate);

  expect(tries).toBe(5);
  expect(waiting).toEqual([]);
  expect(told.length).toBe(tries);
});
