/**
 * Joining an edge by its invitation, a new key, leaving. Each step can be repeated after a crash: the key is
 * on the disk before the edge hears of it, and the edge answers the same request again.
 */

import { createHash } from 'node:crypto';
import { decodeBase64Key, encodeBase64, wipe } from '../../shared/core/base/bytes.ts';
import type { UnixMs } from '../../shared/core/base/time.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { CryptoSuite } from '../../shared/core/crypto/suite.ts';
import type { DeviceConfig, DeviceView } from '../../shared/core/registration/api.ts';
import { encodeBase64Url } from '../../shared/core/registration/base64url.ts';
import { formatPin, type Invite, parseInvite, parsePin } from '../../shared/core/registration/invite.ts';
import { type ProofPurpose, provePossession } from '../../shared/core/registration/possession.ts';
import { parseWgConfig, type WgConfig } from '../../shared/core/uapi/wg-config.ts';
import { printWgConfig } from '../../shared/core/uapi/wg-config-print.ts';
import { faultsText, readDisguise } from '../../shared/core/wire/disguise-fields.ts';
import { type DisguiseRules, isPlain } from '../../shared/core/wire/disguise-rules.ts';
import { usualHttpsPorts } from './any-port.ts';
import { EdgeClient, type EdgeClientOptions, problemIn } from './edge-client.ts';
import { type KeyPair, PendingKey } from './identity.ts';
import type { OnProven, OpenSocket } from './pinned-connection.ts';
import type { Registration } from './registrations.ts';

export interface EnrolParts {
  readonly suite: CryptoSuite;
  /** Where a key waits for the edge's answer. */
  readonly pendingPath: string;
  readonly unixNow: () => UnixMs;
  /** How connections leave the machine; default: as usual. */
  readonly open?: OpenSocket;
  readonly onProven?: OnProven;
  /** As in EdgeClientOptions; not for `enrol`. */
  readonly gateway?: string;
  readonly timeoutMs?: number;
}

export interface EnrolWish {
  /** How this device would like to be called. */
  readonly name?: string;
  /** 'linux x64' */
  readonly platform?: string;
}

export interface Enrolment {
  /** As the edge calls itself: a proposal for the name of its file. */
  readonly edgeName: string;
  /** A wg-quick file, as `import` takes them. Holds the private key. */
  readonly conf: string;
  readonly registration: Registration;
  readonly device: DeviceView;
}

/** Throws 'bad-invite' where the link is none. */
export function readInvite(link: string): Invite {
  const parsed = parseInvite(link);
  if (parsed.kind === 'refused') throw new CulvertError('bad-invite', { text: parsed.text });
  return parsed.invite;
}

/**
 * Enrols. Store `conf` and `registration`, then call `forgetPending`. Throws 'bad-invite', 'invite-expired',
 * 'edge-unreachable', 'edge-impostor' or 'edge-refused'; may be called again with the same link after each.
 */
export async function enrol(link: string, wish: EnrolWish, parts: EnrolParts): Promise<Enrolment> {
  const invite = readInvite(link);
  const keys = new PendingKey(parts.pendingPath).takeOrCreate(purposeOf(invite.token));
  const client = new EdgeClient({ ...invite, morePorts: usualHttpsPorts, ...clientOptions(parts) });
  try {
    const fields = [invite.token, wish.name ?? '', wish.platform ?? ''];
    const proven = await proveKey(client, parts.suite, {
      purpose: 'enrol',
      keys,
      edgeKey: invite.edgeKey,
      fields,
    });
    const { device, bearer, config } = await client.call('enrol', {
      token: invite.token,
      ...wish,
      ...proven,
    });
    const conf = confOf(config, keys.privateKey, invite);
    return {
      edgeName: config.edge.name,
      conf,
      device,
      registration: withPorts(registrationOf(invite, device, bearer, parts), config),
    };
  } catch (cause) {
    throw problemIn(cause) === 'invite-expired' ? new CulvertError('invite-expired', { cause }) : cause;
  } finally {
    client.close();
    wipe(keys.privateKey);
  }
}

/** What `enrol` and `rotateKey` gave is stored. */
export function forgetPending(pendingPath: string): void {
  new PendingKey(pendingPath).forget();
}

/** A client that speaks as this device. The caller closes it. */
export function registeredClient(
  registration: Registration,
  parts: Pick<EnrolParts, 'open' | 'onProven' | 'gateway' | 'timeoutMs'> = {},
): EdgeClient {
  return new EdgeClient(clientOptionsOf(registration, parts));
}

/** How the API is reached as this device. */
export function clientOptionsOf(
  registration: Registration,
  parts: Pick<EnrolParts, 'open' | 'onProven' | 'gateway' | 'timeoutMs'> = {},
): EdgeClientOptions {
  const pin = parsePin(registration.pin);
  if (pin === undefined) throw new CulvertError('not-registered');
  const { host, port, bearer, httpsPorts: morePorts = [] } = registration;
  return { host, port, morePorts, pin, bearer, gateway: parts.gateway, ...clientOptions(parts) };
}

/**
 * Gives this device a new key; `conf` is its present file. Returns the new file: store it, then call
 * `forgetPending`. The former key works for a minute more.
 */
export async function rotateKey(
  conf: string,
  registration: Registration,
  parts: EnrolParts,
): Promise<string> {
  const pending = new PendingKey(parts.pendingPath);
  const keys = pending.takeOrCreate(`rotate ${registration.deviceId}`);
  const edgeKey = decodeBase64Key(registration.edgeKey);
  if (edgeKey === undefined) throw new CulvertError('not-registered');
  const client = registeredClient(registration, parts);
  try {
    const fields = [registration.deviceId];
    const proven = await proveKey(client, parts.suite, { purpose: 'rotate', keys, edgeKey, fields });
    await client.call('rotateKey', proven);
    return withPrivateKey(conf, keys.privateKey);
  } catch (error) {
    // This key will never be taken; after any other error the edge may have taken it.
    if (problemIn(error) === 'key-taken') pending.forget();
    throw error;
  } finally {
    client.close();
    wipe(keys.privateKey);
  }
}

