// Invitations as an edge would write them, with keys that open nothing.
import { formatInvite } from '../../shared/core/registration/invite.ts';

export function invitationLink(host: string, port: number): string {
  const token = `cve_${'A'.repeat(43)}`;
  return formatInvite({ host, port, token, pin: new Uint8Array(32), edgeKey: new Uint8Array(32).fill(1) });
}
