/** `culvert feedback`: words for whoever runs the edge. Everything that will leave is shown before, and asked about. */

import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import { maxFeedbackDiagnostics, maxFeedbackWords } from '../../../shared/core/control/enroll-api.ts';
import type { ControlClient } from '../../../shared/node/control/socket-client.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';

interface FeedbackFlags extends SharedFlags {
  readonly withDiagnostics?: boolean;
  readonly yes?: boolean;
  readonly edge?: string;
}

const cutNote = '\n(the rest is left out)\n';

export function addFeedback(program: Command, context: CliContext): void {
  withSharedFlags(program.command('feedback'))
    .argument('<words>', 'what you want to say')
    .description('write to whoever runs your edge; shows what will be sent and asks')
    .option('--with-diagnostics', 'also send the redacted diagnosis of this machine')
    .option('--edge <name>', 'to which edge (default: the one in use)')
    .option('--yes', 'send without asking')
    .action(async (words: string, flags: FeedbackFlags) => {
      checkWords(words);
      const client = await findDaemon(context, flags);
      const diagnostics = flags.withDiagnostics === true ? await diagnosticsOf(client) : undefined;
      const wish = {
        words,
        ...(diagnostics === undefined ? {} : { diagnostics }),
        ...(flags.edge === undefined ? {} : { edge: flags.edge }),
      };
      context.note(preview(words, diagnostics));
      if (flags.yes !== true && !(await confirm())) {
        context.print(flags.json === true ? JSON.stringify({ sent: false }) : 'Nothing was sent.');
        return;
      }
      const { id } = await client.call('sendFeedback', wish);
      context.print(
        flags.json === true ? JSON.stringify({ sent: true, id }) : `Sent. The edge has it as ${id}.`,
      );
    });
}

function checkWords(words: string): void {
  const size = Buffer.byteLength(words);
  if (words.trim() !== '' && size <= maxFeedbackWords) return;
  throw new CulvertError('bad-usage', {
    text: words.trim() === '' ? 'There are no words in it.' : `That is ${size} bytes long.`,
    remedy: `Write ${maxFeedbackWords} bytes at most, in quotes: culvert feedback "…"`,
  });
}

/** As `culvert diag` prints it, as far as an edge takes it. */
async function diagnosticsOf(client: ControlClient): Promise<string> {
  const { text } = await client.call('diagnosis');
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= maxFeedbackDiagnostics) return text;
  // Half a letter at the cut becomes a mark of three bytes.
  const room = maxFeedbackDiagnostics - Buffer.byteLength(cutNote) - 3;
  return bytes.subarray(0, room).toString('utf8') + cutNote;
}

function preview(words: string, diagnostics: string | undefined): string {
  const rest =
    diagnostics === undefined ? [] : ['--- and this diagnosis ---', diagnostics.replace(/\n$/, '')];
  return ['This will be sent to whoever runs your edge:', '---', words, ...rest, '---'].join('\n');
}

async function confirm(): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new CulvertError('bad-usage', {
      text: 'Nothing was sent: there is nobody here who could be asked.',
      remedy: 'Read the text above, then say --yes.',
    });
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(?:es)?$/i.test((await terminal.question('Send it? [y/N] ')).trim());
  } finally {
    terminal.close();
  }
}
