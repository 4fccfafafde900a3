import { describe, expect, it } from 'vitest';
import { waysOf } from '../../../../client/transport/edge-ways.ts';
import { askUdpAfterMs, planRace, type RaceFacts, udpPlaces } from '../../../../client/transport/race.ts';

const pin = `sha256/${'A'.repeat(43)}`;
const registration = {
  deviceId: 'd',
  bearer: 'b',
  host: 'edge.example.com',
  port: 8443,
  pin,
  edgeKey: 'k',
  enrolledAt: '2026-01-01T00:00:00Z',
};
const three = udpPlaces(['192.0.2.1'], [51820, 443, 4500]);

function plan(facts: Partial<RaceFacts>): readonly string[] {
  return planRace({ udp: three, hasTls: true, choice: 'auto', ...facts }).map((step) =>
    step.kind === 'tls' ? `${step.atMs} tls` : `${step.atMs} udp ${step.place.port}`,
  );
}

describe('the race of the ways to an edge', () => {
  it.each<[string, Partial<RaceFacts>, readonly string[]]>([
    ['UDP close behind each other, then TLS', {}, ['250 udp 443', '500 udp 4500', '1000 tls']],
    [
      'TLS at once where it was needed last time, and UDP none the later',
      { remembered: 'tls' },
      ['0 tls', '250 udp 443', '500 udp 4500'],
    ],
    [
      'no sooner where UDP passed last time',
      { remembered: 'udp' },
      ['250 udp 443', '500 udp 4500', '1000 tls'],
    ],
    ['one port: the tunnel has it already', { udp: three.slice(0, 1) }, ['1000 tls']],
    ['no TLS where there is none', { hasTls: false }, ['250 udp 443', '500 udp 4500']],
    ['no TLS where the user wants UDP', { choice: 'udp' }, ['250 udp 443', '500 udp 4500']],
    ['TLS alone where the user wants it', { choice: 'tls', remembered: 'udp' }, ['0 tls']],
  ])('%s', (_, facts, steps) => {
    expect(plan(facts)).toEqual(steps);
  });

  it('tries the usual port at every address before other ports', () => {
    expect(udpPlaces(['192.0.2.1', '2001:db8::1'], [51820, 443])).toEqual([
      { address: '192.0.2.1', port: 51820 },
      { address: '2001:db8::1', port: 51820 },
      { address: '192.0.2.1', port: 443 },
      { address: '2001:db8::1', port: 443 },
    ]);
  });

  it('asks UDP again after half a minute, then ever less often, at least every ten minutes', () => {
    expect([0, 1, 2, 5, 1000].map((asked) => askUdpAfterMs(asked) / 1000)).toEqual([30, 60, 120, 600, 600]);
  });
});

describe('the ways to an edge', () => {
  it('are what it named, the port of the file and HTTPS port 443 first', () => {
    const told = { ...registration, udpPorts: [443, 51820], httpsPorts: [8443, 443] };

    const ways = waysOf(told, 51820);

    expect(ways).toMatchObject({ udpPorts: [51820, 443], httpsPorts: [443, 8443] });
    expect(ways?.pin).toHaveLength(32);
  });

  it('are those of the invitation and the file where it named none', () => {
    expect(waysOf(registration, 51820)).toMatchObject({ udpPorts: [51820], httpsPorts: [8443] });
  });

  it('are not known of an edge that this machine did not enrol with', () => {
    expect(waysOf(undefined, 51820)).toBeUndefined();
    expect(waysOf({ ...registration, pin: 'x' }, 51820)).toBeUndefined();
  });

  it('are few, however many it names', () => {
    const many = Array.from({ length: 100 }, (_, i) => i + 1);
    const ways = waysOf({ ...registration, udpPorts: many, httpsPorts: many }, 51820);
    expect([ways?.udpPorts.length, ways?.httpsPorts.length]).toEqual([8, 8]);
  });
});
