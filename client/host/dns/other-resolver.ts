/** Who besides us may ask the network's servers on port 53 while the port is guarded (../firewall/dns-guard.ts). */

import { readFileSync } from 'node:fs';
import type { OtherResolver } from '../firewall/dns-guard.ts';

/** Of systemd-resolved, which asks the servers of a link for that link's own domains by itself. */
const resolvedUser = 'systemd-resolve';

/** `owner`: of this system's DNS. Undefined where nobody else asks. */
export function otherResolver(owner: string, servers: readonly string[]): OtherResolver | undefined {
  const userId = owner === 'resolved' ? userIdIn(accounts(), resolvedUser) : undefined;
  return userId === undefined ? undefined : { userId, servers };
}

/** The number of an account, from the text of passwd(5). */
export function userIdIn(text: string, name: string): number | undefined {
  const line = text.split('\n').find((one) => one.startsWith(`${name}:`));
  const number = line?.split(':')[2] ?? '';
  return /^\d+$/.test(number) ? Number(number) : undefined;
}

function accounts(): string {
  try {
    return readFileSync('/etc/passwd', 'utf8');
  } catch {
    return ''; // No such account is known, then.
  }
}