/** Removes this device from its edge. Being unknown there already is as good. */
export async function leave(
  registration: Registration,
  parts: Pick<EnrolParts, 'open' | 'onProven' | 'timeoutMs'> = {},
): Promise<void> {
  const client = registeredClient(registration, parts);
  try {
    await client.call('leave');
  } catch (error) {
    if (problemIn(error) !== 'unauthorized') throw error;
  } finally {
    client.close();
  }
}

/** The edge's configuration as a wg-quick file. `invite` says the host where the edge does not know it. */
export function confOf(
  config: DeviceConfig,
  privateKey: Uint8Array,
  invite: Pick<Invite, 'host' | 'edgeKey'>,
): string {
  const port = config.edge.udpPorts[0];
  const publicKey = decodeBase64Key(config.edge.publicKey);
  if (
    port === undefined ||
    publicKey === undefined ||
    encodeBase64(invite.edgeKey) !== config.edge.publicKey
  ) {
    throw new CulvertError('edge-refused', {
      text: 'The edge names another key, or no port, for its tunnel.',
      remedy: 'Ask for a new invitation.',
    });
  }
  const host = config.edge.host === '' ? invite.host : config.edge.host;
  // What the edge says goes into a file with a syntax of its own.
  const values = [host, ...config.addresses, ...config.dns, ...config.routes];
  if (!values.every((value) => /^[A-Za-z0-9.:/_-]{1,253}$/.test(value))) throw unusable();
  const disguise = disguiseOf(config);
  const conf = printWgConfig({
    interface: {
      privateKey,
      ...(disguise === undefined ? {} : { disguise }),
      addresses: config.addresses,
      dns: config.dns,
      searchDomains: [],
      mtu: config.mtu,
    },
    peers: [
      {
        publicKey,
        endpoint: { host, port },
        persistentKeepalive: config.keepalive,
        allowedIps: config.routes,
      },
    ],
    ignored: [],
  });
  parseConf(conf);
  return conf;
}

/** What the edge wants of its messages; undefined: nothing. */
function disguiseOf({ obfuscation }: DeviceConfig): DisguiseRules | undefined {
  const reading = readDisguise(obfuscation ?? {});
  if (reading.kind === 'faults') {
    throw new CulvertError('edge-refused', {
      text: `The edge asks for an obfuscation that cannot be: ${faultsText(reading.faults)}`,
      remedy: 'Ask whoever runs the edge to correct obfuscation in its edge.yaml.',
    });
  }
  return isPlain(reading.rules) ? undefined : reading.rules;
}

function unusable(): CulvertError {
  return new CulvertError('edge-refused', {
    text: 'The edge answered with addresses that are none.',
    remedy: 'Use versions of culvert and culvert-edge that fit each other.',
  });
}

interface KeyClaim {
  readonly purpose: ProofPurpose;
  readonly keys: KeyPair;
  readonly edgeKey: Uint8Array;
  readonly fields: readonly string[];
}

async function proveKey(
  client: EdgeClient,
  suite: CryptoSuite,
  claim: KeyClaim,
): Promise<{ readonly publicKey: string; readonly challenge: string; readonly proof: string }> {
  const { purpose, keys, edgeKey, fields } = claim;
  const { challenge } = await client.call('challenge');
  const request = { purpose, challenge, deviceKey: keys.publicKey, edgeKey, fields };
  const proof = provePossession(suite, keys.privateKey, edgeKey, request);
  if (proof === undefined) throw new CulvertError('bad-invite', { text: 'The key of the edge is no key.' });
  return { publicKey: encodeBase64(keys.publicKey), challenge, proof: encodeBase64Url(proof) };
}

function registrationOf(invite: Invite, device: DeviceView, bearer: string, parts: EnrolParts): Registration {
  return {
    deviceId: device.id,
    bearer,
    host: invite.host,
    port: invite.port,
    pin: formatPin(invite.pin),
    edgeKey: encodeBase64(invite.edgeKey),
    enrolledAt: new Date(parts.unixNow()).toISOString(),
  };
}

/** By which ports the edge can be reached, as it says itself. */
export function withPorts(registration: Registration, { edge }: DeviceConfig): Registration {
  return { ...registration, udpPorts: edge.udpPorts, httpsPorts: edge.httpsPorts };
}

/** The link itself is a secret, and this goes to the disk. */
function purposeOf(token: string): string {
  return `enrol ${createHash('sha256').update(token, 'latin1').digest('hex')}`;
}

function withPrivateKey(conf: string, privateKey: Uint8Array): string {
  const config = parseConf(conf);
  return printWgConfig({ ...config, interface: { ...config.interface, privateKey } });
}

function parseConf(conf: string): WgConfig {
  const parsed = parseWgConfig(conf);
  if (parsed.kind === 'faults' || parsed.config.ignored.length > 0) {
    throw new CulvertError('bad-config', { text: 'The file of the edge would not be valid.' });
  }
  return parsed.config;
}

function clientOptions(
  parts: Pick<EnrolParts, 'open' | 'onProven' | 'timeoutMs'>,
): Pick<EnrolParts, 'open' | 'onProven' | 'timeoutMs'> {
  return {
    ...(parts.open === undefined ? {} : { open: parts.open }),
    ...(parts.onProven === undefined ? {} : { onProven: parts.onProven }),
    ...(parts.timeoutMs === undefined ? {} : { timeoutMs: parts.timeoutMs }),
  };
}
