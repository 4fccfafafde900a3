// Home: am I safe? One icon, one sentence, one control; then what is protected, and the numbers.
import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { ModeEntry } from '../../../shared/core/control/api.ts';
import type { Mode } from '../../../shared/core/control/status.ts';
import type { Snapshot } from '../../bridge/ipc.ts';
import type { Desk, ScreenProps } from '../desk.ts';
import { callOf } from '../face.ts';
import { bytes, clockTime, countdown, delay, rate } from '../format.ts';
import { Failure } from '../parts/failure.tsx';
import { BigSwitch, Check, Choices, LinkRow, Note, Pick } from '../parts/fields.tsx';
import { StateIcon } from '../parts/icon.tsx';
import { Leaving } from '../parts/leaving.tsx';
import { Sights } from '../parts/sights-card.tsx';
import type { ActionName, Family, ModeChoice } from '../texts/catalogue.ts';
import { healthWords } from '../texts/language.ts';

type Answer = Extract<Snapshot, { daemon: 'answers' }>;

const pauseMs = 15 * 60 * 1000;
/** More stand on the screen of details. */
const mostNotes = 2;

export function Home({ desk }: ScreenProps): VNode {
  const { snapshot } = desk.view;
  const answer = snapshot?.daemon === 'answers' && snapshot.mayChange ? snapshot : undefined;
  return (
    <div class="home">
      <Truth desk={desk} />
      <Control desk={desk} />
      <Failure desk={desk} />
      {snapshot?.daemon === 'answers' && !snapshot.mayChange ? (
        <Note
          severity="notice"
          text={`${desk.words.window['no-permission'].heading}.`}
          remedy={desk.words.window['no-permission'].sentence}
        />
      ) : null}
      <HowToAllow desk={desk} />
      {answer === undefined ? null : <Settled desk={desk} answer={answer} />}
      {snapshot === undefined ? null : <Sights desk={desk} />}
      <p class="below">
        <button type="button" class="quiet" data-opens="diagnostics" onClick={() => desk.open('diagnostics')}>
          {desk.words.home.details}
        </button>
      </p>
    </div>
  );
}

/** The line to type, where this account may change nothing and the app cannot ask for it. */
function HowToAllow({ desk }: ScreenProps): VNode | null {
  const { snapshot } = desk.view;
  const command = snapshot?.app.allowCommand;
  const isClosed =
    snapshot?.daemon === 'no-permission' || (snapshot?.daemon === 'answers' && !snapshot.mayChange);
  if (!isClosed || command === undefined) return null;
  return (
    <div class="card question">
      <p>{desk.words.home.allowBy}</p>
      <code class="exact" dir="ltr">
        {command}
      </code>
    </div>
  );
}

function Truth({ desk }: ScreenProps): VNode {
  const { face, words } = desk;
  const { snapshot, wall } = desk.view;
  const answer = snapshot?.daemon === 'answers' ? snapshot : undefined;
  const proxy = face.kind === 'connected-proxy' ? answer?.status.proxy?.address : undefined;
  return (
    <div class="truth">
      <StateIcon icon={face.icon} tone={face.tone} />
      <h1 tabIndex={-1}>{face.words.heading}</h1>
      <p class="sentence">
        {face.words.sentence}
        {face.kind === 'signing-in' && answer?.signInUntil !== undefined ? (
          <span class="time"> {words.home.timeLeft(countdown(answer.signInUntil, wall))}</span>
        ) : null}
        {face.kind === 'paused' && answer?.status.resumesAt !== undefined
          ? ` ${words.home.backAt(clockTime(words.tag, answer.status.resumesAt))}`
          : null}
      </p>
      {proxy === undefined ? null : (
        <p class="sentence">
          {words.home.proxyAt} <code>{proxy}</code>
        </p>
      )}
    </div>
  );
}

