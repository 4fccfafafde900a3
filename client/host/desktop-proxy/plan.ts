/**
 * What a desktop has to be told so that its programs use the local proxy: values by place and key, each in
 * the words of its store. Pure. In `gnome` and `kde` everything else is said before the switch.
 */

import { join } from 'node:path';

/** Where desktops keep their proxy. */
export const desktopStores = ['gnome', 'kde', 'environment'] as const;

export type DesktopStore = (typeof desktopStores)[number];

/** One value of one store. */
export interface DesktopKey {
  readonly store: DesktopStore;
  /** GNOME: the schema. KDE: the group of kioslaverc. Environment: the file. */
  readonly place: string;
  /** Empty for a whole file. */
  readonly key: string;
}

export interface DesktopValue extends DesktopKey {
  /** As the store's own program prints and takes it. */
  readonly value: string;
}

export interface ProxyAddress {
  readonly host: string;
  readonly port: number;
}

export const gnomeSchema = 'org.gnome.system.proxy';
export const kdeFile = 'kioslaverc';
export const kdeGroup = 'Proxy Settings';
/** Of KDE: a proxy that is named by hand. */
const kdeManual = '1';
/** What never leaves this machine needs no proxy; everything else does. */
const exceptions: readonly string[] = ['localhost', '127.0.0.0/8', '::1'];

/** In the order in which they are to be set; to be undone in the reverse one. */
export function desktopValues(
  store: DesktopStore,
  proxy: ProxyAddress,
  home: string,
): readonly DesktopValue[] {
  switch (store) {
    case 'gnome':
      return gnomeValues(proxy);
    case 'kde':
      return kdeValues(proxy);
    case 'environment':
      return [{ store, place: environmentFile(home), key: '', value: environmentText(proxy) }];
  }
}

/** Read by systemd for every new session of the user, whatever the desktop (environment.d(5)). */
export function environmentFile(home: string): string {
  return join(home, '.config', 'environment.d', '60-culvert-proxy.conf');
}

function gnomeValues({ host, port }: ProxyAddress): readonly DesktopValue[] {
  const store = 'gnome';
  const kinds = ['http', 'https', 'socks'].flatMap((kind): DesktopValue[] => [
    { store, place: `${gnomeSchema}.${kind}`, key: 'host', value: `'${host}'` },
    { store, place: `${gnomeSchema}.${kind}`, key: 'port', value: String(port) },
  ]);
  const ignored = `[${exceptions.map((text) => `'${text}'`).join(', ')}]`;
  return [
    ...kinds,
    { store, place: gnomeSchema, key: 'ignore-hosts', value: ignored },
    { store, place: gnomeSchema, key: 'mode', value: `'manual'` },
  ];
}

function kdeValues({ host, port }: ProxyAddress): readonly DesktopValue[] {
  const value = (key: string, text: string): DesktopValue => ({
    store: 'kde',
    place: kdeGroup,
    key,
    value: text,
  });
  return [
    value('httpProxy', `http://${host} ${port}`),
    value('httpsProxy', `http://${host} ${port}`),
    value('socksProxy', `socks://${host} ${port}`),
    value('NoProxyFor', exceptions.join(',')),
    value('ReversedException', 'false'),
    value('ProxyType', kdeManual),
  ];
}

function environmentText({ host, port }: ProxyAddress): string {
  const http = `http://${host}:${port}`;
  const lines = ['# Written by: culvert proxy system on. Removed by: culvert proxy system off'];
  for (const [name, url] of [
    ['all_proxy', `socks5h://${host}:${port}`],
    ['http_proxy', http],
    ['https_proxy', http],
    ['no_proxy', exceptions.join(',')],
  ] as const) {
    lines.push(`${name}=${url}`, `${name.toUpperCase()}=${url}`);
  }
  return `${lines.join('\n')}\n`;
}
