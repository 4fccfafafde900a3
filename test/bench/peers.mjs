// The tunnels that can be measured: no tunnel, ours, the wireguard-go of this machine, and whatever binaries the
// environment names. How their commands must behave: measure.mjs.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inPath } from './processes.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Variable → words behind the binary. All of them take the interface's name last. */
const named = {
  BENCH_WIREGUARD_GO: { label: 'wireguard-go (given)', words: '-f' },
  BENCH_GOTATUN: { label: 'gotatun', words: '-f --disable-drop-privileges' },
  BENCH_BORINGTUN: { label: 'boringtun', words: '-f --disable-drop-privileges' },
};

/** Every peer that can run here, in the order of the table. */
export function knownPeers() {
  const ours = process.env.CULVERT_WG ?? join(root, 'node_modules', '.bin', 'culvert-wg');
  const reference = inPath('wireguard-go');
  const peers = [plain, wireguardPeer('culvert', ours, '-f')];
  if (reference) peers.push(wireguardPeer('wireguard-go', reference, '-f'));
  for (const [variable, { label, words }] of Object.entries(named)) {
    const binary = process.env[variable];
    if (binary) peers.push(wireguardPeer(label, binary, words));
  }
  return peers;
}

const plain = {
  label: 'plain',
  edge: 'touch $BENCH_TMP/edge.ready; exec sleep infinity',
  client: '$TOPOLOGY plain; exec sleep infinity',
};

/** A peer that `wg` configures through its socket. */
function wireguardPeer(label, binary, words) {
  if (!existsSync(binary)) throw new Error(`${label}: there is no ${binary}`);
  const program = `'${binary.replaceAll("'", "'\\''")}' ${words}`;
  return {
    label,
    version: versionOf(binary),
    edge: `peers/wireguard-uapi.sh edge ${program}`,
    client: `peers/wireguard-uapi.sh client ${program}`,
    rehandshake: 'peers/wireguard-uapi.sh forget',
  };
}

function versionOf(binary) {
  const { stdout } = spawnSync(binary, ['--version'], { encoding: 'utf8', timeout: 5000 });
  return /\d+\.\d+[\w.-]*/.exec(stdout ?? '')?.[0] ?? 'version unknown';
}
