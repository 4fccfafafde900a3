/**
 * Programs that go around the tunnel: a folder in the cgroup v2 tree, which the firewall can tell apart. Programs that
 * they start belong to it, too. The folder goes when the last of them is gone, with the daemon or by `culvert restore`.
 */

import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { Run } from '../../shared/node/run.ts';

export interface RunningProgram {
  readonly pid: number;
  readonly name: string;
}

export const groupName = 'culvert-outside';
/** Where nft looks paths up. */
const nftRoot = '/sys/fs/cgroup';
const maxListed = 256;

export class ProgramGroup {
  readonly #run: Run;
  readonly #root: string;
  #folder: string | undefined;

  /** `root`: of the tree; tests give another. */
  constructor(run: Run, root: string = nftRoot) {
    this.#run = run;
    this.#root = root;
  }

  /** Its path below the root of the tree, for the firewall; undefined while no program is in it. */
  get group(): string | undefined {
    return this.list().length === 0 || this.#folder === undefined
      ? undefined
      : relative(this.#root, this.#folder);
  }

  list(): readonly RunningProgram[] {
    if (this.#folder === undefined) return [];
    return pidsIn(this.#folder)
      .slice(0, maxListed)
      .map((pid) => ({ pid, name: nameOf(pid) }));
  }

  /** Throws 'no-program-groups' where this kernel cannot do it, 'unknown-program' where there is no such process. */
  async add(pid: number): Promise<void> {
    const folder = await this.#made();
    try {
      writeFileSync(join(folder, 'cgroup.procs'), String(pid));
    } catch (cause) {
      throw new CulvertError('unknown-program', { text: `There is no process ${pid}.`, cause });
    }
  }

  remove(pid: number): void {
    if (this.#folder === undefined || !pidsIn(this.#folder).includes(pid)) {
      throw new CulvertError('unknown-program', { text: `Process ${pid} does not go around the tunnel.` });
    }
    writeFileSync(join(this.#folder, '..', 'cgroup.procs'), String(pid));
  }

  /** All of them go where everything goes again. Idempotent. */
  close(): void {
    const folder = this.#folder;
    this.#folder = undefined;
    if (folder === undefined) return;
    for (const pid of pidsIn(folder)) {
      try {
        writeFileSync(join(folder, '..', 'cgroup.procs'), String(pid));
      } catch {
        // It ended meanwhile.
      }
    }
    try {
      rmdirSync(folder);
    } catch {
      // Somebody started one more in it: an empty folder harms nobody.
    }
  }

  /** The folder, where nft accepts it too. */
  async #made(): Promise<string> {
    if (this.#folder !== undefined) return this.#folder;
    const folder = join(this.#root, groupName);
    try {
      if (!isGroupTree(this.#root)) throw new Error('no cgroup v2 there');
      mkdirSync(folder, { recursive: true });
      const script = `add table inet culvert_try\nadd chain inet culvert_try c\nadd rule inet culvert_try c socket cgroupv2 level 1 "${groupName}" accept\n`;
      await this.#run('nft', ['--check', '-f', '-'], { stdin: script });
    } catch (cause) {
      throw new CulvertError('no-program-groups', { cause });
    }
    this.#folder = folder;
    return folder;
  }
}

/** Only the unified tree has this file at its root. */
function isGroupTree(root: string): boolean {
  try {
    readFileSync(join(root, 'cgroup.controllers'));
    return true;
  } catch {
    return false; // The older tree, or none.
  }
}

function pidsIn(folder: string): readonly number[] {
  try {
    return readFileSync(join(folder, 'cgroup.procs'), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map(Number);
  } catch {
    return []; // Gone.
  }
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return 'ended';
  }
}
