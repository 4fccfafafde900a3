/** What a device may ask about ways out: the paths granted to it, where it goes now and why, and names that it tells. */

import { CulvertError } from '../../shared/core/control/codes.ts';
import type { PathEntry, Paths, PathWhy, PathWhyRequest } from '../../shared/core/control/paths-api.ts';
import type { ToldName } from '../../shared/core/registration/names-api.ts';
import { autoPath } from '../../shared/core/registration/shapes.ts';
import type { PathStatus } from '../egress/egress-paths.ts';
import type { PathsAnswer, PathsQuestion, WhyAnswer } from '../egress/paths-question.ts';
import type { DeviceRecord } from '../peers/store.ts';
import { ApiProblem } from './api-problem.ts';

/** Asks whoever knows the paths; throws CulvertError where nobody does. */
export type AskPaths = (question: PathsQuestion) => Promise<PathsAnswer>;

const webPort = 443;

/** `listed`: as edge.yaml has them. What is measured comes on top where somebody measures. */
export async function pathsFor(
  device: Pick<DeviceRecord, 'path' | 'granted'>,
  listed: readonly PathEntry[],
  ask: AskPaths | undefined,
): Promise<Paths> {
  const statuses = await measured(ask);
  const isGranted = ({ id }: { readonly id: string }): boolean => device.granted?.includes(id) !== false;
  // Who is allowed a way that leads nowhere can be sent there by the operator, and by nobody else.
  const paths = listed.filter((path) => isGranted(path) && path.type !== 'block');
  const usual = statuses.find((one) => one.isDefault)?.id;
  const pinned = device.path !== undefined && isGranted({ id: device.path }) ? device.path : undefined;
  const using = pinned ?? usual;
  return {
    paths: paths.map((path) =>
      viewOf(
        path,
        statuses.find((one) => one.id === path.id),
      ),
    ),
    chosen: device.path ?? autoPath,
    ...(using === undefined ? {} : { using }),
  };
}

/** By which path the device reaches the place. Its addresses are looked up by the edge. */
export async function whyFor(
  device: string,
  request: PathWhyRequest,
  ask: AskPaths | undefined,
): Promise<PathWhy> {
  const { host, port = webPort, protocol = 'tcp' } = request;
  const question = { what: 'why', host, addresses: [], device, port, protocol } as const;
  const answer = (await ask?.(question).catch(nothingToChoose)) as WhyAnswer | undefined;
  if (answer === undefined)
    throw new ApiProblem('not-found', 'This edge has one path, and nothing to choose.');
  const answers = answer.answers.map(({ address, path, sentence }) => ({ address, path, sentence }));
  return { host: answer.host, answers };
}

export async function tellNamesFor(
  device: string,
  names: readonly ToldName[],
  ask: AskPaths | undefined,
): Promise<void> {
  await ask?.({ what: 'names', device, names });
}

/** Nobody to ask: one path, which nobody measures. */
async function measured(ask: AskPaths | undefined): Promise<readonly PathStatus[]> {
  try {
    return ((await ask?.({ what: 'list' })) ?? []) as readonly PathStatus[];
  } catch (error) {
    if (error instanceof CulvertError) return [];
    throw error;
  }
}

/** The edge says so by an error of its own, which is for whoever runs it. */
function nothingToChoose(error: unknown): undefined {
  if (!(error instanceof CulvertError)) throw error;
}

function viewOf(path: PathEntry, status: PathStatus | undefined): PathEntry {
  if (status === undefined) return path;
  const { rttMs, lossPercent, isDefault, reason } = status;
  return {
    id: path.id,
    type: path.type,
    state: stateOf(status),
    ...(rttMs === null ? {} : { rttMs, lossPercent }),
    usual: isDefault,
    ...(reason === undefined ? {} : { reason }),
  };
}

function stateOf({ state }: PathStatus): PathEntry['state'] {
  if (state === 'down' || state === 'block') return 'down';
  return state === 'unknown' ? 'unknown' : 'up';
}
