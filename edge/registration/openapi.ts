/** The OpenAPI 3.1 description of the registration API, from the table that the server runs on. Pure. */

import type { TSchema } from '@sinclair/typebox';
import { adminRoutes } from '../../shared/core/registration/admin-api.ts';
import { type Access, type ApiRoute, deviceRoutes } from '../../shared/core/registration/api.ts';
import { problemShape, problemType } from '../../shared/core/registration/problem.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export type AnyRoute = Pick<ApiRoute<unknown, unknown>, 'method' | 'path' | 'text' | 'access' | 'status'> & {
  readonly body: TSchema | undefined;
  readonly result: TSchema | undefined;
  readonly maxBodyBytes?: number;
};

/** Every call with its name. */
export const allRoutes: Readonly<Record<string, AnyRoute>> = { ...deviceRoutes, ...adminRoutes };

export const openApiPath = '/openapi.json';

/** Calls whose answer is a part of a list. */
export const pagedRoutes: readonly string[] = ['listDevices', 'audit'];

export function describeApi(version: string): JsonObject {
  const paths: Record<string, Record<string, JsonObject>> = {};
  for (const [name, route] of Object.entries(allRoutes)) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}');
    paths[path] ??= {};
    paths[path][route.method.toLowerCase()] = operation(name, route);
  }
  return {
    openapi: '3.1.0',
    info: { title: 'culvert edge', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    paths,
    components: {
      schemas: { Problem: problemShape },
      securitySchemes: {
        device: { type: 'http', scheme: 'bearer', description: 'What enrolment gave, cvd_…' },
        admin: { type: 'http', scheme: 'bearer', description: 'An admin key, cva_…' },
      },
    },
  };
}

function operation(name: string, route: AnyRoute): JsonObject {
  const parameters = [
    ...(route.path.includes(':id') ? [parameter('id', 'path', 'An id; for devices also a name.')] : []),
    ...(pagedRoutes.includes(name)
      ? [
          parameter('after', 'query', '`next` of the part before.'),
          parameter('limit', 'query', 'Most entries, 1 to 1000.'),
        ]
      : []),
  ];
  return {
    operationId: name,
    summary: route.text,
    description: accessTexts[route.access],
    security: securityOf(route.access),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.body === undefined ? {} : { requestBody: { required: true, content: json(route.body) } }),
    responses: {
      [route.status]: {
        description: 'Done.',
        ...(route.result === undefined ? {} : { content: json(route.result) }),
      },
      default: {
        description: 'Not done, and why.',
        content: { [problemType]: { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  };
}

const accessTexts: Readonly<Record<Access, string>> = {
  open: 'For everybody, rarely.',
  device: 'For the device itself.',
  auditor: 'For admin keys of every role.',
  operator: 'For admin keys of operators and owners.',
  owner: 'For admin keys of owners.',
};

function securityOf(access: Access): readonly JsonObject[] {
  if (access === 'open') return [];
  return [access === 'device' ? { device: [] } : { admin: [] }];
}

function parameter(name: string, place: 'path' | 'query', description: string): JsonObject {
  return { name, in: place, required: place === 'path', description, schema: { type: 'string' } };
}

function json(schema: TSchema): JsonObject {
  return { 'application/json': { schema } };
}
