/**
 * The control API's operations about the edge's ways out, and what status tells of them. Asks the edge's device API;
 * an edge that was imported has none. Decides nothing about the connection.
 */

import { type MonoMs, secondMs } from '../../shared/core/base/time.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { ChosenPath } from '../../shared/core/control/path-status.ts';
import type { PathList, PathRoutes, Paths } from '../../shared/core/control/paths-api.ts';
import type { Handlers } from '../../shared/node/control/socket-server.ts';
import { problemIn } from '../enroll/edge-client.ts';
import type { EnrollmentDesk } from '../enroll/enrollment-desk.ts';

export interface PathDeskParts {
  readonly enrollment: Pick<EnrollmentDesk, 'call'>;
  /** The edge that this machine is connected to; undefined while it is not. */
  readonly connectedTo: () => string | undefined;
  readonly now: () => MonoMs;
  /** The way out is known, or another than before. */
  readonly onPath?: (edge: string, path: ChosenPath) => void;
}

/** So old may an answer be that somebody looks at; then the edge is asked again, in the background. */
const freshMs = 30 * secondMs;
/** Several who ask at once get one answer. */
const sharedMs = secondMs;

interface Known {
  readonly edge: string;
  readonly paths: Paths;
  readonly at: MonoMs;
}

export class PathDesk {
  readonly #parts: PathDeskParts;
  #known: Known | undefined;
  #connected: string | undefined;
  #askedAt: MonoMs | undefined;

  constructor(parts: PathDeskParts) {
    this.#parts = parts;
  }

  handlers(): Pick<Handlers, keyof PathRoutes> {
    return {
      paths: () => this.#list(),
      usePath: async ({ path }) => {
        const edge = this.#edge();
        return this.#take(
          edge,
          await this.#ask(() => this.#parts.enrollment.call(edge, 'choosePath', { path })),
        );
      },
      whyPath: (request) => this.#ask(() => this.#parts.enrollment.call(this.#edge(), 'why', request)),
    };
  }

  /** For the status. Undefined where no edge of ours is connected, or it has not answered yet. */
  get view(): ChosenPath | undefined {
    const edge = this.#parts.connectedTo();
    if (edge === undefined) return undefined;
    const { now } = this.#parts;
    if (this.#askedAt === undefined || now() - this.#askedAt >= freshMs) this.#refresh();
    return this.#known?.edge === edge ? chosenOf(this.#known.paths) : undefined;
  }

  /** Call at every change of the connection. */
  handleChange(): void {
    const edge = this.#parts.connectedTo();
    if (edge === this.#connected) return;
    this.#connected = edge;
    this.#known = undefined;
    if (edge !== undefined) this.#refresh();
  }

  /** The edge says that something changed, or somebody has a reason to know. */
  refresh(): void {
    if (this.#parts.connectedTo() !== undefined) this.#refresh();
  }

  async #list(): Promise<PathList> {
    const edge = this.#edge();
    const known = this.#known;
    if (known?.edge === edge && this.#parts.now() - known.at < sharedMs) return listOf(known);
    return this.#take(edge, await this.#ask(() => this.#parts.enrollment.call(edge, 'paths')));
  }

  #refresh(): void {
    this.#askedAt = this.#parts.now();
    this.#list().catch(() => undefined); // Whoever asks for it is told why; status goes on without.
  }

  #take(edge: string, paths: Paths): PathList {
    const before = this.#known?.edge === edge ? chosenOf(this.#known.paths)?.id : undefined;
    const known: Known = { edge, paths, at: this.#parts.now() };
    // An answer that comes after the edge was left is of no use to the status.
    if (this.#parts.connectedTo() === edge) this.#known = known;
    const chosen = chosenOf(paths);
    if (chosen !== undefined && chosen.id !== before) this.#parts.onPath?.(edge, chosen);
    return listOf(known);
  }

  #edge(): string {
    const edge = this.#parts.connectedTo();
    if (edge === undefined) throw new CulvertError('not-connected');
    return edge;
  }

  async #ask<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      if (error instanceof CulvertError && error.code === 'not-registered') {
        throw new CulvertError('no-path-choice', { cause: error });
      }
      if (problemIn(error) === 'path-not-granted') {
        throw new CulvertError('unknown-path', {
          text: 'The edge grants this machine no such path.',
          remedy: 'See: culvert path list',
          cause: error,
        });
      }
      throw error;
    }
  }
}

function listOf({ edge, paths }: Known): PathList {
  return { edge, ...paths };
}

function chosenOf({ paths, chosen, using }: Paths): ChosenPath | undefined {
  if (using === undefined) return undefined;
  const { rttMs, lossPercent } = paths.find((path) => path.id === using) ?? {};
  return {
    id: using,
    chosen,
    ...(rttMs === undefined ? {} : { rttMs }),
    ...(lossPercent === undefined ? {} : { lossPercent }),
  };
}
