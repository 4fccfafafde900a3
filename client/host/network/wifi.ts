/**
 * The name of the Wi-Fi that an interface is in, by the program `iw`. The contract stands apart, so that tests give
 * another; no test here had a real Wi-Fi.
 */

import { existsSync } from 'node:fs';
import type { Run } from '../../../shared/node/run.ts';

export interface WifiPort {
  /** Undefined where the interface is no Wi-Fi, is in none, or nobody can tell. Never rejects. */
  ssid(interfaceName: string): Promise<string | undefined>;
  isWifi(interfaceName: string): boolean;
}

export function systemWifi(run: Run): WifiPort {
  const isWifi = (name: string): boolean => existsSync(`/sys/class/net/${name}/wireless`);
  return {
    isWifi,
    async ssid(interfaceName) {
      if (!isWifi(interfaceName)) return undefined;
      try {
        return ssidIn((await run('iw', ['dev', interfaceName, 'link'], { timeoutMs: 2000 })).stdout);
      } catch {
        return undefined; // Unknown is not trusted.
      }
    },
  };
}

const longestOutput = 8192;

/** The name in what `iw dev X link` prints, whose odd bytes are written `\xNN`. Pure. */
export function ssidIn(output: string): string | undefined {
  const line = output
    .slice(0, longestOutput)
    .split('\n')
    .find((one) => /^\s*SSID: /.test(one));
  const written = line?.replace(/^\s*SSID: /, '');
  if (written === undefined || written === '') return undefined;
  const bytes: number[] = [];
  for (let at = 0; at < written.length; ) {
    const escaped = /^\\x([0-9a-f]{2})/i.exec(written.slice(at, at + 4));
    if (escaped === null) {
      bytes.push(...Buffer.from(String.fromCodePoint(written.codePointAt(at) ?? 63), 'utf8'));
      at += (written.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
    } else {
      bytes.push(Number.parseInt(escaped[1] ?? '3f', 16));
      at += 4;
    }
  }
  return Buffer.from(bytes).toString('utf8');
}
