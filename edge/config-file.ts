/** Reads edge.yaml from the disk and hands it to config.ts. */

import { readFileSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { CulvertError } from '../shared/core/control/codes.ts';
import { type ParsedConfig, parseEdgeConfig } from './config.ts';
import { readSecretKey } from './identity.ts';
import { readSecretText } from './secret-text.ts';

const maxConfigBytes = 8 * 1024 * 1024;

/** `kernelMissing`: as in ConfigSurroundings. */
export function loadConfig(path: string, dataFolder: string, kernelMissing?: string): ParsedConfig {
  return parseEdgeConfig(readText(path), {
    fileName: basename(path),
    folder: dirname(path),
    dataFolder,
    readSecretKey,
    readSecretText,
    kernelMissing,
  });
}

function readText(path: string): string {
  try {
    if (statSync(path).size > maxConfigBytes) {
      throw new CulvertError('bad-config', {
        text: `${path} is too large for a configuration.`,
        remedy: 'Name the right file with --config.',
      });
    }
    return readFileSync(path, 'utf8');
  } catch (cause) {
    if (cause instanceof CulvertError) throw cause;
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new CulvertError('file-unreadable', {
      text: missing ? `There is no configuration at ${path}.` : `The configuration ${path} cannot be read.`,
      remedy: missing
        ? 'Make one: culvert-edge init; or name another with --config.'
        : 'Check its permissions, or name another with --config.',
      cause,
    });
  }
}
