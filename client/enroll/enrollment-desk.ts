/**
 * What the daemon does about enrolments: the edge's answer into the files of this machine, in an order that a
 * crash cannot hurt, and one at a time. Knows nothing of the connection.
 */

import { hostname } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import { decodeBase64Key, encodeBase64 } from '../../shared/core/base/bytes.ts';
import type { UnixMs } from '../../shared/core/base/time.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type {
  DeviceBody,
  DeviceConfig,
  DeviceResult,
  DeviceRouteName,
  DeviceView,
} from '../../shared/core/registration/api.ts';
import type { ConfigEvent } from '../../shared/core/registration/config-events.ts';
import type { FeedbackReceipt, FeedbackRequest } from '../../shared/core/registration/feedback-api.ts';
import { nativeDhSuite } from '../../shared/node/crypto/native-dh.ts';
import type { EdgeStore, StoredEdge } from '../settings/edges.ts';
import { isEdgeName } from '../settings/schema.ts';
import { type EdgeEvents, openEvents } from './edge-events.ts';
import {
  clientOptionsOf,
  confOf,
  type EnrolParts,
  enrol,
  forgetPending,
  leave,
  registeredClient,
  rotateKey,
  withPorts,
} from './enrollment.ts';
import type { OnProven, OpenSocket } from './pinned-connection.ts';
import type { Registration, RegistrationStore } from './registrations.ts';

export interface EnrollmentDeskParts {
  readonly edges: EdgeStore;
  readonly registrations: RegistrationStore;
  /** Where a key waits for its edge's answer. */
  readonly pendingPath: string;
  readonly unixNow: () => UnixMs;
  readonly open?: OpenSocket;
  readonly onProven?: OnProven;
  /** What the edge wants, each time that it was asked. */
  readonly onConfig?: (edge: string, config: DeviceConfig) => void;
  /** The edge's address in the tunnel, while all traffic of this machine takes that; else undefined. */
  readonly gatewayOf?: (edge: string) => string | undefined;
}

export interface EnrolledEdge {
  readonly edge: StoredEdge;
  readonly device: DeviceView;
}

export interface RegistrationFacts {
  readonly edge: string;
  readonly registration: Registration;
  readonly device: DeviceView;
}

const maxEdgeName = 32;
/** Names that are tried for an edge whose own name is another's here. */
const maxNames = 100;

export class EnrollmentDesk {
  readonly #parts: EnrollmentDeskParts;
  /** One key waits at a time. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: EnrollmentDeskParts) {
    this.#parts = parts;
  }

  /** `name`: of this device; absent: the invitation's choice or the name of this machine. */
  enroll(link: string, name: string | undefined): Promise<EnrolledEdge> {
    return this.#afterLast(async () => {
      const { edges, registrations, pendingPath } = this.#parts;
      const wish = { name: name ?? deviceName(), platform: `${process.platform} ${process.arch}` };
      const { edgeName, conf, registration, device } = await enrol(link, wish, this.#enrolParts());
      const edgeFile = this.#freeName(edgeName, registration.edgeKey);
      // The registration first: an edge without one could never be left.
      registrations.save(edgeFile, registration);
      const { edge } = edges.add(edgeFile, conf, this.#now());
      forgetPending(pendingPath);
      return { edge, device };
    });
  }

