/**
 * What is asked to learn whether a network wants a sign-in, and what an honest network answers. One table; the setting
 * `portal.probes` replaces it. Plain HTTP on purpose: a sign-in page can be put in front of nothing else. Pure.
 */

export interface PortalProbe {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** With its leading slash. */
  readonly path: string;
  readonly expect: HonestAnswer;
}

/** 204 without a body, or 200 with a body that holds this text. */
export type HonestAnswer = { readonly status: 204 } | { readonly status: 200; readonly text: string };

/** More than this is not asked: every one of them learns that somebody is here. */
export const maxProbes = 4;
const httpPort = 80;

/** Pages that the systems themselves use for this; networks with a sign-in know them, and let none of them pass. */
export const usualProbes: readonly PortalProbe[] = [
  {
    host: 'connectivitycheck.gstatic.com',
    port: httpPort,
    path: '/generate_204',
    expect: { status: 204 },
  },
  {
    host: 'captive.apple.com',
    port: httpPort,
    path: '/hotspot-detect.html',
    expect: { status: 200, text: 'Success' },
  },
  {
    host: 'detectportal.firefox.com',
    port: httpPort,
    path: '/success.txt',
    expect: { status: 200, text: 'success' },
  },
];

/**
 * The address that a person opens to be led to the sign-in: one of ours, never one that the network names. Plain HTTP,
 * and of a name that browsers do not insist on opening by HTTPS.
 */
export function signInUrl(probes: readonly PortalProbe[]): string | undefined {
  const page = probes.find(({ expect }) => expect.status === 200) ?? probes[0];
  return page === undefined ? undefined : urlOf(page);
}

export function urlOf({ host, port, path }: PortalProbe): string {
  const name = host.includes(':') ? `[${host}]` : host;
  return `http://${name}${port === httpPort ? '' : `:${port}`}${path}`;
}

/** One item of the setting: `http://HOST/PATH` answers 204; with `#TEXT` it answers 200 and a page with that text. */
export function probeOf(item: string): PortalProbe | undefined {
  let url: URL;
  try {
    url = new URL(item);
  } catch {
    return undefined; // The setting's own words say what fits.
  }
  if (url.protocol !== 'http:' || url.username !== '' || url.password !== '') return undefined;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (host === '') return undefined;
  const text = decodeURIComponentOr(url.hash.slice(1));
  const port = url.port === '' ? httpPort : Number(url.port);
  const expect: HonestAnswer = text === '' ? { status: 204 } : { status: 200, text };
  return { host, port, path: `${url.pathname}${url.search}`, expect };
}

/** The probes that a setting means; the usual ones where it is empty. */
export function probesOf(setting: string): readonly PortalProbe[] {
  const items = setting
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  if (items.length === 0) return usualProbes;
  return items.flatMap((item) => probeOf(item) ?? []).slice(0, maxProbes);
}

function decodeURIComponentOr(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
