/**
 * The control API: HTTP/1.1 and JSON on a unix socket (product.md §5). One table joins method, path,
 * schemas and types; daemon, command line and desktop all use it. Errors are `ApiError` with a
 * status of 400 or above. `GET /v1/events` (server-sent events) is outside the table: it sends
 * `event: status` with a whole Status, first at once and then after every change.
 */

import { Type } from '@sinclair/typebox';
import {
  type EnrollRequest,
  type EnrollResult,
  enrolledDevice,
  enrollShape,
  type FeedbackRoutes,
  feedbackRoutes,
  type RegistrationRequest,
  type RegistrationView,
  registrationRequestShape,
  registrationShape,
} from './enroll-api.ts';
import { type NetRoutes, netRoutes } from './net-api.ts';
import { type PathRoutes, pathRoutes } from './paths-api.ts';
import { type PortalRoutes, portalRoutes } from './portal-api.ts';
import { type RestRoutes, restRoutes } from './rest-api.ts';
import { type Shape, shapeOf } from './shape.ts';
import { type SplitRoutes, splitRoutes } from './split-api.ts';
import { type DnsStatus, dnsStatusShape, type Mode, modes, type Status, statusShape } from './status.ts';

/** The body of every failed request, and what the command line prints with --json. */
export interface ApiError {
  readonly code: string;
  readonly text: string;
  readonly remedy: string;
}

export interface ConnectRequest {
  /** Use this edge; absent: the one that is set. */
  readonly edge?: string;
}

export interface ImportRequest {
  readonly name: string;
  /** Text of a wg-quick file. Holds a private key: kept in a file that only the owner can read. */
  readonly conf: string;
}

export interface ImportResult {
  readonly edge: EdgeEntry;
  readonly replaced: boolean;
  /** What the file holds and culvert does not do, one sentence each: PostUp and the like. */
  readonly ignored: readonly string[];
}

export interface EdgeEntry {
  readonly name: string;
  /** As the file names it; empty where it names none. */
  readonly endpoint: string;
  /** With prefix length. */
  readonly addresses: readonly string[];
  /** RFC 3339. */
  readonly addedAt: string;
  /** The one that the next `connect` takes. */
  readonly selected: boolean;
}

export interface EdgeName {
  readonly name: string;
}

export type SettingValue = string | number | boolean;

/** Values by name; null resets to the default. Applied as a whole or not at all. */
export type SettingsPatch = Readonly<Record<string, SettingValue | null>>;

export interface SettingEntry {
  readonly name: string;
  readonly value: SettingValue;
  readonly default: SettingValue;
  readonly text: string;
}

export interface ModeEntry {
  readonly mode: Mode;
  readonly available: boolean;
}

export interface ModeList {
  readonly mode: Mode;
  readonly modes: readonly ModeEntry[];
}

export interface LogLines {
  /** Oldest first, each one JSON object as pino writes it. */
  readonly lines: readonly string[];
  /** Number of the last line: give it back as `after` to read on. */
  readonly last: number;
}

export interface LogRequest {
  /** Only lines after this number; 0 = all that are kept. */
  readonly after: number;
}

/** What programs of this user need to say to the local proxy; both absent where it asks for nothing. */
export interface ProxyLogin {
  readonly username?: string;
  readonly password?: string;
}

/** What private DNS did and does. */
export interface DnsReport {
  /** Absent while it answers nothing. */
  readonly status?: DnsStatus;
  /** How this system was told, and why so. */
  readonly system?: { readonly owner: string; readonly because: string };
  /** Answers by where they came from. */
  readonly answers: Readonly<Record<string, number>>;
  readonly cache: { readonly hits: number; readonly misses: number; readonly entries: number };
  readonly upstreams: readonly DnsUpstream[];
  readonly blockLists: readonly { readonly name: string; readonly names: number; readonly ignored: number }[];
  /** The last names that were looked up; empty unless the log is on. */
  readonly queries: readonly DnsQuery[];
}

export interface DnsUpstream {
  readonly name: string;
  readonly isEncrypted: boolean;
  readonly isDown: boolean;
  /** Milliseconds; absent before the first answer. */
  readonly rttMs?: number;
  readonly queries: number;
  readonly answers: number;
  readonly failures: number;
}

export interface DnsQuery {
  /** RFC 3339. */
  readonly at: string;
  readonly name: string;
  readonly type: string;
  readonly origin: string;
  readonly ms: number;
}

export interface DnsTestRequest {
  readonly name: string;
  /** 'A', 'AAAA', 'TXT' or a number; absent: A and AAAA. */
  readonly type?: string;
}

export interface DnsTest {
  readonly name: string;
  readonly answers: readonly DnsTestAnswer[];
  /** Every upstream asked the same by itself. */
  readonly upstreams: readonly { readonly name: string; readonly ms?: number; readonly failure?: string }[];
  /** What plain DNS of this network says instead, where it could be asked and lies or fails; one sentence. */
  readonly network?: string;
}

