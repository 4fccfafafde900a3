/** The report: what the collectors say, redacted, as one text that a person can read before it goes anywhere. */

import { hostname, userInfo } from 'node:os';
import { type CollectorSources, collected, collectorsFor } from './collectors.ts';
import { Redactor } from './redact.ts';

const head = [
  'culvert report',
  'Keys, passwords, invitations, names and public addresses are replaced by labels like [name-1].',
  'Read it before you give it away.',
].join('\n');

/** The whole report, redacted. Nothing of it was sent anywhere. */
export async function diagnosisText(sources: CollectorSources): Promise<string> {
  const redactor = new Redactor(ownWords(sources), new Set(sources.settings.map(({ name }) => name)));
  const sections: string[] = [];
  for (const collector of collectorsFor(sources)) {
    sections.push(`== ${collector.name}\n${redactor.redact(await collected(collector))}`);
  }
  return `${[head, ...sections].join('\n\n')}\n`;
}

/** Words of this machine that say who it is. */
function ownWords({ status }: CollectorSources): readonly { kind: string; text: string }[] {
  const machine = hostname();
  const words = [
    { kind: 'machine', text: machine },
    { kind: 'user', text: userName() },
    { kind: 'edge', text: status.edge?.name ?? '' },
  ];
  // Words that stand everywhere anyway would only make the text unreadable.
  return words.filter(({ text }) => !['root', 'localhost', 'auto', 'culvert', 'edge'].includes(text));
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return ''; // No name for this number.
  }
}
