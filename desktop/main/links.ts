// Invitations that come from outside: a link that was opened, or the words of a second start. Untrusted: they are read
// here, shown to a person, and used by nobody before that person said yes. Pure.
import { parseInvite } from '../../shared/core/registration/invite.ts';
import type { Invitation } from '../bridge/ipc.ts';

export const linkScheme = 'culvert';

const maxWords = 64;

/** Whom a link would make this device trust; undefined where it is no invitation. */
export function readInvitation(link: string): Invitation | undefined {
  const parsed = parseInvite(link.trim());
  if (parsed.kind !== 'invite') return undefined;
  const { host, port } = parsed.invite;
  return { server: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`, link: link.trim() };
}

/** The one invitation among the words of a start; a start that names two is not followed. */
export function invitationAmong(words: readonly string[]): Invitation | undefined {
  const links = words.slice(0, maxWords).filter((word) => word.startsWith(`${linkScheme}:`));
  return links.length === 1 ? readInvitation(links[0] ?? '') : undefined;
}
