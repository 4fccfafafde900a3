// Where you go online from: the ways out, the fastest first. Sorted when it opens and not again, so that no row moves
// under a finger. Numbers live once a second, and can be stopped.
import type { VNode } from 'preact';
import { useEffect, useId, useState } from 'preact/hooks';
import type { PathEntry, PathList } from '../../../shared/core/control/paths-api.ts';
import type { Desk, ScreenProps } from '../desk.ts';
import { delay, quickness, rate, spokenDelay } from '../format.ts';
import { Failure } from '../parts/failure.tsx';
import { Graph } from '../parts/graph.tsx';
import { type Sample, topOf } from '../samples.ts';

export function Paths({ desk }: ScreenProps): VNode {
  const { words, view } = desk;
  const [list, setList] = useState<PathList | undefined>(undefined);
  const [isLive, setLive] = useState(true);
  const name = useId();
  useEffect(() => {
    void desk.send('paths', {}).then((outcome) => outcome.ok && setList(sorted(outcome.result)));
  }, []);
  useEffect(() => {
    desk.watchPaths(isLive);
    return () => desk.watchPaths(false);
  }, [isLive]);
  const choose = async (path: string): Promise<void> => {
    if (list === undefined) return;
    setList({ ...list, chosen: path });
    const outcome = await desk.send('use-path', { path });
    setList({ ...list, chosen: outcome.ok ? outcome.result.chosen : list.chosen });
  };
  return (
    <>
      <Failure desk={desk} />
      {list === undefined && desk.failure === undefined ? <p class="sentence">{words.paths.asking}</p> : null}
      {list === undefined ? null : (
        <fieldset class="card choices" aria-label={words.screens.paths}>
          <Place
            desk={desk}
            group={name}
            id="auto"
            label={words.paths.auto}
            hint={words.paths.autoHint}
            isChosen={list.chosen === 'auto'}
            onChoose={choose}
          />
          {list.paths.map((entry) => (
            <Place
              key={entry.id}
              desk={desk}
              group={name}
              id={entry.id}
              label={entry.id}
              samples={view.history.get(entry.id) ?? [entry.state === 'down' ? undefined : entry.rttMs]}
              isDown={entry.state === 'down'}
              isChosen={list.chosen === entry.id}
              onChoose={choose}
            />
          ))}
        </fieldset>
      )}
      {list?.paths.length === 0 ? <p class="sentence">{words.paths.none}</p> : null}
      <p class="hint">{words.paths.hint}</p>
      <Throughput desk={desk} />
      <p class="below">
        <button type="button" class="quiet" onClick={() => setLive(!isLive)}>
          {isLive ? words.paths.stop : words.paths.go}
        </button>
      </p>
    </>
  );
}

interface PlaceProps {
  readonly desk: Desk;
  readonly group: string;
  readonly id: string;
  readonly label: string;
  readonly hint?: string;
  /** Absent: nothing is measured of it. */
  readonly samples?: readonly Sample[];
  readonly isDown?: boolean;
  readonly isChosen: boolean;
  readonly onChoose: (id: string) => Promise<void>;
}

function Place(props: PlaceProps): VNode {
  const { words } = props.desk;
  const { group, id, label, hint, samples } = props;
  const last = samples?.at(-1);
  const silent =
    props.isDown === true || (samples?.length ?? 0) > 1 ? words.paths.noAnswer : words.paths.notMeasured;
  const shown = last === undefined ? silent : delay(words.tag, last);
  const quick = last === undefined ? undefined : words.paths.quickness[quickness(last)];
  const spoken = last === undefined ? silent : `${spokenDelay(words.tag, last)}, ${quick ?? ''}`;
  const input = `${group}${id}`;
  return (
    <label class="row place" for={input}>
      <input
        type="radio"
        id={input}
        name={group}
        value={id}
        checked={props.isChosen}
        aria-label={samples === undefined ? `${label}, ${hint ?? ''}` : `${label}, ${spoken}`}
        onChange={() => void props.onChoose(id)}
      />
      <span class="row-text" aria-hidden="true">
        <span>{label}</span>
        {hint === undefined && quick === undefined ? null : <span class="hint">{hint ?? quick}</span>}
      </span>
      {samples === undefined ? null : (
        <Graph series={[samples]} top={topOf(props.desk.view.history.values())} />
      )}
      {samples === undefined ? null : (
        <span class={last === undefined ? 'delay delay-none' : 'delay'} aria-hidden="true">
          {shown}
        </span>
      )}
    </label>
  );
}

function Throughput({ desk }: ScreenProps): VNode {
  const { words } = desk;
  const { down, up } = desk.view.rates;
  return (
    <div class="card throughput">
      <h2>{words.paths.throughput}</h2>
      <Graph series={[down, up]} top={topOf([down, up])} />
      <dl class="numbers plain">
        <div>
          <dt class="key-0">{words.home.down}</dt>
          <dd>{rate(words.tag, down.at(-1) ?? 0)}</dd>
        </div>
        <div>
          <dt class="key-1">{words.home.up}</dt>
          <dd>{rate(words.tag, up.at(-1) ?? 0)}</dd>
        </div>
      </dl>
    </div>
  );
}

/** Nearest first; what does not answer at the end, by name. */
function sorted(list: PathList): PathList {
  const rank = ({ state, rttMs }: PathEntry): number =>
    state === 'down' || rttMs === undefined ? Number.POSITIVE_INFINITY : rttMs;
  const paths = list.paths.toSorted((one, other) => {
    const [first, second] = [rank(one), rank(other)];
    return first === second ? one.id.localeCompare(other.id) : first - second;
  });
  return { ...list, paths };
}
