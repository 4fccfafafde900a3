/** The edge's ways out → the text that people read. Pure. */

import { bar, type Series, sparkline } from '../../shared/core/control/graph.ts';
import type { PathEntry, PathList, PathWhy } from '../../shared/core/control/paths-api.ts';

/** Measurements in a graph. */
export const historyLength = 30;
const barWidth = 10;

/** `history`: of the times, by id; then every path has its graph. */
export function renderPaths(list: PathList, history?: Series): string {
  if (list.paths.length === 0) return 'The edge lets this machine choose no path.';
  const most = Math.max(...list.paths.map((path) => path.rttMs ?? 0));
  const rows = list.paths.map((path) => [
    `${path.id === list.using ? '*' : ' '} ${path.id}`,
    path.type,
    path.state,
    path.rttMs === undefined ? '' : `${path.rttMs} ms`,
    path.lossPercent === undefined ? '' : `${path.lossPercent} %`,
    history === undefined ? barOf(path, most) : sparkline(history.of(path.id), historyLength),
    path.reason ?? '',
  ]);
  return [
    headingOf(list),
    '',
    ...columns([['  PATH', 'TYPE', 'STATE', 'TIME', 'LOSS', '', ''], ...rows]),
  ].join('\n');
}

export function renderPathWhy(why: PathWhy): string {
  if (why.answers.length === 0) return `The edge finds no address for ${why.host}.`;
  const isAddress = why.answers.length === 1 && why.answers[0]?.address === why.host;
  return why.answers
    .map(({ address, sentence }) => (isAddress ? sentence : `${address}: ${sentence}`))
    .join('\n');
}

function headingOf({ edge, chosen, using }: PathList): string {
  const who = chosen === 'auto' ? 'The edge chooses the way out' : `You chose ${chosen}`;
  return using === undefined ? `${who} (${edge}).` : `${who} (${edge}); now it is ${using}.`;
}

/** Longer is slower. */
function barOf(path: PathEntry, most: number): string {
  return path.rttMs === undefined || most === 0 ? '' : bar(path.rttMs / most, barWidth);
}

function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
