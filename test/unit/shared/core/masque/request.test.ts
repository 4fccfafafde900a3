import { describe, expect, it } from 'vitest';
import { parseUdpRequestPath, udpRequestPath } from '../../../../../shared/core/masque/request.ts';

describe('the request for UDP', () => {
  it.each([
    ['192.0.2.6', 443, '/.well-known/masque/udp/192.0.2.6/443/'],
    ['edge.culvert', 51820, '/.well-known/masque/udp/edge.culvert/51820/'],
    ['2001:db8::42', 443, '/.well-known/masque/udp/2001%3Adb8%3A%3A42/443/'],
  ])('names %s and port %d by %s, and back', (host, port, path) => {
    expect(udpRequestPath({ host, port })).toBe(path);
    expect(parseUdpRequestPath(path)).toEqual({ host, port });
  });

  it.each([
    '/',
    '/v1/config',
    '/.well-known/masque/udp/edge.culvert/443',
    '/.well-known/masque/udp/edge.culvert/443/more',
    '/.well-known/masque/udp/edge.culvert/0/',
    '/.well-known/masque/udp/edge.culvert/65536/',
    '/.well-known/masque/udp/edge.culvert/+1/',
    '/.well-known/masque/udp//443/',
    '/.well-known/masque/udp/a%2Fb/443/',
    '/.well-known/masque/udp/a%/443/',
    '/.well-known/masque/udp/*/443/',
    `/.well-known/masque/udp/${'a'.repeat(254)}/443/`,
    `/.well-known/masque/udp/${'%61'.repeat(9000)}/443/`,
  ])('takes nothing else: %s', (path) => {
    expect(parseUdpRequestPath(path)).toBeUndefined();
  });
});
