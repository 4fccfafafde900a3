/** The files of a state directory (0700), each with its own name here. */

import { join } from 'node:path';

export function settingsPath(stateDir: string): string {
  return join(stateDir, 'settings.json');
}

export function edgesPath(stateDir: string): string {
  return join(stateDir, 'edges');
}

/** How the APIs of edges are reached that this machine is enrolled with. */
export function registrationsPath(stateDir: string): string {
  return join(stateDir, 'registrations');
}

/** A key whose edge has not answered yet. */
export function pendingKeyPath(stateDir: string): string {
  return join(stateDir, 'pending-key.json');
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

/** What was changed in the user's desktop; apart from the rest, because it outlives the daemon and the boot. */
export function desktopJournalPath(stateDir: string): string {
  return join(stateDir, 'desktop-journal.jsonl');
}

/** What `culvert service install` did; apart from the rest, because it outlives every connection. */
export function unitJournalPath(stateDir: string): string {
  return join(stateDir, 'service.json');
}

/** What carried the tunnel in which network. */
export function transportsPath(stateDir: string): string {
  return join(stateDir, 'transports.json');
}

/** Where edges with names were found. */
export function knownAddressesPath(stateDir: string): string {
  return join(stateDir, 'addresses.json');
}

/** A pause, while it lasts. */
export function pausePath(stateDir: string): string {
  return join(stateDir, 'pause.json');
}
