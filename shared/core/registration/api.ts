/**
 * The registration API between devices and their edge: HTTPS and JSON (product.md §6). One typed
 * table joins method, path, access and schemas; the server, its OpenAPI description and the client
 * all read it. Errors are problem+json (problem.ts). Administration: admin-api.ts.
 */

import { Type } from '@sinclair/typebox';
import { disguiseSchema } from '../control/disguise-shape.ts';
import {
  type Paths,
  type PathWhy,
  type PathWhyRequest,
  pathsShape,
  whyRequestShape,
  whyShape,
} from '../control/paths-api.ts';
import { type Shape, shapeOf } from '../control/shape.ts';
import type { DisguiseFields } from '../wire/disguise-fields.ts';
import { type DeviceDiagnosis, diagnosisShape } from './diagnosis-api.ts';
import {
  type FeedbackReceipt,
  type FeedbackRequest,
  feedbackReceiptShape,
  feedbackShape,
  maxFeedbackBody,
} from './feedback-api.ts';
import { type ToldNames, toldNamesShape } from './names-api.ts';
import { type OutsideReport, outsideReportShape } from './outside-api.ts';
import {
  type SessionAnswer,
  type SessionRequest,
  sessionAnswerShape,
  sessionRequestShape,
} from './session-api.ts';
import {
  challengeText,
  idText,
  inviteText,
  keyText,
  nameText,
  pathText,
  platformText,
  proofText,
  strict,
  texts,
  timeText,
} from './shapes.ts';

/** Who may call: anybody, a device with its bearer or through its tunnel, an administrator of that role. */
export type Access = 'open' | 'device' | 'auditor' | 'operator' | 'owner';

/** One operation: where it is, who may, what it takes, what it answers. */
export interface ApiRoute<Body, Result> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Parameters as `:name`. */
  readonly path: string;
  readonly text: string;
  readonly access: Access;
  /** Of success. 204 answers nothing. */
  readonly status: 200 | 201 | 204;
  readonly body: Shape<Body> | undefined;
  readonly result: Shape<Result> | undefined;
  /** Of the request, where it may be larger than others. */
  readonly maxBodyBytes?: number;
}

export interface Challenge {
  /** To be given back within minutes. */
  readonly challenge: string;
}

export interface EnrolRequest {
  /** The token of an invitation. */
  readonly token: string;
  /** Base64. */
  readonly publicKey: string;
  readonly challenge: string;
  /** possession.ts, base64url. */
  readonly proof: string;
  /** How the device would like to be called. */
  readonly name?: string;
  /** 'linux x64', for the operator's list. */
  readonly platform?: string;
}

export interface Enrolled {
  readonly device: DeviceView;
  /** Opens the API as this device. Said once; the edge keeps its hash only. */
  readonly bearer: string;
  readonly config: DeviceConfig;
}

export interface DeviceView {
  readonly id: string;
  readonly name: string;
  /** Base64. */
  readonly publicKey: string;
  /** Inside the tunnel, without prefix length. */
  readonly addresses: readonly string[];
  readonly platform?: string;
  readonly enabled: boolean;
  /** RFC 3339, as all times here. */
  readonly createdAt: string;
  readonly expiresAt?: string;
  /** The path it is pinned to, or 'auto'. */
  readonly path: string;
  /** The filter of names that it has chosen; absent: the edge's own. */
  readonly families?: Families;
}

export interface DeviceRename {
  readonly name: string;
}

export interface KeyRequest {
  /** The new one, base64. */
  readonly publicKey: string;
  readonly challenge: string;
  readonly proof: string;
}

export interface KeyResult {
  readonly device: DeviceView;
  /** Until then the former key works too, unless the new one is used before. */
  readonly formerKeyUntil: string;
}

export interface PathChoice {
  /** An id, or 'auto'. */
  readonly path: string;
}

export interface FamiliesChoice {
  /** 'edge': what the edge's configuration says. */
  readonly families: Families | 'edge';
}

/** Filters of names, as those of 1.1.1.1 for Families. */
export type Families = 'off' | 'malware' | 'full';

export interface HostRule {
  /** 'example.com' or '*.example.com'. */
  readonly host: string;
  /** A path's id, or 'auto'. */
  readonly use: string;
}

/** Of this API and of what is asked inside the tunnel; higher where something new was added. */
export const protocolVersion = 1;

