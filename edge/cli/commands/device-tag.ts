/** `culvert-edge device tag`: words about a device that rules of edge.yaml may speak of (match.tag). */

import type { Command } from 'commander';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import { operatorActor } from '../../registration/administration.ts';
import { addSharedFlags, print, type SharedFlags, withEdge } from '../place.ts';

export function addDeviceTag(device: Command): void {
  addSharedFlags(device.command('tag'))
    .description('words that rules may speak of: tag DEVICE add kids')
    .argument('<device>', 'id or name')
    .argument('<change>', 'add or remove')
    .argument('<tags...>', 'small letters, digits, dots, dashes or underscores')
    .action(changeTags);
}

async function changeTags(
  name: string,
  change: string,
  words: readonly string[],
  flags: SharedFlags,
): Promise<void> {
  if (change !== 'add' && change !== 'remove') {
    throw new CulvertError('bad-usage', {
      text: `'${change}' is nothing that can be done with a tag.`,
      remedy: 'Write: culvert-edge device tag DEVICE add TAG; or: … remove TAG',
    });
  }
  const changed = await withEdge(flags, async ({ administration }) => {
    const { tags = [] } = await administration.device(name);
    const left = tags.filter((tag) => !words.includes(tag));
    return administration.edit(name, { tags: change === 'add' ? [...left, ...words] : left }, operatorActor);
  });
  const { tags = [] } = changed;
  print(flags, { id: changed.id, name: changed.name, tags }, () =>
    tags.length === 0 ? `${changed.name} has no tags.\n` : `${changed.name}: ${tags.join(', ')}\n`,
  );
}
