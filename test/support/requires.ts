// What a test needs from the machine it runs on, whether it is there, and the one line that would bring it.
// A test that cannot run is skipped with that line in its title. Where CI=true and we are root nothing may be
// missing, so it fails instead; a kernel without WireGuard and AmneziaWG's program are forgiven there: nothing brings them.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'vitest';
import { ffiAvailable } from '../../shared/node/ffi/libc.ts';

export type Verdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: string; readonly enable: string };

export interface Needs {
  readonly root?: boolean;
  /** Root, network namespaces and /dev/net/tun. */
  readonly namespaces?: boolean;
  readonly tools?: readonly string[];
  /** Native calls. */
  readonly ffi?: boolean;
  /** The kernel's own WireGuard. */
  readonly kernelWireGuard?: boolean;
  /** AmneziaWG's own userspace program, which no package brings: named by the environment. */
  readonly amneziaWg?: boolean;
}

const here: Verdict = { ok: true };
/** Programs that `npm test` has taken out of packages which it must not install. */
export const unpackedPrograms: string = fileURLToPath(
  new URL('../../node_modules/.cache/culvert-tests/bin', import.meta.url),
);
const systemFolders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** The absolute path of a program, looked up in PATH, the folders of the system and that of unpacked programs. */
export function findProgram(name: string): string | undefined {
  for (const folder of [
    ...(process.env['PATH'] ?? '').split(delimiter),
    ...systemFolders,
    unpackedPrograms,
  ]) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not in this folder: look in the next
    }
  }
  return undefined;
}

function requireRoot(): Verdict {
  if (process.getuid?.() === 0) return here;
  return { ok: false, reason: 'needs root', enable: 'sudo npm test' };
}

export function requireTools(...names: string[]): Verdict {
  const missing = names.filter((name) => findProgram(name) === undefined);
  if (missing.length === 0) return here;
  return {
    ok: false,
    reason: `needs ${missing.join(', ')}`,
    enable: 'sudo npm test (it installs them on Debian)',
  };
}

function requireFfi(): Verdict {
  const ffi = ffiAvailable();
  return ffi.ok ? here : { ok: false, reason: ffi.reason, enable: 'Linux with glibc, npm install' };
}

let namespaces: Verdict | undefined;

/** Tries it once per process: makes a network namespace and takes it away again. */
export function requireNamespaces(): Verdict {
  namespaces ??= probeNamespaces();
  return namespaces;
}

function requireKernelWireGuard(): Verdict {
  const privileges = firstMissing([requireRoot(), requireTools('ip')]);
  if (!privileges.ok) return privileges;
  const name = `cvprobe${process.pid % 100_000}`;
  const added = spawnSync('ip', ['link', 'add', name, 'type', 'wireguard']);
  if (added.status === 0) {
    spawnSync('ip', ['link', 'del', name]);
    return here;
  }
  return { ok: false, reason: 'needs WireGuard in the kernel', enable: 'modprobe wireguard' };
}

/** Empty where there is none. */
export const amneziaWgProgram: string = process.env['CULVERT_AMNEZIAWG_GO'] ?? '';

function requireAmneziaWg(): Verdict {
  if (amneziaWgProgram !== '') return here;
  const enable = 'CULVERT_AMNEZIAWG_GO=/path/to/amneziawg-go npm test';
  return { ok: false, reason: 'needs the binary of amneziawg-go', enable };
}

export function checkNeeds(needs: Needs): Verdict {
  return firstMissing([
    needs.root ? requireRoot() : here,
    needs.tools ? requireTools(...needs.tools) : here,
    needs.ffi ? requireFfi() : here,
    needs.namespaces ? requireNamespaces() : here,
    needs.kernelWireGuard ? requireKernelWireGuard() : here,
    needs.amneziaWg ? requireAmneziaWg() : here,
  ]);
}

/** `describe`, where the machine has what the tests need; else a skip that says why, or a failure under CI as root. */
export function describeWith(needs: Needs, title: string, body: () => void): void {
  const verdict = checkNeeds(needs);
  if (verdict.ok) {
    describe(title, body);
    return;
  }
  const explained = `${title} [${verdict.reason}; enable with: ${verdict.enable}]`;
  const isBrought = checkNeeds({ ...needs, kernelWireGuard: false, amneziaWg: false }).ok;
  const forgiven = (needs.kernelWireGuard === true || needs.amneziaWg === true) && isBrought;
  if (process.env['CI'] === 'true' && process.getuid?.() === 0 && !forgiven) {
    describe(explained, () => {
      test('can run here', () => {
        throw new Error(`${verdict.reason}; enable with: ${verdict.enable}`);
      });
    });
    return;
  }
  describe.skip(explained, body);
}

function firstMissing(verdicts: readonly Verdict[]): Verdict {
  return verdicts.find((verdict) => !verdict.ok) ?? here;
}

function probeNamespaces(): Verdict {
  const basics = firstMissing([requireRoot(), requireTools('ip')]);
  if (!basics.ok) return basics;
  if (!existsSync('/dev/net/tun')) {
    return {
      ok: false,
      reason: 'needs /dev/net/tun',
      enable: 'mkdir -p /dev/net && mknod /dev/net/tun c 10 200',
    };
  }
  const name = `cvprobe-${process.pid}`;
  const added = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' });
  if (added.status === 0) {
    spawnSync('ip', ['netns', 'del', name]);
    return here;
  }
  const enable = 'run as root with CAP_SYS_ADMIN and CAP_NET_ADMIN (in a container: --privileged)';
  return { ok: false, reason: 'needs network namespaces', enable };
}
