/** What a device says of the edge's ports from where it is → one finding. Pure but for the asking. */

import { join } from 'node:path';
import { askOutside } from '../admin/client.ts';
import type { EdgeStatus } from '../admin/status.ts';
import { controlSocketName } from '../run-options.ts';
import type { Finding } from './examine.ts';
import type { OutsideAnswer } from './outside.ts';

export interface OutsidePatient {
  readonly dataFolder: string;
  /** Undefined where the edge does not run. */
  readonly status: EdgeStatus | undefined;
}

const subject = 'outside';

export async function examineOutside({ dataFolder, status }: OutsidePatient): Promise<Finding> {
  if (status === undefined) {
    const text = 'Nobody can be asked while the edge does not run.';
    return { subject, verdict: 'warning', text, remedy: 'Start the edge, then ask again.' };
  }
  const answer = await askOutside(join(dataFolder, controlSocketName)).catch(() => 'silent' as const);
  return outsideFinding(answer);
}

export function outsideFinding(answer: OutsideAnswer): Finding {
  if (answer === 'nobody') {
    const text = 'No device is connected that could try the ports from outside.';
    return { subject, verdict: 'good', text };
  }
  if (answer === 'silent') {
    return {
      subject,
      verdict: 'warning',
      text: 'A device was asked to try the ports from outside, and did not answer.',
      remedy: 'Ask again; or run culvert doctor on a device.',
    };
  }
  const named = answer.map(({ protocol, port }) => `${protocol === 'udp' ? 'UDP' : 'HTTPS'} ${port}`);
  const isOpen = answer.map((one) => one.answer === 'edge');
  const closed = named.filter((_, i) => isOpen[i] !== true);
  if (answer.length === 0 || closed.length === 0) {
    return { subject, verdict: 'good', text: `A device reaches ${named.join(', ') || 'what it tried'}.` };
  }
  return {
    subject,
    verdict: isOpen.includes(true) ? 'warning' : 'bad',
    text: `A device does not reach ${closed.join(', ')} from where it is.`,
    remedy:
      'Open them in the firewall of this machine and of its provider; the network of the device may close them, too.',
  };
}
