// While DNS alone is private, programs that ask a server of their own are refused: no packet for port 53 leaves the
// machine but our own to the network's servers, and nothing stays behind, whatever ends the daemon.
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { DnsWorld, type Laptop, networkServer } from './support/dns-world.ts';

const needs = {
  namespaces: true,
  ffi: true,
  tools: ['ip', 'nft', 'nsenter', 'setpriv', 'openssl', 'dig', 'getent'],
};
const viaDoh = '198.51.100.1';
const viaPlain = '198.51.100.3';
const table = ['list', 'table', 'inet', 'culvert_dns'] as const;
const patience = { timeout: 20_000, interval: 100 };

describeWith(needs, 'port 53 while DNS is private', () => {
  const world = new DnsWorld((process.pid + 50_000) % 100_000);
  let laptop: Laptop;

  beforeAll(() => world.open());
  afterEach(() => laptop.shutDown());
  afterAll(() => world.close());

  const isGuarded = (): boolean => laptop.run('nft', ...table).code === 0;
  /** For changes of settings; whatever says `dns` says so once it holds. */
  const guarded = (): Promise<void> => vi.waitFor(() => expect(isGuarded()).toBe(true), patience);
  const askDirectly = (server: string, ...words: string[]): string =>
    laptop.dig(`@${server}`, '+short', ...words, 'direct.example');

  test.for(['doh', 'dot'] as const)(
    '%s: no program gets out on it, over UDP or TCP, and we do',
    async (mode) => {
      laptop = await world.boot();
      const allowed = askDirectly(networkServer).trim();
      laptop.protect(mode);
      const before = world.packets().port53;

      const refused = ['1.1.1.1', networkServer].flatMap((server) => [
        askDirectly(server),
        askDirectly(server, '+tcp'),
      ]);
      const leaked = world.packets().port53 - before;
      const found = laptop.lookUp('www.example');
      const printer = laptop.lookUp('printer.lan');

      expect(allowed).toBe(viaPlain);
      for (const outcome of refused) expect(outcome).not.toContain(viaPlain);
      expect(leaked).toBe(0);
      expect(found).not.toBe('');
      expect(printer).toBe(viaPlain);
      expect(laptop.health()).not.toContain('dns-port-open');
      expect(JSON.parse(laptop.ok('dns', 'test', 'www.example', '--json')).network).toBeUndefined();
    },
  );

  test('a program learns at once that it is refused', async () => {
    laptop = await world.boot();
    laptop.protect('doh');
    expect(isGuarded()).toBe(true);

    const { out } = laptop.run('dig', '@1.1.1.1', '+time=30', '+tries=1', '+tcp', 'www.example');

    expect(out).toContain('connection refused');
  });

  test('is open again after disconnect, after the end of the daemon, and after kill -9 without anybody', async () => {
    laptop = await world.boot();
    laptop.protect('doh');
    expect(isGuarded()).toBe(true);

    laptop.ok('disconnect');
    await vi.waitFor(() => expect(laptop.status()['state']).toBe('off'), patience);
    const afterOff = isGuarded();
    laptop.connect();
    expect(isGuarded()).toBe(true);
    await laptop.kill('SIGTERM');
    const afterEnd = isGuarded();
    laptop.startDaemon();
    laptop.connect();
    expect(isGuarded()).toBe(true);
    await laptop.kill('SIGKILL');

    expect([afterOff, afterEnd]).toEqual([false, false]);
    await vi.waitFor(() => expect(isGuarded()).toBe(false), patience);
    expect(askDirectly(networkServer)).toBe(`${viaPlain}\n`);
    laptop.restore();
  });

  test('is left open where the setting says so, and closed when it says otherwise', async () => {
    laptop = await world.boot();
    laptop.protect('doh');
    expect(isGuarded()).toBe(true);
    laptop.ok('settings', 'set', 'dns.guardPort53', 'off');
    await vi.waitFor(() => expect(isGuarded()).toBe(false), patience);

    expect(askDirectly(networkServer)).toBe(`${viaPlain}\n`);
    expect(laptop.lookUp('www.example')).toBe(viaDoh);
    expect(laptop.health()).toEqual([]);
    laptop.ok('settings', 'set', 'dns.guardPort53', 'on');
    await guarded();
  });

  test('is said to be open where nft cannot close it', async () => {
    laptop = await world.boot(
      'printf "#!/bin/sh\\necho no >&2\\nexit 1\\n" > /run/nft && chmod 755 /run/nft',
    );
    laptop.sh('mount --bind /run/nft "$(readlink -f "$(command -v nft)")"');

    laptop.protect('doh');

    await vi.waitFor(() => expect(laptop.health()).toEqual(['dns-port-open']), patience);
    expect(laptop.lookUp('www.example')).toBe(viaDoh);
  });

  test('stays as it is where the system does not ask us', async () => {
    laptop = await world.boot();
    laptop.startDaemon();
    laptop.ok('settings', 'set', 'dns.system', 'off');
    laptop.ok('settings', 'set', 'dns.caFile', world.caFile);
    laptop.ok('mode', 'doh');
    laptop.connect();

    expect(isGuarded()).toBe(false);
    expect(laptop.lookUp('www.example')).toBe(viaPlain);
  });
});