function Control({ desk }: ScreenProps): VNode {
  const { face, words } = desk;
  const [isLeaving, setLeaving] = useState(false);
  const { snapshot } = desk.view;
  const act = (action: ActionName): void => {
    if (action === 'use-unprotected') setLeaving(true);
    else void desk.send(callOf[action], {});
  };
  const flip = (on: boolean): void => {
    if (!on && (face.kind === 'blocked' || face.kind === 'waiting')) setLeaving(true);
    else void desk.send(on ? 'connect' : 'disconnect', {});
  };
  return (
    <div class="control">
      {face.switch !== undefined && face.main === undefined ? (
        <BigSwitch
          label={words.home.switch}
          isOn={face.switch === 'on'}
          isTrue={face.tone === 'private'}
          onChange={flip}
        />
      ) : null}
      {face.main === undefined ? null : (
        <button type="button" class="main" onClick={() => face.main && act(face.main)}>
          {words.actions[face.main]}
        </button>
      )}
      {face.link === undefined ? null : (
        <button type="button" class="quiet" onClick={() => face.link && act(face.link)}>
          {words.actions[face.link]}
        </button>
      )}
      {isLeaving ? (
        <Leaving
          words={words}
          network={snapshot?.daemon === 'answers' ? snapshot.network : undefined}
          onKeep={() => setLeaving(false)}
          onLeave={() => {
            setLeaving(false);
            void desk.send('disconnect', {});
          }}
        />
      ) : null}
    </div>
  );
}

interface SettledProps extends ScreenProps {
  readonly answer: Answer;
}

/** What was chosen, and the numbers. */
function Settled({ desk, answer }: SettledProps): VNode {
  const { words } = desk;
  const { status } = answer;
  const isOn = desk.face.tone === 'private';
  const isSaid = desk.face.kind === 'no-answer' || desk.face.kind === 'no-internet';
  const grave = isSaid ? [] : status.health.filter((item) => item.severity !== 'notice').slice(0, mostNotes);
  return (
    <>
      {grave.map((item) => {
        const [text, remedy] = healthWords(words, item);
        return <Note key={item.code} severity={item.severity} text={text} remedy={remedy} />;
      })}
      {isOn ? <Numbers desk={desk} answer={answer} /> : null}
      {desk.can('set-mode') ? <Protect desk={desk} answer={answer} /> : null}
      <div class="card">
        <LookUps desk={desk} mode={status.mode} />
        {desk.can('set-families') && status.mode !== 'tunnel_only' ? (
          <Families desk={desk} answer={answer} />
        ) : null}
        {answer.hasEdge && desk.can('paths') && choiceOf(status.mode) !== 'look-ups' ? (
          <LinkRow
            label={words.home.from}
            {...pathLine(desk, answer)}
            opens="paths"
            onOpen={() => desk.open('paths')}
          />
        ) : null}
        {answer.hasEdge ? null : (
          <LinkRow label={words.screens.join} opens="join" onOpen={() => desk.open('join')} />
        )}
      </div>
      {isOn && desk.can('pause') ? (
        <p class="below">
          <button type="button" class="quiet" onClick={() => void desk.send('pause', { forMs: pauseMs })}>
            {words.home.pause}
          </button>
        </p>
      ) : null}
    </>
  );
}

function Protect({ desk, answer }: SettledProps): VNode {
  const { words } = desk;
  const [modes, setModes] = useState<readonly ModeEntry[]>([]);
  const isAsked = desk.can('modes');
  useEffect(() => {
    if (!isAsked) return;
    void desk.send('modes', {}).then((outcome) => outcome.ok && setModes(outcome.result.modes));
  }, [isAsked, answer.status.mode]);
  const isMissing = (mode: Mode): boolean => modes.some((entry) => entry.mode === mode && !entry.available);
  const option = (choice: ModeChoice, mode: Mode) => {
    const [label, hint] = words.home.modes[choice];
    const isDisabled = isMissing(mode) && choiceOf(answer.status.mode) !== choice;
    return { value: choice, label, hint: isDisabled ? words.home.cannotHere : hint, isDisabled };
  };
  return (
    <Choices
      legend={words.home.protect}
      value={choiceOf(answer.status.mode)}
      options={[option('everything', 'tunnel+doh'), option('look-ups', 'doh'), option('proxy', 'proxy')]}
      onChange={(choice) => void desk.send('set-mode', { mode: modeOf(choice) })}
    />
  );
}

