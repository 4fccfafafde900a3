/**
 * Resolvers whose addresses and names are built in, so that no DNS is needed to start: 1.1.1.1 with its
 * filters ("families"), and others that people ask for by name.
 */

export type Family = 'off' | 'malware' | 'full';

/** What a service is, whatever the transport. */
export interface WellKnownService {
  readonly id: string;
  /** Names that its certificate covers; the first is used where one is needed. */
  readonly names: readonly string[];
  /** In the order in which they are tried: the two families of addresses take turns. */
  readonly addresses: readonly string[];
  /** Whether its certificate covers its addresses too. */
  readonly coversAddresses: boolean;
  /** The filter that it is, for the services of 1.1.1.1. */
  readonly family: Family | undefined;
}

/** The services of 1.1.1.1 by filter. */
export const cloudflare: Readonly<Record<Family, WellKnownService>> = {
  off: {
    id: '1.1.1.1',
    names: [
      'cloudflare-dns.com',
      'one.one.one.one',
      '1dot1dot1dot1.cloudflare-dns.com',
      'mozilla.cloudflare-dns.com',
      'chrome.cloudflare-dns.com',
    ],
    addresses: ['1.1.1.1', '2606:4700:4700::1111', '1.0.0.1', '2606:4700:4700::1001'],
    coversAddresses: true,
    family: 'off',
  },
  malware: {
    id: '1.1.1.2',
    names: ['security.cloudflare-dns.com'],
    addresses: ['1.1.1.2', '2606:4700:4700::1112', '1.0.0.2', '2606:4700:4700::1002'],
    coversAddresses: false,
    family: 'malware',
  },
  full: {
    id: '1.1.1.3',
    names: ['family.cloudflare-dns.com'],
    addresses: ['1.1.1.3', '2606:4700:4700::1113', '1.0.0.3', '2606:4700:4700::1003'],
    coversAddresses: false,
    family: 'full',
  },
};

const services: readonly WellKnownService[] = [
  cloudflare.off,
  cloudflare.malware,
  cloudflare.full,
  {
    id: '9.9.9.9',
    names: ['dns.quad9.net', 'dns9.quad9.net'],
    addresses: ['9.9.9.9', '2620:fe::fe', '149.112.112.112', '2620:fe::9'],
    coversAddresses: true,
    family: undefined,
  },
  {
    id: '8.8.8.8',
    names: ['dns.google'],
    addresses: ['8.8.8.8', '2001:4860:4860::8888', '8.8.4.4', '2001:4860:4860::8844'],
    coversAddresses: true,
    family: undefined,
  },
];

/** The service behind a name (lower case) or an address in its usual spelling. */
export function findWellKnown(host: string): WellKnownService | undefined {
  return services.find((service) => service.names.includes(host) || service.addresses.includes(host));
}