export interface DnsTestAnswer {
  readonly type: string;
  /** 'NOERROR', 'NXDOMAIN', … */
  readonly code: string;
  /** As text. */
  readonly records: readonly string[];
  readonly origin: string;
  readonly ms: number;
}

/** One operation: where it is, what it takes, what it answers. */
export interface Route<Body, Result> {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly path: string;
  readonly text: string;
  readonly body: Shape<Body> | undefined;
  readonly result: Shape<Result>;
}

export interface Routes extends PathRoutes, SplitRoutes, RestRoutes, PortalRoutes, NetRoutes, FeedbackRoutes {
  readonly status: Route<undefined, Status>;
  readonly connect: Route<ConnectRequest, Status>;
  readonly disconnect: Route<undefined, Status>;
  readonly reconnect: Route<ConnectRequest, Status>;
  readonly edges: Route<undefined, readonly EdgeEntry[]>;
  readonly importEdge: Route<ImportRequest, ImportResult>;
  readonly enroll: Route<EnrollRequest, EnrollResult>;
  readonly registration: Route<RegistrationRequest, RegistrationView>;
  readonly rotateKeys: Route<RegistrationRequest, EdgeEntry>;
  readonly deleteRegistration: Route<RegistrationRequest, readonly EdgeEntry[]>;
  readonly useEdge: Route<EdgeName, readonly EdgeEntry[]>;
  readonly removeEdge: Route<EdgeName, readonly EdgeEntry[]>;
  readonly modes: Route<undefined, ModeList>;
  readonly settings: Route<undefined, readonly SettingEntry[]>;
  readonly changeSettings: Route<SettingsPatch, readonly SettingEntry[]>;
  readonly proxyLogin: Route<undefined, ProxyLogin>;
  readonly dns: Route<undefined, DnsReport>;
  readonly testName: Route<DnsTestRequest, DnsTest>;
  readonly logs: Route<LogRequest, LogLines>;
}

export type RouteName = keyof Routes;
export type BodyOf<Name extends RouteName> = Routes[Name] extends Route<infer Body, infer _> ? Body : never;
export type ResultOf<Name extends RouteName> =
  Routes[Name] extends Route<infer _, infer Result> ? Result : never;

export const eventsPath = '/v1/events';

const maxNameLength = 64;
/** Every byte of a name escaped. */
const maxDnsNameLength = 1020;
/** Enough for a file with hundreds of peers. */
export const maxConfLength: number = 256 * 1024;
const maxSettingLength = 1024;
const maxSettings = 100;

const name = Type.String({ minLength: 1, maxLength: maxNameLength });
const strict = { additionalProperties: false };
const texts = Type.Array(Type.String());
const value = Type.Union([Type.String({ maxLength: maxSettingLength }), Type.Number(), Type.Boolean()]);
const mode = Type.Union(modes.map((one) => Type.Literal(one)));

