import { describe, expect, it } from 'vitest';
import { carriedBy } from '../../../../edge/transport/carried-by.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';
import type { DeviceStatus, PeerStatus } from '../../../../shared/core/tunnel/config.ts';

function peer(endpoint: string | undefined, allowedIps: readonly string[]): PeerStatus {
  return {
    publicKey: new Uint8Array(32),
    presharedKey: new Uint8Array(32),
    endpoint: endpoint === undefined ? undefined : { address: endpoint, port: 1 },
    lastHandshakeMs: 0,
    rxBytes: 0,
    txBytes: 0,
    persistentKeepalive: 0,
    allowedIps,
  };
}

describe('what carries a device', () => {
  it('is TLS where the tunnel sees it at an address of our streams', async () => {
    const peers = [
      peer('127.83.0.7', ['10.83.0.2/32', 'fd7c::2/128']),
      peer('127.0.0.1', ['10.83.0.3/32']),
      peer('192.0.2.1', ['10.83.0.4/32']),
      peer(undefined, ['10.83.0.5/32']),
    ];
    let asked = 0;
    let now = 0;
    const of = carriedBy(
      () => {
        asked++;
        return { peers } as unknown as DeviceStatus;
      },
      () => monoMs(now),
    );

    expect(await of('10.83.0.2')).toBe('tls');
    expect(await of('fd7c::2')).toBe('tls');
    for (const other of ['10.83.0.3', '10.83.0.4', '10.83.0.5', '10.83.0.6']) {
      expect(await of(other)).toBe('udp');
    }
    expect(asked).toBe(1);
    now = 1000;
    peers[0] = peer('192.0.2.7', ['10.83.0.2/32']);
    expect([await of('10.83.0.2'), asked]).toEqual(['udp', 2]);
  });

  it('is UDP where nobody knows', async () => {
    const of = carriedBy(
      () => Promise.reject(new Error('gone')),
      () => monoMs(0),
    );
    expect(await of('10.83.0.2')).toBe('udp');
  });
});
