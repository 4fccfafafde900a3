// A small line of the last minute. For eyes only: the number beside it says the same to everybody.
import type { VNode } from 'preact';
import { linesOf, type Sample } from '../samples.ts';

const width = 72;
const height = 28;

export interface GraphProps {
  /** One or two series, oldest first; undefined is a gap. */
  readonly series: readonly (readonly Sample[])[];
  /** The value at the upper edge: the same for graphs that are compared. */
  readonly top: number;
}

export function Graph({ series, top }: GraphProps): VNode {
  return (
    <svg class="graph" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true">
      <path class="graph-ground" d={`M0 ${height - 0.5}h${width}`} />
      {series.map((samples, index) =>
        linesOf(samples, { width, height, top }).map((points) => (
          <polyline key={points} class={`graph-line graph-line-${index}`} points={points} />
        )),
      )}
    </svg>
  );
}
