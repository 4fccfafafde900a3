/**
 * culvert: the client, daemon and command line. Entry of the program: hands the words over and turns
 * the outcome into an exit code.
 */

import { fileURLToPath } from 'node:url';
import { ownAccount } from '../shared/node/control/places.ts';
import { runCli } from './cli/cli.ts';

// A reader that closes the pipe early (head) is no error of ours.
process.stdout.on('error', () => process.exit(0));

/** A daemon has closed everything by then: whatever still holds it open must not hold up the next one. */
const leaveMs = 3000;

process.exitCode = await runCli(process.argv.slice(2), {
  print: (text) => process.stdout.write(`${text}\n`),
  note: (text) => process.stderr.write(`${text}\n`),
  account: ownAccount(),
  entry: fileURLToPath(import.meta.url),
  // Loaded late: commands need none of the daemon.
  runDaemon: async (options) => {
    await (await import('./daemon.ts')).runDaemon(options);
    setTimeout(() => process.exit(), leaveMs).unref();
  },
});
