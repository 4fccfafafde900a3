// Networks and exceptions: where protection rests, whether devices around can be reached, what goes around protection.
import type { VNode } from 'preact';
import { useEffect, useId, useState } from 'preact/hooks';
import type { TrustedList } from '../../../shared/core/control/rest-api.ts';
import type { LanView, SplitList, SplitRuleView } from '../../../shared/core/control/split-api.ts';
import type { Mode } from '../../../shared/core/control/status.ts';
import type { SplitRule } from '../../bridge/ipc.ts';
import type { ScreenProps } from '../desk.ts';
import { clockTime } from '../format.ts';
import { Failure } from '../parts/failure.tsx';
import { Entry } from '../parts/fields.tsx';

const shortMs = 15 * 60 * 1000;
const longestTarget = 253;
/** More would be no list for a window. */
const mostShown = 100;

export function Networks({ desk }: ScreenProps): VNode {
  const { snapshot } = desk.view;
  const answer = snapshot?.daemon === 'answers' && snapshot.mayChange ? snapshot : undefined;
  return (
    <>
      <Failure desk={desk} />
      {answer === undefined ? <p>{desk.face.words.sentence}</p> : null}
      {answer !== undefined && desk.can('trusted') ? <Trusted desk={desk} /> : null}
      {answer !== undefined && desk.can('lan') && isWholeDevice(answer.status.mode) ? (
        <Around desk={desk} />
      ) : null}
      {answer !== undefined && desk.can('split') ? <Split desk={desk} mode={answer.status.mode} /> : null}
    </>
  );
}

function Trusted({ desk }: ScreenProps): VNode {
  const { networks } = desk.words;
  const [list, setList] = useState<TrustedList | undefined>(undefined);
  const send = async (name: 'trusted' | 'trust' | 'distrust', ssid?: string): Promise<void> => {
    const outcome =
      ssid === undefined || name === 'trusted'
        ? await desk.send('trusted', {})
        : await desk.send(name, { ssid });
    if (outcome.ok) setList(outcome.result);
  };
  useEffect(() => void send('trusted'), []);
  const current = list?.current;
  const canTrust = current !== undefined && list?.ssids.includes(current) === false;
  return (
    <section class="card">
      <h2>{networks.trusted}</h2>
      <p class="hint">{networks.trustedHint}</p>
      {(list?.ssids ?? []).slice(0, mostShown).map((ssid) => (
        <Entry
          key={ssid}
          label={ssid}
          {...(ssid === current ? { hint: networks.here } : {})}
          action={networks.remove}
          onAct={() => void send('distrust', ssid)}
        />
      ))}
      {list !== undefined && list.ssids.length === 0 ? <p>{networks.trustedNone}</p> : null}
      {canTrust ? (
        <button type="button" class="small" onClick={() => void send('trust', current)}>
          {networks.trust(current)}
        </button>
      ) : null}
      {list !== undefined && current === undefined ? <p class="hint">{networks.noWifi}</p> : null}
    </section>
  );
}

function Around({ desk }: ScreenProps): VNode {
  const { networks, tag } = desk.words;
  const [lan, setLan] = useState<LanView | undefined>(undefined);
  const isOver = lan?.until !== undefined && Date.parse(lan.until) <= desk.view.wall;
  const ask = async (): Promise<void> => {
    const outcome = await desk.send('lan', {});
    if (outcome.ok) setLan(outcome.result);
  };
  useEffect(() => void ask(), [isOver]);
  const set = async (open: boolean, forMs?: number): Promise<void> => {
    const outcome = await desk.send('set-lan', forMs === undefined ? { open } : { open, forMs });
    if (outcome.ok) setLan(outcome.result);
  };
  const places = (lan?.networks ?? []).slice(0, mostShown).map(({ prefix }) => prefix);
  return (
    <section class="card">
      <h2>{networks.around}</h2>
      <p class="hint">{networks.aroundHint}</p>
      {lan?.open === true ? (
        <Entry
          label={
            lan.until === undefined ? networks.openUntilClosed : networks.openUntil(clockTime(tag, lan.until))
          }
          action={networks.close}
          onAct={() => void set(false)}
        />
      ) : null}
      {lan?.open === false ? (
        <div class="row row-wrap">
          <button type="button" class="small" onClick={() => void set(true, shortMs)}>
            {networks.openShort}
          </button>
          <button type="button" class="small" onClick={() => void set(true)}>
            {networks.openLong}
          </button>
        </div>
      ) : null}
      {lan === undefined ? null : (
        <p class="hint">
          {places.length === 0 ? networks.aroundNone : networks.aroundPlaces(places.join(', '))}
        </p>
      )}
    </section>
  );
}