function LookUps({ desk, mode }: ScreenProps & { readonly mode: Mode }): VNode {
  const { home } = desk.words;
  const choice = choiceOf(mode);
  const isOn = mode !== 'tunnel' && mode !== 'tunnel_only';
  const hint = isOn ? home.lookUpsOn : home.lookUpsOff;
  const hints = { everything: hint, 'look-ups': home.lookUpsAlways, proxy: home.lookUpsByEdge };
  return (
    <Check
      label={home.lookUps}
      hint={hints[choice]}
      isOn={isOn}
      isDisabled={choice !== 'everything' || !desk.can('set-mode')}
      onChange={(on) => void desk.send('set-mode', { mode: on ? 'tunnel+doh' : 'tunnel' })}
    />
  );
}

function Families({ desk, answer }: SettledProps): VNode {
  const { home } = desk.words;
  const options: readonly Family[] = ['off', 'malware', 'full'];
  const [chosen, setChosen] = useState<Family | undefined>(undefined);
  const ask = async (): Promise<void> => {
    const outcome = await desk.send('settings', {});
    const entry = outcome.ok ? outcome.result.find(({ name }) => name === 'dns.families') : undefined;
    setChosen(options.find((family) => family === entry?.value));
  };
  useEffect(() => {
    if (answer.status.dns === undefined && desk.can('settings')) void ask();
  }, [answer.status.dns === undefined]);
  return (
    <Pick
      legend={home.families}
      value={answer.status.dns?.families ?? chosen ?? 'off'}
      options={options.map((value) => ({ value, label: home.family[value] }))}
      onChange={(families) => {
        setChosen(families);
        void desk.send('set-families', { families });
      }}
    />
  );
}

function Numbers({ desk, answer }: SettledProps): VNode {
  const { words } = desk;
  const { status, network } = answer;
  const { rates } = desk.view;
  const ms = status.path?.rttMs ?? status.verified?.rttMs;
  const shownDelay = ms === undefined ? words.home.unknown : delay(words.tag, ms);
  return (
    <dl class="numbers">
      <div>
        <dt>{words.home.down}</dt>
        <dd>{bytes(words.tag, status.traffic.rxBytes)}</dd>
        <dd class="hint">{rate(words.tag, rates.down.at(-1) ?? 0)}</dd>
      </div>
      <div>
        <dt>{words.home.up}</dt>
        <dd>{bytes(words.tag, status.traffic.txBytes)}</dd>
        <dd class="hint">{rate(words.tag, rates.up.at(-1) ?? 0)}</dd>
      </div>
      <div>
        <dt>{network === undefined ? words.home.delay : words.home.network}</dt>
        <dd>{network ?? shownDelay}</dd>
        {network === undefined ? null : <dd class="hint">{shownDelay}</dd>}
      </div>
    </dl>
  );
}

function pathLine({ words }: Desk, { status }: Answer): { readonly value?: string } {
  const { path, edge } = status;
  if (path === undefined) return edge === undefined ? {} : { value: edge.name };
  const parts = [path.chosen === 'auto' ? `${path.id} (${words.home.fastest})` : path.id];
  if (path.rttMs !== undefined) parts.push(delay(words.tag, path.rttMs));
  return { value: parts.join(', ') };
}

function choiceOf(mode: Mode): ModeChoice {
  if (mode === 'proxy') return 'proxy';
  return mode === 'doh' || mode === 'dot' ? 'look-ups' : 'everything';
}

function modeOf(choice: ModeChoice): Mode {
  return ({ everything: 'tunnel+doh', 'look-ups': 'doh', proxy: 'proxy' } as const)[choice];
}
