// Private DNS where systemd-resolved or a resolvconf owns the system's: the real programs, from their unpacked packages,
// on a machine of their own. resolved is told through a link of ours, which goes with the process.
import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { unpackDebianPackage } from '../support/debian-package.ts';
import { describeWith } from '../support/requires.ts';
import { DnsWorld, end, type Laptop, networkServer } from './support/dns-world.ts';

const tools = [
  'ip',
  'nft',
  'nsenter',
  'openssl',
  'dig',
  'getent',
  'busctl',
  'dbus-daemon',
  'apt-get',
  'dpkg',
];
const viaDoh = '198.51.100.1';
const viaPlain = '198.51.100.3';
const patience = { timeout: 15_000, interval: 300 };
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
`;

const resolvedPackage = unpackDebianPackage('systemd-resolved');
const missing = resolvedPackage === undefined ? ['systemd-resolved (apt-get download)'] : [];

describeWith({ namespaces: true, tools: [...tools, ...missing] }, 'private DNS with systemd-resolved', () => {
  const world = new DnsWorld(process.pid % 100_000);
  const started: ChildProcess[] = [];
  let machine: Laptop;
  let resolved: ChildProcess;

  beforeAll(() => world.open());

  afterEach(async () => {
    await machine.shutDown();
    for (const { pid } of started.splice(0)) if (pid !== undefined) await end(pid, 'SIGKILL');
  });

  afterAll(async () => {
    await world.close();
    resolvedPackage?.remove();
  });

  function start(program: string, ...words: string[]): ChildProcess {
    const child = machine.start(program, ...words);
    started.push(child);
    return child;
  }

  async function startResolved(): Promise<void> {
    resolved = start(join(resolvedPackage?.root ?? '', 'lib/systemd/systemd-resolved'));
    await vi.waitFor(
      () => expect(machine.run('test', '-e', '/run/systemd/resolve/resolv.conf').code).toBe(0),
      patience,
    );
    await vi.waitFor(() => expect(resolvectl('status')).toContain('Global'), patience);
  }

  async function boot(): Promise<void> {
    const account = 'systemd-resolve:x:64991:64991::/:/usr/sbin/nologin';
    machine = await world.boot(`
      grep -q ^systemd-resolve: /etc/passwd || echo '${account}' >> /etc/passwd
      grep -q ^systemd-resolve: /etc/group || echo systemd-resolve:x:64991: >> /etc/group
      mkdir -p /run/dbus /run/systemd/resolve
      chown systemd-resolve:systemd-resolve /run/systemd/resolve
      ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf`);
    const config = join(machine.folder, 'bus.conf');
    writeFileSync(config, busConfig);
    start('dbus-daemon', `--config-file=${config}`, '--nofork', '--nopidfile');
    await vi.waitFor(
      () => expect(machine.run('test', '-S', '/run/dbus/system_bus_socket').code).toBe(0),
      patience,
    );
    await startResolved();
    // As NetworkManager tells it what DHCP said.
    resolvectl('dns', 'up0', networkServer);
    await vi.waitFor(() => expect(machine.lookUp('before.example')).toBe(viaPlain), patience);
  }

  function resolvectl(...words: string[]): string {
    const { out, err } = machine.run(join(resolvedPackage?.root ?? '', 'usr/bin/resolvectl'), ...words);
    return out + err;
  }

  test('every name of every program goes through us, nothing in the clear, and disconnect undoes it', async () => {
    await boot();
    const before = machine.resolvConfState();

    const status = machine.protect('doh');
    const packets = world.packets().port53;
    const found = [machine.lookUp('www.example'), resolvectl('query', '-4', 'query.example')];
    const dns = JSON.parse(machine.ok('dns', 'stats', '--json'));
    const inTheClear = world.packets().port53 - packets;
    const printer = machine.lookUp('printer.lan');
    const level = resolvectl('status', 'culvertdns0');
    machine.ok('disconnect');
    await vi.waitFor(() => expect(machine.status()['state']).toBe('off'), patience);

    expect(status['health']).toEqual([]);
    expect(dns.system.owner).toBe('resolved');
    expect(found).toEqual([viaDoh, expect.stringContaining(viaDoh)]);
    expect(inTheClear).toBe(0);
    expect(printer).toBe(viaPlain);
    expect(level).toContain('DNS Servers: 127.0.83.53');
    expect(level).toContain('DNS Domain: ~.');
    expect(machine.resolvConfState()).toBe(before);
    expect(machine.run('ip', 'link', 'show', 'culvertdns0').code).not.toBe(0);
    expect(machine.lookUp('after.example')).toBe(viaPlain);
  });

  test('kill -9 heals by itself, with no daemon', async () => {
    await boot();
    machine.protect('doh');
    expect(machine.lookUp('www.example')).toBe(viaDoh);

    await machine.kill('SIGKILL');

    await vi.waitFor(() => expect(machine.lookUp('healed.example')).toBe(viaPlain), { timeout: 5000 });
    expect(machine.restore()).toMatchObject({ code: 0 });
  });

  test('is told again where it starts anew and has forgotten us', async () => {
    await boot();
    machine.protect('doh');

    await end(resolved.pid ?? 0, 'SIGKILL');
    machine.sh('rm -rf /run/systemd/resolve/netif');
    await startResolved();

    await vi.waitFor(() => expect(resolvectl('status', 'culvertdns0')).toContain('127.0.83.53'), patience);
    await vi.waitFor(() => expect(machine.lookUp('again.example')).toBe(viaDoh), patience);
  });

  test('is told again where another program tells it otherwise, and not for ever', async () => {
    await boot();
    machine.protect('doh');

    resolvectl('revert', 'culvertdns0');
    await vi.waitFor(() => expect(resolvectl('status', 'culvertdns0')).toContain('127.0.83.53'), patience);
    const health = machine.health();
    for (let round = 0; round < 6; round++) {
      resolvectl('revert', 'culvertdns0');
      await vi
        .waitFor(() => expect(resolvectl('status', 'culvertdns0')).toContain('127.0.83.53'), {
          timeout: 1500,
        })
        .catch(() => undefined);
    }

    expect(health).toEqual([]);
    expect(machine.health()).toContain('dns-lost');
  });
});