const connectShape: Shape<ConnectRequest> = shapeOf(Type.Object({ edge: Type.Optional(name) }, strict));
const edgeNameShape: Shape<EdgeName> = shapeOf(Type.Object({ name }, strict));
const edgeShape: Shape<EdgeEntry> = shapeOf(
  Type.Object({
    name: Type.String(),
    endpoint: Type.String(),
    addresses: texts,
    addedAt: Type.String(),
    selected: Type.Boolean(),
  }),
);
const edgesShape: Shape<readonly EdgeEntry[]> = shapeOf(Type.Array(edgeShape));
const settingsShape: Shape<readonly SettingEntry[]> = shapeOf(
  Type.Array(Type.Object({ name: Type.String(), value, default: value, text: Type.String() })),
);
const settingsPatchShape: Shape<SettingsPatch> = shapeOf(
  Type.Record(Type.String({ maxLength: maxNameLength }), Type.Union([value, Type.Null()]), {
    maxProperties: maxSettings,
  }),
);
const modesShape: Shape<ModeList> = shapeOf(
  Type.Object({ mode, modes: Type.Array(Type.Object({ mode, available: Type.Boolean() })) }),
);
const importShape: Shape<ImportRequest> = shapeOf(
  Type.Object({ name, conf: Type.String({ maxLength: maxConfLength }) }, strict),
);
const importResultShape: Shape<ImportResult> = shapeOf(
  Type.Object({ edge: edgeShape, replaced: Type.Boolean(), ignored: texts }),
);
const enrollResultShape: Shape<EnrollResult> = shapeOf(
  Type.Object({ edge: edgeShape, device: enrolledDevice }),
);
const proxyLoginShape: Shape<ProxyLogin> = shapeOf(
  Type.Object({ username: Type.Optional(Type.String()), password: Type.Optional(Type.String()) }),
);
const count = Type.Integer({ minimum: 0 });
const dnsReportShape: Shape<DnsReport> = shapeOf(
  Type.Object({
    status: Type.Optional(dnsStatusShape),
    system: Type.Optional(Type.Object({ owner: Type.String(), because: Type.String() })),
    answers: Type.Record(Type.String(), count),
    cache: Type.Object({ hits: count, misses: count, entries: count }),
    upstreams: Type.Array(
      Type.Object({
        name: Type.String(),
        isEncrypted: Type.Boolean(),
        isDown: Type.Boolean(),
        rttMs: Type.Optional(Type.Number()),
        queries: count,
        answers: count,
        failures: count,
      }),
    ),
    blockLists: Type.Array(Type.Object({ name: Type.String(), names: count, ignored: count })),
    queries: Type.Array(
      Type.Object({
        at: Type.String(),
        name: Type.String(),
        type: Type.String(),
        origin: Type.String(),
        ms: Type.Number(),
      }),
    ),
  }),
);
const dnsTestRequestShape: Shape<DnsTestRequest> = shapeOf(
  Type.Object(
    {
      name: Type.String({ minLength: 1, maxLength: maxDnsNameLength }),
      type: Type.Optional(Type.String({ maxLength: maxNameLength })),
    },
    strict,
  ),
);
const dnsTestShape: Shape<DnsTest> = shapeOf(
  Type.Object({
    name: Type.String(),
    answers: Type.Array(
      Type.Object({
        type: Type.String(),
        code: Type.String(),
        records: texts,
        origin: Type.String(),
        ms: Type.Number(),
      }),
    ),
    upstreams: Type.Array(
      Type.Object({
        name: Type.String(),
        ms: Type.Optional(Type.Number()),
        failure: Type.Optional(Type.String()),
      }),
    ),
    network: Type.Optional(Type.String()),
  }),
);
const logRequestShape: Shape<LogRequest> = shapeOf(
  Type.Object({ after: Type.Integer({ minimum: 0 }) }, strict),
);
const logShape: Shape<LogLines> = shapeOf(Type.Object({ lines: texts, last: Type.Integer({ minimum: 0 }) }));

export const routes: Routes = {
  status: get('/v1/status', 'What the daemon does now.', statusShape),
  connect: post('/v1/connect', 'Turns protection on.', connectShape, statusShape),
  disconnect: post('/v1/disconnect', 'Turns protection off and undoes all changes.', undefined, statusShape),
  reconnect: post(
    '/v1/reconnect',
    'Makes a new tunnel; traffic stays stopped meanwhile.',
    connectShape,
    statusShape,
  ),
  edges: get('/v1/edges', 'The edges that are known.', edgesShape),
  importEdge: post('/v1/edges', 'Adds an edge from a wg-quick file.', importShape, importResultShape),
  enroll: post('/v1/enroll', 'Joins an edge by its invitation.', enrollShape, enrollResultShape),
  registration: post(
    '/v1/registration',
    'Asks an edge what it knows of this machine.',
    registrationRequestShape,
    registrationShape,
  ),
  rotateKeys: post(
    '/v1/registration/rotate-keys',
    'Gives this machine new keys at an edge.',
    registrationRequestShape,
    edgeShape,
  ),
  deleteRegistration: post(
    '/v1/registration/delete',
    'Leaves an edge and forgets it.',
    registrationRequestShape,
    edgesShape,
  ),
  useEdge: post('/v1/edges/use', 'Chooses an edge; auto takes the newest.', edgeNameShape, edgesShape),
  removeEdge: post('/v1/edges/remove', 'Forgets an edge and its keys.', edgeNameShape, edgesShape),
  modes: get('/v1/modes', 'The mode in use, and all of them.', modesShape),
  settings: get('/v1/settings', 'All settings with their defaults.', settingsShape),
  changeSettings: {
    method: 'PUT',
    path: '/v1/settings',
    text: 'Changes settings; null resets one.',
    body: settingsPatchShape,
    result: settingsShape,
  },
  dns: get('/v1/dns', 'What private DNS did and does.', dnsReportShape),
  testName: post(
    '/v1/dns/test',
    'Looks a name up and tells which way the answer took.',
    dnsTestRequestShape,
    dnsTestShape,
  ),
  proxyLogin: get(
    '/v1/proxy/login',
    'Name and password of the local proxy, for programs that culvert starts.',
    proxyLoginShape,
  ),
  logs: post('/v1/logs', 'The last lines of the log.', logRequestShape, logShape),
  ...pathRoutes,
  ...splitRoutes,
  ...feedbackRoutes,
  ...restRoutes,
  ...portalRoutes,
  ...netRoutes,
};

function get<Result>(path: string, text: string, result: Shape<Result>): Route<undefined, Result> {
  return { method: 'GET', path, text, body: undefined, result };
}

function post<Body, Result>(
  path: string,
  text: string,
  body: Shape<Body> | undefined,
  result: Shape<Result>,
): Route<Body, Result> {
  return { method: 'POST', path, text, body, result };
}
