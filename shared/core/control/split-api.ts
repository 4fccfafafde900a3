/**
 * The part of the control API about what goes around the tunnel, which way something goes, and the diagnosis: types,
 * schemas and routes for api.ts.
 */

import { Type } from '@sinclair/typebox';
import type { Route } from './api.ts';
import { type Shape, shapeOf } from './shape.ts';

export interface SplitRuleView {
  readonly mode: 'exclude' | 'include';
  readonly kind: 'ip' | 'host' | 'program';
  /** '10.0.0.0/8', '*.bank.example', 'firefox (1234)'. */
  readonly target: string;
  /** Of a name: the addresses that answers told so far, which is what the machine goes by. */
  readonly addresses?: readonly string[];
}

export interface SplitList {
  readonly rules: readonly SplitRuleView[];
  /** True: only what is included goes through the tunnel. False: everything but what is excluded. */
  readonly includeOnly: boolean;
  /** What the list does not do in the mode of now; one sentence each. */
  readonly notes: readonly string[];
}

export interface SplitRuleRequest {
  readonly kind: 'ip' | 'host';
  readonly target: string;
  readonly mode: 'exclude' | 'include';
}

export interface SplitProgramRequest {
  /** Process id. */
  readonly pid: number;
  /** False: it goes where everything goes, again. */
  readonly outside: boolean;
}

export interface LanRequest {
  /** False closes it. */
  readonly open: boolean;
  /** Milliseconds; absent: until it is closed. */
  readonly forMs?: number;
}

export interface LanView {
  readonly open: boolean;
  /** RFC 3339; absent: until it is closed. */
  readonly until?: string;
  /** The private networks around this machine, by interface. */
  readonly networks: readonly { readonly interface: string; readonly prefix: string }[];
}

export interface ExplainRequest {
  /** A name, an address or a URL. */
  readonly host: string;
}

export interface ExplainView {
  /** The host that was meant. */
  readonly host: string;
  /** Where its addresses came from; absent where it is one, or was not looked up. */
  readonly resolved?: string;
  readonly ways: readonly RouteWay[];
}

export interface RouteWay {
  readonly address?: string;
  readonly path: 'tunnel' | 'outside' | 'refused' | 'machine';
  readonly rule: string;
  readonly why: string;
  /** The interface that the kernel would take now. */
  readonly interface?: string;
  /** The path of the edge, where it goes through the tunnel and the edge said. */
  readonly edgePath?: string;
}

export interface Diagnosis {
  /** The whole bundle, redacted. */
  readonly text: string;
}

export interface SplitRoutes {
  readonly split: Route<undefined, SplitList>;
  readonly addSplitRule: Route<SplitRuleRequest, SplitList>;
  readonly removeSplitRule: Route<SplitRuleRequest, SplitList>;
  readonly splitProgram: Route<SplitProgramRequest, SplitList>;
  readonly lan: Route<undefined, LanView>;
  readonly changeLan: Route<LanRequest, LanView>;
  readonly explainRoute: Route<ExplainRequest, ExplainView>;
  readonly diagnosis: Route<undefined, Diagnosis>;
}

/** Every byte of a name escaped, in a URL. */
const maxHostLength = 2048;
const maxLanMs = 7 * 24 * 3_600_000;
const strict = { additionalProperties: false };
const text = Type.String();
const ruleMode = Type.Union([Type.Literal('exclude'), Type.Literal('include')]);
const host = Type.String({ minLength: 1, maxLength: maxHostLength });

const listShape: Shape<SplitList> = shapeOf(
  Type.Object({
    rules: Type.Array(
      Type.Object({
        mode: ruleMode,
        kind: Type.Union([Type.Literal('ip'), Type.Literal('host'), Type.Literal('program')]),
        target: text,
        addresses: Type.Optional(Type.Array(text)),
      }),
    ),
    includeOnly: Type.Boolean(),
    notes: Type.Array(text),
  }),
);
const ruleShape: Shape<SplitRuleRequest> = shapeOf(
  Type.Object(
    { kind: Type.Union([Type.Literal('ip'), Type.Literal('host')]), target: host, mode: ruleMode },
    strict,
  ),
);
const programShape: Shape<SplitProgramRequest> = shapeOf(
  Type.Object({ pid: Type.Integer({ minimum: 1 }), outside: Type.Boolean() }, strict),
);
const lanRequestShape: Shape<LanRequest> = shapeOf(
  Type.Object(
    { open: Type.Boolean(), forMs: Type.Optional(Type.Number({ minimum: 1000, maximum: maxLanMs })) },
    strict,
  ),
);
const lanShape: Shape<LanView> = shapeOf(
  Type.Object({
    open: Type.Boolean(),
    until: Type.Optional(text),
    networks: Type.Array(Type.Object({ interface: text, prefix: text })),
  }),
);
const explainRequestShape: Shape<ExplainRequest> = shapeOf(Type.Object({ host }, strict));
const explainShape: Shape<ExplainView> = shapeOf(
  Type.Object({
    host: text,
    resolved: Type.Optional(text),
    ways: Type.Array(
      Type.Object({
        address: Type.Optional(text),
        path: Type.Union([
          Type.Literal('tunnel'),
          Type.Literal('outside'),
          Type.Literal('refused'),
          Type.Literal('machine'),
        ]),
        rule: text,
        why: text,
        interface: Type.Optional(text),
        edgePath: Type.Optional(text),
      }),
    ),
  }),
);
const diagnosisShape: Shape<Diagnosis> = shapeOf(Type.Object({ text }));

export const splitRoutes: SplitRoutes = {
  split: {
    method: 'GET',
    path: '/v1/split',
    text: 'What goes through the tunnel and what around it.',
    body: undefined,
    result: listShape,
  },
  addSplitRule: {
    method: 'POST',
    path: '/v1/split/add',
    text: 'Sends an address or a name around the tunnel, or only through it.',
    body: ruleShape,
    result: listShape,
  },
  removeSplitRule: {
    method: 'POST',
    path: '/v1/split/remove',
    text: 'Takes a rule out of that list.',
    body: ruleShape,
    result: listShape,
  },
  splitProgram: {
    method: 'POST',
    path: '/v1/split/program',
    text: 'Sends a running program around the tunnel, or back.',
    body: programShape,
    result: listShape,
  },
  lan: {
    method: 'GET',
    path: '/v1/lan',
    text: 'Whether the network around this machine may be reached.',
    body: undefined,
    result: lanShape,
  },
  changeLan: {
    method: 'PUT',
    path: '/v1/lan',
    text: 'Opens the network around this machine for a while, or closes it.',
    body: lanRequestShape,
    result: lanShape,
  },
  explainRoute: {
    method: 'POST',
    path: '/v1/route/explain',
    text: 'Which way something goes, by which rule, and why.',
    body: explainRequestShape,
    result: explainShape,
  },
  diagnosis: {
    method: 'GET',
    path: '/v1/diagnosis',
    text: 'A redacted report of this machine, for people who help.',
    body: undefined,
    result: diagnosisShape,
  },
};
