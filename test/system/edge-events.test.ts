// What an edge tells its devices by itself: a new configuration, and that it ends; and what a device tells the edge.
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { ProxyEdge, patience, proxyEdgeTools } from './support/proxy-edge.ts';

/** Far below the five minutes after which a device asks by itself. */
const pushed = { timeout: 15_000, interval: 100 };

describeWith({ tools: proxyEdgeTools }, 'an edge and a device that listens to it', () => {
  let world: ProxyEdge;

  beforeAll(async () => {
    world = await ProxyEdge.start();
    await world.runDaemon();
    world.culvert('enroll', world.invite('--name', 'laptop'));
    world.culvert('connect', '--wait');
  });

  afterAll(() => world?.close());

  test('pushes a new configuration, which the device takes at once', async () => {
    // The device has asked once by itself when this comes about.
    await vi.waitFor(
      () => expect(world.curl('http://edge.culvert/trace').out).toContain('device=laptop'),
      pushed,
    );

    world.configure((yaml) => yaml.replace(/^endpoint: \S+/m, 'endpoint: localhost'));
    world.edge('reload');

    await vi.waitFor(() => expect(world.culvert('edge', 'list')).toContain(`localhost:${world.udp}`), pushed);
    await vi.waitFor(() => expect(world.status().state).toBe('connected'), pushed);
  });

  test('streams inside the tunnel longer than a silent connection may live', async () => {
    const { out, code } = world.curl('-N', '--max-time', '17', 'http://edge.culvert/v1/config/events');

    // 28: curl's own time was over, nobody hung up.
    expect(code).toBe(28);
    expect(out).toMatch(/^data: \{"kind":"config-changed","revision":"[A-Za-z0-9_-]{16}"\}\n\n/);
  });

  test('tells what changed to nobody who shows no secret', async () => {
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: world.https, rejectUnauthorized: false }, () =>
        socket.end('GET /v1/config/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'),
      );
      let text = '';
      socket.on('data', (chunk: Buffer) => (text += chunk));
      socket.on('end', () => resolve(text));
      socket.on('error', reject);
    });

    expect(answer).toMatch(/^HTTP\/1.1 401 .*application\/problem\+json/s);
  });

  test('takes words of a device, which were shown and agreed to before', () => {
    const asked = world.tryCulvert('feedback', 'Films stop in the evening.');
    expect(asked.code).toBe(2);
    expect(asked.err).toMatch(/Films stop in the evening\.[\s\S]*Nothing was sent/);
    expect(world.edge('feedback')).toBe('Nobody wrote anything.\n');

    const words = ['feedback', 'Films stop in the evening.', '--with-diagnostics', '--yes', '--json'];
    const sent = world.tryCulvert(...words);
    expect(sent.code).toBe(0);
    const { id } = JSON.parse(sent.out) as { id: string };
    const listed = JSON.parse(world.edge('feedback', 'list', '--json')) as Record<string, string>[];
    const shown = JSON.parse(world.edge('feedback', 'show', id, '--json')) as Record<string, string>;

    expect(listed).toEqual([
      expect.objectContaining({ id, name: 'laptop', words: 'Films stop in the evening.' }),
    ]);
    expect(listed[0]).not.toHaveProperty('diagnostics');
    expect(shown['diagnostics']?.length).toBeGreaterThan(100);
    // What was sent is what was shown.
    expect(sent.err).toContain(shown['diagnostics']?.trimEnd());
    expect(world.edge('feedback')).toMatch(/laptop\s+Films stop/);
    world.edge('feedback', 'remove', id);
    expect(world.edge('feedback')).toBe('Nobody wrote anything.\n');
    expect(world.tryCulvert('feedback', ' ', '--yes').code).toBe(2);
    expect(world.tryCulvert('feedback', 'x'.repeat(5000), '--yes').code).toBe(2);
  });

  test('ends within three seconds, and the device knows that it was no accident and comes back', async () => {
    const { code, tookMs } = await world.endEdge();
    expect(code).toBe(0);
    expect(tookMs).toBeLessThan(3000);

    const codes = (): string[] => world.status().health.map((item) => item.code);
    await vi.waitFor(() => expect(codes()).toContain('edge-stopping'), pushed);
    expect(world.culvert('status')).toContain('being restarted by its owner');

    await world.runEdge();
    await vi.waitFor(() => expect(world.status().state).toBe('connected'), patience);
    await vi.waitFor(
      () => expect(world.curl('http://edge.culvert/trace').out).toContain('device=laptop'),
      pushed,
    );
    expect(codes()).not.toContain('edge-stopping');
  });

  test('cuts the stream of a device that is removed', async () => {
    const before = world.curl('-N', '--max-time', '2', 'http://edge.culvert/v1/config/events');
    expect(before.out).toContain('config-changed');

    world.edge('device', 'remove', 'laptop');

    expect(world.curl('-N', '--max-time', '5', 'http://edge.culvert/v1/config/events').out).toBe('');
  });
});
