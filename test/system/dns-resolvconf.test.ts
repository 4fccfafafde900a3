// Private DNS where a resolvconf writes the system's file: Debian's and openresolv, the real ones, from their unpacked
// packages laid over the folders of a machine of their own.
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { unpackDebianPackage } from '../support/debian-package.ts';
import { describeWith } from '../support/requires.ts';
import { DnsWorld, type Laptop, networkServer } from './support/dns-world.ts';

const tools = ['ip', 'nft', 'nsenter', 'openssl', 'dig', 'getent', 'apt-get', 'dpkg'];
const viaDoh = '198.51.100.1';
const viaPlain = '198.51.100.3';
const stub = '127.0.83.53';
/** What makes each the owner of the file, after its package is there. */
const flavours = {
  openresolv: 'resolvconf -u',
  resolvconf:
    'resolvconf --enable-updates && ln -sf /run/resolvconf/resolv.conf /etc/resolv.conf && resolvconf -u',
} as const;

for (const [name, own] of Object.entries(flavours)) {
  const unpacked = unpackDebianPackage(name);
  const missing = unpacked === undefined ? [`${name} (apt-get download)`] : [];
  describeWith({ namespaces: true, tools: [...tools, ...missing] }, `private DNS with ${name}`, () => {
    const world = new DnsWorld(process.pid % 100_000);
    const root = unpacked?.root ?? '';
    let machine: Laptop;

    beforeAll(() => world.open());

    afterEach(() => machine.shutDown());

    afterAll(async () => {
      await world.close();
      unpacked?.remove();
    });

    async function boot(): Promise<void> {
      const over = (from: string, onto: string): string =>
        `mount -t overlay overlay -o lowerdir='${join(root, from)}':${onto} ${onto}`;
      machine = await world.boot(`
        ${over('sbin', '/usr/sbin')}
        ${over('lib', '/usr/lib')}
        cp -a '${root}/etc/.' /etc/
        echo 'nameserver ${networkServer}' | resolvconf -a up0.dhclient || true
        ${own} || true`);
      await vi.waitFor(() => expect(machine.resolvConf()).toContain(`nameserver ${networkServer}`), 5000);
    }

    test('adds a record, is the only one asked, stays so with a new lease, and takes its record away', async () => {
      await boot();
      const before = machine.resolvConfState();

      machine.protect('doh');
      const { system } = JSON.parse(machine.ok('dns', 'stats', '--json'));
      const packets = world.packets().port53;
      machine.sh(`echo 'nameserver ${networkServer}' | resolvconf -a up0.dhclient || true`);
      const found = machine.lookUp('www.example');
      const servers = machine.resolvConf()?.match(/^nameserver .*$/gm);
      const inTheClear = world.packets().port53 - packets;
      const printer = machine.lookUp('printer.lan');
      machine.ok('disconnect');
      await vi.waitFor(() => expect(machine.status()['state']).toBe('off'), 10_000);

      expect(system.owner).toBe('resolvconf');
      expect(found).toBe(viaDoh);
      expect(servers).toEqual([`nameserver ${stub}`]);
      expect(inTheClear).toBe(0);
      expect(printer).toBe(viaPlain);
      expect(machine.resolvConfState()).toBe(before);
    });

    test('loses the record by restore after kill -9', async () => {
      await boot();
      const before = machine.resolvConfState();
      machine.protect('doh');

      await machine.kill('SIGKILL');
      const restored = machine.restore();

      expect(restored.out).toBe('DNS: removed the record tun.culvert of resolvconf\n');
      expect(machine.resolvConfState()).toBe(before);
    });
  });
}
