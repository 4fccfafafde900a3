/** `culvert import` and `culvert edge`: the servers that this machine may use. */

import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { maxConfLength } from '../../../shared/core/control/api.ts';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon, needDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';
import { renderEdges } from '../render.ts';

interface ImportFlags extends SharedFlags {
  readonly name?: string;
}

export function addEdges(program: Command, context: CliContext): void {
  addImport(program, context);
  const edge = program.command('edge').description('the edges that are known');
  const list = edge
    .command('list')
    .description('print them; the one in use has a star')
    .action(async (flags: SharedFlags) => {
      const client = await findDaemon(context, flags);
      print(await client.call('edges'), context, flags);
    });
  const use = edge
    .command('use')
    .argument('<name>', 'name of an edge, or auto for the newest')
    .description('choose the edge for the next connect')
    .action(async (name: string, flags: SharedFlags) => {
      const client = await findDaemon(context, flags);
      print(await client.call('useEdge', { name }), context, flags);
    });
  const remove = edge
    .command('remove')
    .argument('<name>', 'name of an edge')
    .description('forget an edge and its keys')
    .action(async (name: string, flags: SharedFlags) => {
      const client = await findDaemon(context, flags);
      print(await client.call('removeEdge', { name }), context, flags);
    });
  for (const command of [list, use, remove]) withSharedFlags(command);
}

function addImport(program: Command, context: CliContext): void {
  const command = program
    .command('import')
    .argument('<file>', 'a wg-quick file')
    .description('add any WireGuard server as an edge; starts a daemon where none answers')
    .option('--name <name>', 'name of the edge (default: the name of the file)')
    .action(async (file: string, flags: ImportFlags) => {
      const name = flags.name ?? basename(file).replace(/\.conf$/, '');
      const conf = readConf(file);
      const client = await needDaemon(context, flags);
      const result = await client.call('importEdge', { name, conf });
      if (flags.json === true) {
        context.print(JSON.stringify(result));
        return;
      }
      context.print(
        `${result.replaced ? 'Replaced' : 'Added'} the edge ${result.edge.name}. Next: culvert connect`,
      );
      for (const sentence of result.ignored) context.note(sentence);
    });
  withSharedFlags(command);
}

function readConf(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CulvertError('file-unreadable', { text: `The file ${file} cannot be read.`, cause });
  }
  if (text.length > maxConfLength)
    throw new CulvertError('bad-config', { text: `The file ${file} is too long.` });
  return text;
}

function print(edges: Parameters<typeof renderEdges>[0], context: CliContext, flags: SharedFlags): void {
  context.print(flags.json === true ? JSON.stringify(edges) : renderEdges(edges));
}