/** How this device should set itself up. */
export interface DeviceConfig {
  /** The edge's `protocolVersion`; absent from edges older than it. */
  readonly protocol?: number;
  /** Changes with the content; also the ETag. */
  readonly revision: string;
  /** Of the device, with prefix length. */
  readonly addresses: readonly string[];
  /** Of the edge inside the tunnel. */
  readonly gateway: readonly string[];
  readonly dns: readonly string[];
  /** What belongs into the tunnel, as prefixes. */
  readonly routes: readonly string[];
  readonly mtu: number;
  /** How messages are disguised (wire/disguise-fields.ts); absent: not at all. */
  readonly obfuscation?: DisguiseFields;
  /** Seconds, 0 = none. */
  readonly keepalive: number;
  readonly hostRules: readonly HostRule[];
  readonly edge: DirectoryEdge;
}

export interface DirectoryEdge {
  readonly name: string;
  /** Base64. */
  readonly publicKey: string;
  /** Host name or address. Empty where the edge does not know how it is reached: use the invite's. */
  readonly host: string;
  readonly udpPorts: readonly number[];
  readonly httpsPorts: readonly number[];
  /** Of its certificate: 'sha256/…'. */
  readonly pin: string;
}

export interface Directory {
  readonly edges: readonly DirectoryEdge[];
}

export interface DeviceRoutes {
  readonly challenge: ApiRoute<undefined, Challenge>;
  readonly enrol: ApiRoute<EnrolRequest, Enrolled>;
  readonly me: ApiRoute<undefined, DeviceView>;
  readonly diagnosis: ApiRoute<undefined, DeviceDiagnosis>;
  readonly tellOutside: ApiRoute<OutsideReport, undefined>;
  readonly rename: ApiRoute<DeviceRename, DeviceView>;
  readonly leave: ApiRoute<undefined, undefined>;
  readonly rotateKey: ApiRoute<KeyRequest, KeyResult>;
  readonly openSession: ApiRoute<SessionRequest, SessionAnswer>;
  readonly paths: ApiRoute<undefined, Paths>;
  readonly choosePath: ApiRoute<PathChoice, Paths>;
  readonly chooseFamilies: ApiRoute<FamiliesChoice, DeviceView>;
  readonly why: ApiRoute<PathWhyRequest, PathWhy>;
  readonly tellNames: ApiRoute<ToldNames, undefined>;
  readonly config: ApiRoute<undefined, DeviceConfig>;
  readonly directory: ApiRoute<undefined, Directory>;
  readonly sendFeedback: ApiRoute<FeedbackRequest, FeedbackReceipt>;
}

export type DeviceRouteName = keyof DeviceRoutes;
export type DeviceBody<Name extends DeviceRouteName> =
  DeviceRoutes[Name] extends ApiRoute<infer Body, infer _> ? Body : never;
export type DeviceResult<Name extends DeviceRouteName> =
  DeviceRoutes[Name] extends ApiRoute<infer _, infer Result> ? Result : never;

const port = Type.Integer({ minimum: 1, maximum: 0xffff });

export const deviceShape: Shape<DeviceView> = shapeOf(
  Type.Object({
    id: idText,
    name: Type.String(),
    publicKey: keyText,
    addresses: texts,
    platform: Type.Optional(Type.String()),
    enabled: Type.Boolean(),
    createdAt: timeText,
    expiresAt: Type.Optional(timeText),
    path: Type.String(),
    families: Type.Optional(Type.Union([Type.Literal('off'), Type.Literal('malware'), Type.Literal('full')])),
  }),
);
const edgeShape: Shape<DirectoryEdge> = shapeOf(
  Type.Object({
    name: Type.String(),
    publicKey: keyText,
    host: Type.String({ maxLength: 253 }),
    udpPorts: Type.Array(port),
    httpsPorts: Type.Array(port),
    pin: Type.String(),
  }),
);
const configShape: Shape<DeviceConfig> = shapeOf(
  Type.Object({
    protocol: Type.Optional(Type.Integer({ minimum: 1 })),
    revision: Type.String(),
    addresses: texts,
    gateway: texts,
    dns: texts,
    routes: texts,
    mtu: Type.Integer({ minimum: 576, maximum: 0xffff }),
    obfuscation: Type.Optional(disguiseSchema),
    keepalive: Type.Integer({ minimum: 0, maximum: 0xffff }),
    hostRules: Type.Array(Type.Object({ host: Type.String(), use: Type.String() })),
    edge: edgeShape,
  }),
);
const challengeShape: Shape<Challenge> = shapeOf(Type.Object({ challenge: challengeText }));
const enrolShape: Shape<EnrolRequest> = shapeOf(
  Type.Object(
    {
      token: inviteText,
      publicKey: keyText,
      challenge: challengeText,
      proof: proofText,
      name: Type.Optional(nameText),
      platform: Type.Optional(platformText),
    },
    strict,
  ),
);
const enrolledShape: Shape<Enrolled> = shapeOf(
  Type.Object({ device: deviceShape, bearer: Type.String(), config: configShape }),
);
const renameShape: Shape<DeviceRename> = shapeOf(Type.Object({ name: nameText }, strict));
const keyShape: Shape<KeyRequest> = shapeOf(
  Type.Object({ publicKey: keyText, challenge: challengeText, proof: proofText }, strict),
);
const keyResultShape: Shape<KeyResult> = shapeOf(
  Type.Object({ device: deviceShape, formerKeyUntil: timeText }),
);
const choiceShape: Shape<PathChoice> = shapeOf(Type.Object({ path: pathText }, strict));
const familiesShape: Shape<FamiliesChoice> = shapeOf(
  Type.Object(
    {
      families: Type.Union(
        (['off', 'malware', 'full', 'edge'] as const).map((choice) => Type.Literal(choice)),
      ),
    },
    strict,
  ),
);
const directoryShape: Shape<Directory> = shapeOf(Type.Object({ edges: Type.Array(edgeShape) }));