function Split({ desk, mode }: ScreenProps & { readonly mode: Mode }): VNode {
  const { networks } = desk.words;
  const [list, setList] = useState<SplitList | undefined>(undefined);
  useEffect(() => {
    void desk.send('split', {}).then((outcome) => outcome.ok && setList(outcome.result));
  }, []);
  const change = async (name: 'add-split' | 'remove-split', rule: SplitRule): Promise<boolean> => {
    const outcome = await desk.send(name, rule);
    if (outcome.ok) setList(outcome.result);
    return outcome.ok;
  };
  const rules = (list?.rules ?? []).slice(0, mostShown);
  const isBlind = mode === 'tunnel' || mode === 'tunnel_only';
  return (
    <section class="card">
      <h2>{networks.split}</h2>
      {list === undefined ? null : <p>{summaryOf(list, networks)}</p>}
      {isBlind && rules.some(({ kind }) => kind === 'host') ? (
        <p class="hint">{networks.namesIgnored}</p>
      ) : null}
      {rules.map((rule) => {
        const own = ruleOf(rule);
        return (
          <Entry
            key={`${rule.mode} ${rule.kind} ${rule.target}`}
            label={rule.target}
            hint={networks.kinds[rule.kind]}
            {...(own === undefined
              ? {}
              : { action: networks.remove, onAct: () => void change('remove-split', own) })}
          />
        );
      })}
      {list === undefined ? null : (
        <Adding words={networks} onAdd={(target) => change('add-split', newRule(target, list.includeOnly))} />
      )}
    </section>
  );
}

interface AddingProps {
  readonly words: ScreenProps['desk']['words']['networks'];
  readonly onAdd: (target: string) => Promise<boolean>;
}

function Adding({ words, onAdd }: AddingProps): VNode {
  const [text, setText] = useState('');
  const id = useId();
  const target = text.trim();
  return (
    <form
      class="row row-wrap"
      onSubmit={(event) => {
        event.preventDefault();
        if (target !== '') void onAdd(target).then((isAdded) => isAdded && setText(''));
      }}
    >
      <label class="row-text" for={id}>
        {words.add}
      </label>
      <input
        id={id}
        value={text}
        maxLength={longestTarget}
        spellcheck={false}
        dir="ltr"
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <button type="submit" class="small" disabled={target === ''}>
        {words.addButton}
      </button>
    </form>
  );
}

function summaryOf({ rules, includeOnly }: SplitList, words: AddingProps['words']): string {
  if (includeOnly) return words.splitOnly;
  return rules.length === 0 ? words.splitNone : words.splitSome;
}

/** Programs are a matter of the moment, and of the command line. */
function ruleOf({ kind, target, mode }: SplitRuleView): SplitRule | undefined {
  return kind === 'program' ? undefined : { kind, target, mode };
}

/** Whatever is no name of letters is meant as an address; the daemon judges it. */
function newRule(target: string, isInclude: boolean): SplitRule {
  const isAddress = target.includes(':') || /^[\d./]+$/.test(target);
  return { kind: isAddress ? 'ip' : 'host', target, mode: isInclude ? 'include' : 'exclude' };
}

function isWholeDevice(mode: Mode): boolean {
  return mode !== 'proxy' && mode !== 'doh' && mode !== 'dot';
}
