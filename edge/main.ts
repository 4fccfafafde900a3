/** The program culvert-edge: command line and signals. Joins the commands to the composition root. */

import { buildCommandLine, runCommandLine } from './cli/cli.ts';
import { runEdge } from './cli/run-command.ts';
import { Edge } from './edge.ts';
import { version } from './version.ts';

const program = buildCommandLine({
  version: version(),
  run: (options) => runEdge(options, (edgeOptions) => Edge.start(edgeOptions)),
});

process.exit(await runCommandLine(program, process.argv.slice(2)));