  /** Asks the edge. */
  async show(edge: string): Promise<RegistrationFacts> {
    const registration = this.#parts.registrations.require(edge);
    const client = registeredClient(registration, this.#opening(edge));
    try {
      return { edge, registration, device: await client.call('me') };
    } finally {
      client.close();
    }
  }

  /** One call of the edge's API as this device. Throws 'not-registered' where it never enrolled there. */
  async call<Name extends DeviceRouteName>(
    edge: string,
    name: Name,
    ...body: DeviceBody<Name> extends undefined ? [] : [DeviceBody<Name>]
  ): Promise<DeviceResult<Name>> {
    const client = registeredClient(this.#parts.registrations.require(edge), this.#opening(edge));
    try {
      return await client.call(name, ...body);
    } finally {
      client.close();
    }
  }

  /** The former key works for a minute more. */
  rotateKeys(edge: string): Promise<StoredEdge> {
    return this.#afterLast(async () => {
      const { edges, registrations, pendingPath } = this.#parts;
      const registration = registrations.require(edge);
      const { addedAt } = edges.profile(edge);
      const conf = await rotateKey(edges.conf(edge), registration, this.#enrolParts(edge));
      const stored = edges.add(edge, conf, addedAt).edge;
      forgetPending(pendingPath);
      return stored;
    });
  }

  /**
   * Asks the edge how this machine should set itself up, and changes its file where that is otherwise than it
   * was. True where it changed: the tunnel must be made again. False where this machine never enrolled there.
   * `open`: how it is reached, where that is not the usual way.
   */
  refresh(edge: string, open?: OpenSocket): Promise<boolean> {
    return this.#afterLast(async () => {
      const { edges, registrations } = this.#parts;
      const registration = registrations.find(edge);
      if (registration === undefined) return false;
      const { addedAt, config } = edges.profile(edge);
      const { privateKey } = config.interface;
      const edgeKey = decodeBase64Key(registration.edgeKey);
      if (privateKey === undefined || edgeKey === undefined) return false;
      const way = open === undefined ? this.#opening(edge) : { ...this.#opening(), open };
      const client = registeredClient(registration, way);
      try {
        const wanted = await client.call('config');
        this.#parts.onConfig?.(edge, wanted);
        const told = withPorts(registration, wanted);
        if (!isDeepStrictEqual(told, registration)) registrations.save(edge, told);
        const conf = confOf(wanted, privateKey, { host: registration.host, edgeKey });
        if (conf === edges.conf(edge)) return false;
        edges.add(edge, conf, addedAt);
        return true;
      } finally {
        client.close();
      }
    });
  }

  /** Leaves the edge, then forgets it and its keys. */
  remove(edge: string): Promise<void> {
    return this.#afterLast(async () => {
      const { edges, registrations } = this.#parts;
      await leave(registrations.require(edge), this.#opening());
      edges.remove(edge);
      registrations.remove(edge);
    });
  }

  /** Sends words to whoever runs the edge. Returns how they are known there. */
  async sendFeedback(edge: string, feedback: FeedbackRequest): Promise<FeedbackReceipt> {
    const client = registeredClient(this.#parts.registrations.require(edge), this.#opening(edge));
    try {
      return await client.call('sendFeedback', feedback);
    } finally {
      client.close();
    }
  }

  /** Undefined where this machine never enrolled there. Throws where the edge cannot be listened to now. */
  async listen(edge: string, onEvent: (event: ConfigEvent) => void): Promise<EdgeEvents | undefined> {
    const registration = this.#parts.registrations.find(edge);
    if (registration === undefined) return undefined;
    return openEvents(clientOptionsOf(registration, this.#opening(edge)), onEvent);
  }

  /** The edge's file is gone already: its secret goes too. */
  forget(edge: string): void {
    this.#parts.registrations.remove(edge);
  }

  #afterLast<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  #enrolParts(edge?: string): EnrolParts {
    const { pendingPath, unixNow } = this.#parts;
    return { suite: nativeDhSuite, pendingPath, unixNow, ...this.#opening(edge) };
  }

  #opening(edge?: string): Pick<EnrolParts, 'open' | 'onProven' | 'gateway'> {
    const { open, onProven, gatewayOf } = this.#parts;
    const gateway = edge === undefined ? undefined : gatewayOf?.(edge);
    return {
      ...(open === undefined ? {} : { open }),
      ...(onProven === undefined ? {} : { onProven }),
      ...(gateway === undefined ? {} : { gateway }),
    };
  }

  #now(): string {
    return new Date(this.#parts.unixNow()).toISOString();
  }

  /** The edge's own name, with a number where another edge has it here. */
  #freeName(wanted: string, edgeKey: string): string {
    const plain = wanted.replaceAll(/[^A-Za-z0-9._-]/g, '-').replace(/^[._-]+/, '');
    const base = isEdgeName(plain.slice(0, maxEdgeName)) ? plain.slice(0, maxEdgeName) : 'edge';
    for (let i = 1; i <= maxNames; i++) {
      const suffix = i === 1 ? '' : `-${i}`;
      const name = base.slice(0, maxEdgeName - suffix.length) + suffix;
      const other = this.#parts.edges.list().find((edge) => edge.name === name);
      const isSame = other?.config.peers.some((peer) => encodeBase64(peer.publicKey) === edgeKey);
      if (other === undefined || isSame === true) return name;
    }
    throw new CulvertError('too-many-edges');
  }
}

/** As far as an edge takes it. */
function deviceName(): string {
  const name = hostname()
    .replaceAll(/[^\p{L}\p{N} ._-]/gu, '-')
    .replace(/^[ ._-]+/, '')
    .slice(0, 63);
  return name === '' ? 'device' : name;
}
