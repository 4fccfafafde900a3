// What private DNS answers, on a whole machine: filters, lists, names of the network, upstreams that come and go, and
// the questions of clients that nobody here wrote: dig, kdig, getent, curl, and unbound, which validates what it gets.
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { DnsWorld, type Laptop } from './support/dns-world.ts';

const needs = {
  namespaces: true,
  tools: ['ip', 'nft', 'nsenter', 'setpriv', 'openssl', 'dig', 'kdig', 'getent', 'curl'],
};
const viaDoh = '198.51.100.1';
const viaDot = '198.51.100.2';
const viaPlain = '198.51.100.3';
const stub = '127.0.83.53';

describeWith(needs, 'answers of private DNS', () => {
  const world = new DnsWorld(process.pid % 100_000);
  let machine: Laptop;
  let packetsBefore = 0;

  beforeAll(async () => {
    await world.open();
    machine = await world.boot();
    machine.protect('doh');
    packetsBefore = world.packets().port53;
  });

  afterEach(async () => {
    const changed = ['families', 'upstreams', 'fallback', 'block', 'allow', 'blockFiles', 'rebindProtection'];
    for (const name of changed) machine.culvert('settings', 'reset', `dns.${name}`);
    await world.take();
  });

  afterAll(async () => {
    await machine.shutDown();
    await world.close();
  });

  function dig(...words: string[]): string {
    return machine.dig(`@${stub}`, ...words);
  }

  function short(name: string): string {
    return dig('+short', name).trim();
  }

  /** The tests of this group ask nothing outside but by the private way. */
  describe('in the strict mode', () => {
    afterAll(() => expect(world.packets().port53).toBe(packetsBefore));

    test('another filter forgets what the one before let through', async () => {
      const before = [short('adult.example'), short('malware.example')];

      machine.ok('dns', 'families', 'full');
      const full = [short('adult.example'), short('malware.example')];
      machine.ok('dns', 'families', 'malware');
      const malware = [short('adult.example'), short('malware.example')];
      const asked = await world.take();

      expect(before).toEqual([viaDoh, viaDoh]);
      expect(full).toEqual(['0.0.0.0', '0.0.0.0']);
      expect(malware).toEqual([viaDoh, '0.0.0.0']);
      const places = asked.map(({ at }) => at).join(' ');
      expect(places).toBe('1.1.1.1 1.1.1.1 1.1.1.3 1.1.1.3 1.1.1.2 1.1.1.2');
    });

    test('tells a browser to leave DNS alone only where there is a filter', () => {
      const canary = (): string => /status: (\w+)/.exec(dig('use-application-dns.net'))?.[1] ?? '';
      const without = canary();

      machine.ok('dns', 'families', 'malware');

      expect([without, canary()]).toEqual(['NOERROR', 'NXDOMAIN']);
    });

    test('a list blocks names, what hides behind an alias too, and the more exact word holds', () => {
      machine.ok('settings', 'set', 'dns.block', 'ads.example,tracker.example');
      machine.ok('settings', 'set', 'dns.allow', 'good.ads.example');

      expect(short('x.ads.example')).toBe('0.0.0.0');
      expect(dig('+short', 'ads.example', 'AAAA').trim()).toBe('::');
      expect(short('good.ads.example')).toBe(viaDoh);
      expect(short('alias.example')).toBe('0.0.0.0');
      expect(dig('ads.example')).toContain('EDE: 15 (Blocked)');
    });

    test('a name of the Internet leads into this network only where that is allowed', () => {
      const open = short('inside.example');
      machine.ok('settings', 'set', 'dns.rebindProtection', 'on');

      expect(open).toBe('192.168.1.1');
      expect(short('inside.example')).toBe('');
    });

    test('changing a list keeps the cache', async () => {
      short('kept.example');
      await world.take();

      machine.ok('settings', 'set', 'dns.block', 'other.example');

      expect(short('kept.example')).toBe(viaDoh);
      expect(await world.take()).toEqual([]);
    });

    test('upstreams of the user are asked, by address, URL and name', async () => {
      machine.ok('dns', 'upstream', 'tls://203.0.113.53');
      const dot = short('one.example');
      machine.ok('dns', 'upstream', 'https://203.0.113.53/dns-query');
      const doh = short('two.example');
      const asked = await world.take();

      expect([dot, doh]).toEqual([viaDot, viaDoh]);
      expect(asked.map(({ at }) => at)).toEqual(['203.0.113.53', '203.0.113.53']);
      expect(machine.status()['dns'].upstream).toBe('https://203.0.113.53/dns-query');
    });

    test('nobody answers: it fails with a reason, says so, and comes back by itself', async () => {
      short('before.example');
      await world.tell({ stop: 'doh' });

      const failed = dig('+time=6', 'nobody.example');
      const health = machine.health();
      const cached = short('before.example');
      await world.tell({ start: 'doh' });

      expect(failed).toContain('status: SERVFAIL');
      expect(failed).toMatch(/EDE: 2[23] /);
      expect(health).toContain('dns-unanswered');
      expect(cached).toBe(viaDoh);
      await vi.waitFor(() => expect(short('back.example')).toBe(viaDoh), { timeout: 15_000, interval: 500 });
      await vi.waitFor(() => expect(machine.health()).toEqual([]), { timeout: 15_000, interval: 500 });
    });

    test.for(['doh', 'dot'] as const)(
      'no query is lost where a %s upstream closes or starts anew',
      async (way) => {
        machine.ok(
          'dns',
          'upstream',
          way === 'doh' ? 'https://203.0.113.53/dns-query' : 'tls://203.0.113.53',
        );
        const answers: string[] = [];

        answers.push(short('first.example'));
        for (let round = 0; round < 3; round++) {
          await world.tell({ idleClose: true });
          answers.push(short(`idle${round}.example`));
        }
        await world.tell({ stop: way });
        await world.tell({ start: way });
        answers.push(short('restarted.example'));

        expect(new Set(answers)).toEqual(new Set([way === 'doh' ? viaDoh : viaDot]));
      },
    );

    test('never asks outside what must stay inside', async () => {
      const names = ['localhost', 'printer.local', 'router.invalid', 'x.onion', 'home.culvert', 'x.culvert'];

      for (const name of names) dig(name);
      dig('-x', '192.168.1.1');
      const asked = await world.take();

      // The reverse name is the network's; here nobody else is asked.
      expect(asked.filter(({ way }) => way !== 'plain')).toEqual([]);
      expect(asked.map(({ name }) => name)).toEqual(['1.1.168.192.in-addr.arpa']);
      packetsBefore += 1;
    });
  });

  test('names that the user gives to the network go to it, or to the server that was named', async () => {
    machine.ok('dns', 'fallback', 'add', 'office.example');
    machine.ok('dns', 'fallback', 'add', 'lab.example', '203.0.113.53');

    const found = [short('wiki.office.example'), short('x.lab.example'), short('other.example')];

    expect(found).toEqual([viaPlain, viaPlain, viaDoh]);
    machine.ok('dns', 'fallback', 'remove', 'office.example');
    expect(short('new.office.example')).toBe(viaDoh);
  });

  test('a bare address is asked by DoT, and where that is not offered in the way that it tells itself', async () => {
    machine.ok('dns', 'upstream', '203.0.113.53');
    const dot = short('bare1.example');
    await world.take();
    await world.tell({ stop: 'dot' });

    const doh = short('bare2.example');
    const asked = await world.take();
    await world.tell({ start: 'dot' });

    expect([dot, doh]).toEqual([viaDot, viaDoh]);
    expect(asked.map(({ way, name }) => `${way} ${name}`)).toEqual([
      'plain _dns.resolver.arpa',
      'doh bare2.example',
    ]);
  });

  test('dns test shows the way of an answer, each upstream, and a network that lies', async () => {
    const test = JSON.parse(machine.ok('dns', 'test', 'missing.example', '--type', 'A', '--json'));
    const text = machine.ok('dns', 'test', 'www.example');

    expect(test.answers[0]).toMatchObject({ type: 'A', code: 'NXDOMAIN', origin: 'upstream' });
    expect(test.network).toBeUndefined();
    expect(test.upstreams.length).toBeGreaterThanOrEqual(2);
    expect(text).toContain(viaDoh);
    expect(text).toContain('from the private resolver');
    await world.take();
    const local = machine.ok('dns', 'test', 'printer.lan', '--type', 'A');
    expect((await world.take()).map(({ way, name }) => `${way} ${name}`)).toEqual(['plain printer.lan']);
    expect(local).toContain('No private resolver was asked for it.');
  });

  describe('to other programs', () => {
    test('a large answer is cut over UDP and whole over TCP', () => {
      const cut = dig('+ignore', '+bufsize=1232', 'big.example', 'TXT');
      const plain = dig('+ignore', '+noedns', 'big.example', 'TXT');
      const whole = dig('+bufsize=1232', 'big.example', 'TXT');

      expect(cut).toMatch(/flags: qr[^;]* tc/);
      expect(Number(/MSG SIZE {2}rcvd: (\d+)/.exec(cut)?.[1])).toBeLessThanOrEqual(1232);
      expect(Number(/MSG SIZE {2}rcvd: (\d+)/.exec(plain)?.[1])).toBeLessThanOrEqual(512);
      expect(plain).not.toContain('OPT PSEUDOSECTION');
      expect(whole.match(/IN\s+TXT/g)?.length).toBe(31);
      expect(whole).toContain('(TCP)');
    });

    test('kdig: EDNS of every kind, and several questions on a connection', () => {
      const options = ['+cookie', '+padding', '+subnet=192.0.2.0/24', '+nsid', '+bufsize=4096'];
      const rich = machine.run('kdig', `@${stub}`, ...options, 'kdig.example');
      const many = machine.run(
        'kdig',
        `@${stub}`,
        '+tcp',
        '+keepopen',
        'a.example',
        'b.example',
        'c.example',
      );

      expect(rich.out).toContain(viaDoh);
      expect(rich.out + rich.err).not.toContain('WARNING');
      expect(many.out.match(new RegExp(viaDoh, 'g'))?.length).toBe(3);
    });

    test('a name is spelled as it was asked, from the cache too', () => {
      expect([dig('www.example'), dig('wWw.ExAmple')].map((text) => text.match(/www\.example/gi))).toEqual([
        ['www.example', 'www.example', 'www.example'],
        ['wWw.ExAmple', 'wWw.ExAmple', 'wWw.ExAmple'],
      ]);
    });

    test('what the asker tells about itself goes no further', async () => {
      machine.run('kdig', `@${stub}`, '+subnet=192.0.2.0/24', '+cookie', 'secret.example');
      const asked = await world.take();

      expect(asked.map(({ name, edns }) => [name, edns])).toEqual([['secret.example', [12]]]);
    });

    test('the C library and curl', () => {
      expect(machine.run('getent', 'ahosts', 'libc.example').out).toContain(viaDoh);
      expect(machine.run('getent', 'ahosts', 'missing.example').code).toBe(2);
      expect(machine.run('curl', '-sv', '--max-time', '1', 'http://curl.example').err).toContain(
        `${viaDoh}:80`,
      );
    });
  });
});
