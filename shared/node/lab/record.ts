/**
 * What a lab on this machine consists of, written down before it is made: one file per lab in /run,
 * with the process that owns it. Whoever finds a record of a dead owner may take the lab away.
 */

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface LabRecord {
  readonly id: string;
  readonly owner: ProcessMark;
  /** Names of network namespaces. Interfaces and rules inside go with them. */
  readonly namespaces: readonly string[];
  /** Folders that belong to the lab alone. */
  readonly folders: readonly string[];
}

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessMark {
  readonly pid: number;
  /** Clock ticks from boot to the start of the process. */
  readonly startTicks: string;
}

export const recordFolder = '/run/culvert-lab';

/** Index of the start time among the fields behind the name in /proc/PID/stat (proc(5), field 22). */
const startTicksIndex = 19;

export function writeRecord(record: LabRecord, folder: string = recordFolder): void {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const path = join(folder, `${record.id}.json`);
  writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export function removeRecord(id: string, folder: string = recordFolder): void {
  rmSync(join(folder, `${id}.json`), { force: true });
}

/** Records whose owner no longer runs. A file that makes no sense is removed and not returned. */
export function deadRecords(folder: string = recordFolder): readonly LabRecord[] {
  const found: LabRecord[] = [];
  for (const name of listFolder(folder)) {
    if (!name.endsWith('.json')) continue;
    const record = readRecord(join(folder, name));
    if (record === undefined) rmSync(join(folder, name), { force: true });
    else if (!isAlive(record.owner)) found.push(record);
  }
  return found;
}

/** The mark of a running process; undefined where there is none. */
export function markOf(pid: number): ProcessMark | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name stands in parentheses and may itself have spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const startTicks = fields[startTicksIndex];
    return startTicks === undefined || fields[0] === 'Z' ? undefined : { pid, startTicks };
  } catch {
    return undefined; // no such process
  }
}

function isAlive(mark: ProcessMark): boolean {
  return markOf(mark.pid)?.startTicks === mark.startTicks;
}

function readRecord(path: string): LabRecord | undefined {
  try {
    const record = JSON.parse(readFileSync(path, 'utf8')) as LabRecord;
    const ok = typeof record.id === 'string' && typeof record.owner?.pid === 'number';
    return ok && Array.isArray(record.namespaces) && Array.isArray(record.folders) ? record : undefined;
  } catch {
    return undefined; // half written: its lab was never begun
  }
}

function listFolder(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // no lab was ever made here
  }
}
