/** `culvert registration`: what an edge knows of this machine, new keys, leaving. */

import type { Command } from 'commander';
import type { RegistrationView } from '../../../shared/core/control/enroll-api.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';
import { withEnroll } from './enroll.ts';

interface RegistrationFlags extends SharedFlags {
  readonly edge?: string;
}

export function addRegistration(program: Command, context: CliContext): void {
  const registration = program.command('registration').description('this machine as its edge knows it');
  withEnroll(registration.command('new'), context);
  withEdge(registration.command('show'))
    .description('ask the edge what it knows of this machine')
    .action(async (flags: RegistrationFlags) => {
      const client = await findDaemon(context, flags);
      const view = await client.call('registration', wish(flags));
      context.print(flags.json === true ? JSON.stringify(view) : viewText(view));
    });
  withEdge(registration.command('rotate-keys'))
    .description('make new keys; the old ones work for a minute more')
    .action(async (flags: RegistrationFlags) => {
      const client = await findDaemon(context, flags);
      const edge = await client.call('rotateKeys', wish(flags));
      context.print(
        flags.json === true ? JSON.stringify(edge) : `This machine has new keys at ${edge.name}.`,
      );
    });
  withEdge(registration.command('delete'))
    .description('leave the edge and forget it and its keys')
    .action(async (flags: RegistrationFlags) => {
      const client = await findDaemon(context, flags);
      const edges = await client.call('deleteRegistration', wish(flags));
      context.print(flags.json === true ? JSON.stringify(edges) : 'This machine has left the edge.');
    });
}

function withEdge(command: Command): Command {
  return withSharedFlags(command).option('--edge <name>', 'which one (default: the one in use)');
}

function wish({ edge }: RegistrationFlags): { readonly edge?: string } {
  return edge === undefined ? {} : { edge };
}

function viewText({ edge, device, api, enrolledAt }: RegistrationView): string {
  return [
    `${device.name} at ${edge}${device.enabled ? '' : ' (disabled there)'}`,
    `  id          ${device.id}`,
    `  public key  ${device.publicKey}`,
    `  addresses   ${device.addresses.join(', ')}`,
    `  path        ${device.path}`,
    `  API         ${api}`,
    `  enrolled    ${enrolledAt}`,
  ].join('\n');
}
