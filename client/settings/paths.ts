/** The files of a state directory (0700), each with its own name here. */

import { join } from 'node:path';

export function settingsPath(stateDir: string): string {
  return join(stateDir, 'settings.json');
}

export function edgesPath(stateDir: string): string {
  return join(stateDir, 'edges');
}

export function wishPath(stateDir: string): string {
  return join(stateDir, 'wish.json');
}

export function journalPath(stateDir: string): string {
  return join(stateDir, 'journal.jsonl');
}

export function logPath(stateDir: string): string {
  return join(stateDir, 'daemon.log');
}
