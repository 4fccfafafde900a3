/**
 * A typed wrapper of the `wg` program (wg(8)). Keys go in through standard input only, never through
 * arguments. Works on every tunnel that `wg` sees: the kernel's, and ours through its socket.
 */

import { CulvertError } from '../../core/control/codes.ts';
import type { DeviceStatus } from '../../core/tunnel/config.ts';
import { type NamedStatus, parseAllDump, parseDump } from '../../core/uapi/dump.ts';
import type { WgConfig } from '../../core/uapi/wg-config.ts';
import { stripWgConfig } from '../../core/uapi/wg-config-print.ts';
import { type Run, run as realRun } from '../run.ts';
import { scopeOf } from '../uapi/interface-scope.ts';

const maxShownInterfaces = 4096;

/** How a configuration is put into effect: replacing all, adding, or changing only what differs. */
export type ConfigVerb = 'setconf' | 'addconf' | 'syncconf';

export class WgTool {
  readonly #run: Run;

  constructor(run: Run = realRun) {
    this.#run = run;
  }

  /** Such as '1.0.20210914'. Throws 'tool-missing' where there is no `wg`. */
  async version(): Promise<string> {
    const { stdout } = await this.#run('wg', ['--version']);
    return /v?(\d[\w.-]*)/.exec(stdout)?.[1] ?? 'unknown';
  }

  /** Names of the tunnels that are there. */
  async interfaces(): Promise<readonly string[]> {
    const { stdout } = await this.#run('wg', ['show', 'interfaces']);
    const names = stdout.split(/\s+/).filter((name) => name !== '');
    return names.slice(0, maxShownInterfaces);
  }

  async dump(interfaceName: string): Promise<DeviceStatus> {
    const { stdout } = await this.#run('wg', ['show', interfaceName, 'dump']);
    const status = parseDump(stdout, scopeOf);
    if (status === undefined) throw notUnderstood(`wg show ${interfaceName} dump`);
    return status;
  }

  async dumpAll(): Promise<readonly NamedStatus[]> {
    const { stdout } = await this.#run('wg', ['show', 'all', 'dump']);
    const statuses = parseAllDump(stdout, scopeOf);
    if (statuses === undefined) throw notUnderstood('wg show all dump');
    return statuses;
  }

  /** Endpoints that are names are resolved by `wg`, which may take a while. */
  async configure(verb: ConfigVerb, interfaceName: string, config: WgConfig): Promise<void> {
    await this.#run('wg', [verb, interfaceName, '/dev/stdin'], { stdin: stripWgConfig(config) });
  }

  async removePeer(interfaceName: string, publicKey: Uint8Array): Promise<void> {
    const key = Buffer.from(publicKey).toString('base64');
    await this.#run('wg', ['set', interfaceName, 'peer', key, 'remove']);
  }
}

function notUnderstood(command: string): CulvertError {
  return new CulvertError('command-failed', {
    text: `The output of '${command}' was not understood.`,
    remedy: 'Check the version of wireguard-tools: wg --version',
  });
}
