/**
 * Proxy variables for a program that cannot have a network of its own. They ask politely and enforce nothing.
 * Pure.
 */

import type { ProxyDoor } from './settings.ts';

/** Both spellings: programs read the one or the other. */
const spellings = (name: string): readonly string[] => [name, name.toUpperCase()];
const exceptions = spellings('no_proxy');

/** What to set, and with undefined what to take away, because it would lead around the proxy. */
export function proxyVariables(door: ProxyDoor): Readonly<Record<string, string | undefined>> {
  const login =
    door.username === undefined
      ? ''
      : `${encodeURIComponent(door.username)}:${encodeURIComponent(door.password ?? '')}@`;
  const host = door.host.includes(':') ? `[${door.host}]` : door.host;
  const place = `${login}${host}:${door.port}`;
  const variables: Record<string, string | undefined> = {};
  // The h: names are resolved at the far end.
  for (const name of spellings('all_proxy')) variables[name] = `socks5h://${place}`;
  for (const name of [...spellings('http_proxy'), ...spellings('https_proxy'), ...spellings('ftp_proxy')]) {
    variables[name] = `http://${place}`;
  }
  for (const name of exceptions) variables[name] = undefined;
  return variables;
}
