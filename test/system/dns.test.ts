// Private DNS alone (modes doh and dot) on a whole machine: the system is told in the way that its files allow, nothing
// is asked in the clear, and everything is given back, also after kill -9. Acceptance by clients that nobody here wrote.
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { DnsWorld, type Laptop, networkFile } from './support/dns-world.ts';

const needs = {
  namespaces: true,
  tools: ['ip', 'nft', 'nsenter', 'setpriv', 'openssl', 'dig', 'getent', 'curl'],
};
const viaDoh = '198.51.100.1';
const viaDot = '198.51.100.2';
const viaPlain = '198.51.100.3';
const stub = '127.0.83.53';

describeWith(needs, 'private DNS on a machine', () => {
  const world = new DnsWorld(process.pid % 100_000);
  let laptop: Laptop | undefined;

  async function boot(setUp?: string): Promise<Laptop> {
    laptop = await world.boot(setUp);
    return laptop;
  }

  beforeAll(() => world.open());

  afterEach(async () => {
    await laptop?.shutDown();
    laptop = undefined;
  });

  afterAll(() => world.close());

  test.for([
    ['doh', viaDoh],
    ['dot', viaDot],
  ] as const)(
    '%s answers programs, asks nobody in the clear and gives back what was there',
    async ([mode, address]) => {
      const machine = await boot();
      const before = machine.resolvConfState();
      expect(machine.lookUp('www.example')).toBe(viaPlain);
      const packetsBefore = world.packets();

      const status = machine.protect(mode);
      const found = machine.lookUp('www.example');
      const text = machine.resolvConf();
      machine.run('curl', '-s', '--max-time', '2', 'http://curl.example/');
      const packets = world.packets();
      await off(machine);

      expect(status).toMatchObject({
        state: 'dns',
        mode,
        dns: { transport: mode, listen: `${stub}:53` },
        health: [],
      });
      expect(found).toBe(address);
      expect(text).toContain(`nameserver ${stub}\nsearch office.example\n`);
      expect(packets.port53).toBe(packetsBefore.port53);
      expect(packets.private).toBeGreaterThan(packetsBefore.private);
      expect(machine.resolvConfState()).toBe(before);
      expect(machine.lookUp('www.example')).toBe(viaPlain);
    },
  );

  test.for([
    ['a link', 'cp /etc/resolv.conf /etc/resolv.real && ln -sf resolv.real /etc/resolv.conf'],
    ['a link that leads nowhere', 'ln -sf ../run/nowhere/resolv.conf /etc/resolv.conf'],
    ['no file at all', 'rm /etc/resolv.conf'],
    ['a file mounted by a container', 'cp /etc/resolv.conf /run/r && mount --bind /run/r /etc/resolv.conf'],
    ['a file with odd rights', 'chmod 600 /etc/resolv.conf'],
  ] as const)('gives back %s, on disconnect and after kill -9', async ([, setUp]) => {
    const machine = await boot(setUp);
    const before = machine.resolvConfState();

    machine.protect('doh');
    const first = machine.lookUp('www.example');
    await off(machine);
    const afterOff = machine.resolvConfState();
    machine.connect();
    await machine.kill('SIGKILL');
    const restored = machine.restore();

    expect(first).toBe(viaDoh);
    expect(afterOff).toBe(before);
    expect(restored).toMatchObject({ code: 0, out: 'DNS: put /etc/resolv.conf back as it was\n' });
    expect(machine.resolvConfState()).toBe(before);
    expect(machine.restore().out).toBe('Nothing to undo.\n');
  });

  test('refuses, with a sentence and nothing changed, where the file cannot be written', async () => {
    const machine = await boot('mount -o remount,bind,ro /etc');
    const before = machine.resolvConfState();
    machine.startDaemon();
    machine.ok('settings', 'set', 'dns.caFile', world.caFile);
    machine.ok('mode', 'doh');

    const failed = machine.culvert('connect', '--wait', '--json');

    expect(failed.code).toBe(1);
    expect(JSON.parse(failed.err)).toMatchObject({
      code: 'dns-file-closed',
      text: '/etc/resolv.conf cannot be written: it is on a read-only file system.',
    });
    expect(machine.status()['state']).toBe('off');
    expect(machine.resolvConfState()).toBe(before);
    expect(machine.restore().out).not.toContain('put');
    machine.ok('settings', 'set', 'dns.system', 'off');
    expect(machine.connect()['health'][0].code).toBe('dns-not-taken');
    expect(machine.dig(`@${stub}`, '+short', 'www.example')).toBe(`${viaDoh}\n`);
  });

  test('heals by the next daemon after kill -9, also where that one does not connect', async () => {
    const machine = await boot();
    const before = machine.resolvConfState();
    machine.protect('dot');

    await machine.kill('SIGKILL');
    machine.startDaemon();
    await vi.waitFor(() => expect(machine.lookUp('www.example')).toBe(viaDot), 5000);
    machine.ok('settings', 'set', 'autoConnect', 'false');
    await machine.kill('SIGKILL');
    machine.startDaemon();

    expect(machine.resolvConfState()).toBe(before);
    expect(machine.status()['state']).not.toBe('dns');
  });

  test('gives back when the daemon is told to end', async () => {
    const machine = await boot();
    const before = machine.resolvConfState();
    machine.protect('doh');

    await machine.kill('SIGTERM');

    expect(machine.resolvConfState()).toBe(before);
  });

  test("answers another program's write, keeps it as what to give back, and stops a fight", async () => {
    const machine = await boot();
    machine.protect('doh');
    const lease = (n: number): string => `# Generated by NetworkManager\nnameserver 192.0.2.${n}\n`;
    const write = (n: number): void => {
      machine.sh(`printf '%s' '${lease(n)}' > /etc/.new && mv /etc/.new /etc/resolv.conf`);
    };

    write(7);
    await vi.waitFor(() => expect(machine.resolvConf()).toContain(stub), 5000);
    const answered = machine.lookUp('www.example');
    for (let n = 10; n < 16; n++) {
      write(n);
      await vi
        .waitFor(() => expect(machine.resolvConf()).toContain(stub), { timeout: 1500 })
        .catch(() => undefined);
    }
    const health = machine.health();
    await off(machine);

    expect(answered).toBe(viaDoh);
    expect(health).toContain('dns-lost');
    // Theirs came last, and stays.
    expect(machine.resolvConf()).toMatch(/^# Generated by NetworkManager\nnameserver 192\.0\.2\.1\d\n$/);
  });

  test('stays in its place while settings change: no moment in the clear', async () => {
    const machine = await boot();
    machine.protect('doh');
    const written = (): string => machine.sh('stat -c %i-%Z /etc/resolv.conf');
    const before = written();

    machine.ok('dns', 'families', 'malware');
    machine.ok('reconnect');
    machine.ok('settings', 'set', 'dns.queryLog', 'on');
    const found = machine.lookUp('www.example');

    expect(found).toBe(viaDoh);
    expect(written()).toBe(before);
    expect(machine.ok('dns', 'log')).toContain('www.example');
  });

  test("asks the network's own servers for names of the network", async () => {
    const machine = await boot();
    machine.protect('doh');
    const before = world.packets();
    await world.take();

    const printer = machine.lookUp('printer.lan');
    const other = machine.lookUp('www.example');
    const asked = await world.take();

    expect([printer, other]).toEqual([viaPlain, viaDoh]);
    expect(asked.filter(({ way }) => way === 'plain').map(({ name }) => name)).toEqual(['printer.lan']);
    expect(world.packets().port53 - before.port53).toBe(1);
  });

  test('takes a high port without root, says how to use it, and answers there', async () => {
    const machine = await boot();
    const before = machine.resolvConfState();

    const status = machine.protect('doh', 'user');

    expect(status).toMatchObject({
      state: 'dns',
      dns: { listen: '127.0.0.1:5053' },
      health: [{ code: 'dns-not-taken', text: expect.stringContaining('127.0.0.1:5053') }],
    });
    expect(machine.dig('@127.0.0.1', '-p', '5053', '+short', 'www.example')).toBe(`${viaDoh}\n`);
    expect(machine.dig('@127.0.0.1', '-p', '5053', '+tcp', '+short', 'www.example')).toBe(`${viaDoh}\n`);
    expect(machine.resolvConfState()).toBe(before);
  });

  test('takes the other port where one is in use, and fails with a sentence where none is free', async () => {
    const machine = await boot();
    const hold = `require('node:dgram').createSocket('udp4').bind(53,'${stub}',()=>console.log('held'))`;
    const holder = machine.start(process.execPath, '-e', hold);
    await new Promise((resolve) => holder.stdout?.once('data', resolve));

    const status = machine.protect('doh');
    await off(machine);
    machine.ok('settings', 'set', 'dns.listen', `${stub}:53`);
    const failed = machine.culvert('connect', '--wait', '--json');
    holder.kill('SIGKILL');

    expect(status['dns'].listen).toBe('127.0.0.1:5053');
    expect(status['health'][0].code).toBe('dns-not-taken');
    expect(JSON.parse(failed.err)).toMatchObject({ code: 'port-in-use' });
    expect(machine.status()['state']).toBe('off');
    expect(machine.resolvConf()).toBe(networkFile);
  });

  async function off(machine: Laptop): Promise<void> {
    machine.ok('disconnect');
    await vi.waitFor(() => expect(machine.status()['state']).toBe('off'), 10_000);
  }
});