export const deviceRoutes: DeviceRoutes = {
  challenge: {
    ...get('/v1/challenge', 'A challenge for a proof of possession.', challengeShape),
    access: 'open',
  },
  enrol: {
    method: 'POST',
    path: '/v1/devices',
    text: 'Enrols a device with an invitation. The same invitation and key again: the same device, a new bearer.',
    access: 'open',
    status: 201,
    body: enrolShape,
    result: enrolledShape,
  },
  me: get('/v1/devices/me', 'This device.', deviceShape),
  diagnosis: get('/v1/devices/me/diagnosis', 'What the edge saw of this device.', diagnosisShape),
  rename: change(['PATCH', '/v1/devices/me'], 'Renames this device.', renameShape, deviceShape),
  leave: {
    method: 'DELETE',
    path: '/v1/devices/me',
    text: 'Removes this device from the edge.',
    access: 'device',
    status: 204,
    body: undefined,
    result: undefined,
  },
  rotateKey: change(
    ['PUT', '/v1/devices/me/key'],
    'Replaces the key of this device; its addresses stay.',
    keyShape,
    keyResultShape,
  ),
  openSession: {
    method: 'POST',
    path: '/v1/devices/me/session',
    text: 'A key and a preshared key for one session, safe from quantum computers. The key works once it is heard.',
    access: 'device',
    status: 200,
    body: sessionRequestShape,
    result: sessionAnswerShape,
  },
  paths: get('/v1/paths', 'The paths granted to this device.', pathsShape),
  choosePath: change(['PUT', '/v1/devices/me/path'], 'Pins this device to a path.', choiceShape, pathsShape),
  chooseFamilies: change(
    ['PUT', '/v1/devices/me/families'],
    'Chooses how the edge filters names for this device.',
    familiesShape,
    deviceShape,
  ),
  why: {
    method: 'POST',
    path: '/v1/paths/why',
    text: 'By which path this device reaches a place, and why.',
    access: 'device',
    status: 200,
    body: whyRequestShape,
    result: whyShape,
  },
  tellNames: {
    method: 'PUT',
    path: '/v1/devices/me/names',
    text: 'Names that this device has looked up elsewhere, of those that host rules mean. Kept for an hour at most.',
    access: 'device',
    status: 204,
    body: toldNamesShape,
    result: undefined,
  },
  tellOutside: {
    method: 'PUT',
    path: '/v1/devices/me/outside',
    text: 'Which ports of the edge this device reaches from where it is. Only where the edge asked for it.',
    access: 'device',
    status: 204,
    body: outsideReportShape,
    result: undefined,
  },
  config: get('/v1/config', 'How this device should set itself up. Knows If-None-Match.', configShape),
  directory: get('/v1/directory', 'The edges that take this device.', directoryShape),
  sendFeedback: {
    method: 'POST',
    path: '/v1/devices/me/feedback',
    text: 'Sends words to whoever runs the edge.',
    access: 'device',
    status: 201,
    body: feedbackShape,
    result: feedbackReceiptShape,
    maxBodyBytes: maxFeedbackBody,
  },
};

function get<Result>(path: string, text: string, result: Shape<Result>): ApiRoute<undefined, Result> {
  return { method: 'GET', path, text, access: 'device', status: 200, body: undefined, result };
}

function change<Body, Result>(
  where: readonly ['PUT' | 'PATCH', string],
  text: string,
  body: Shape<Body>,
  result: Shape<Result>,
): ApiRoute<Body, Result> {
  return { method: where[0], path: where[1], text, access: 'device', status: 200, body, result };
}
