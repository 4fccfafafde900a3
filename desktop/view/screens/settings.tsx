// Settings: what belongs to the app first, then the daemon's list in groups, experts' things folded away.
import type { VNode } from 'preact';
import { useEffect, useId, useState } from 'preact/hooks';
import type { SettingEntry, SettingValue } from '../../../shared/core/control/api.ts';
import type { Choice } from '../../bridge/ipc.ts';
import type { Desk, ScreenProps } from '../desk.ts';
import { Failure } from '../parts/failure.tsx';
import { Check, LinkRow, Pick } from '../parts/fields.tsx';

type Group = 'general' | 'dns' | 'proxy' | 'advanced';
const groups: readonly Group[] = ['general', 'dns', 'proxy', 'advanced'];

/** Chosen on the home screen, lists with screens or commands of their own, and what no window may show. */
const elsewhere: readonly string[] = ['mode', 'edge', 'dns.families', 'trusted.networks', 'proxy.password'];
const simple: readonly string[] = ['autoConnect', 'lockdown', 'guardian', 'trusted.wired'];
const simpleDns: readonly string[] = [
  'dns.upstreams',
  'dns.block',
  'dns.allow',
  'dns.rebindProtection',
  'dns.guardPort53',
];
const longestValue = 1024;

export function Settings({ desk }: ScreenProps): VNode {
  const { words } = desk;
  const [entries, setEntries] = useState<readonly SettingEntry[]>([]);
  const isOffered = desk.can('settings') && desk.view.snapshot?.daemon === 'answers';
  useEffect(() => {
    if (!isOffered) return;
    void desk.send('settings', {}).then((outcome) => outcome.ok && setEntries(outcome.result));
  }, [isOffered]);
  const set = async (name: string, value: SettingValue | null): Promise<boolean> => {
    const outcome = await desk.send('set-setting', { name, value });
    if (outcome.ok) setEntries(outcome.result);
    return outcome.ok;
  };
  return (
    <>
      <Failure desk={desk} />
      <AppChoices desk={desk} />
      {groups.map((group) => {
        const own = entries.filter((entry) => groupOf(entry.name) === group);
        if (own.length === 0) return null;
        const rows = own.map((entry) => <Setting key={entry.name} desk={desk} entry={entry} set={set} />);
        const title = words.settings.groups[group];
        return group === 'advanced' ? (
          <details class="card" key={group}>
            <summary>{title}</summary>
            {rows}
          </details>
        ) : (
          <section class="card" key={group}>
            <h2>{title}</h2>
            {rows}
          </section>
        );
      })}
      <div class="card">
        {isOffered ? (
          <LinkRow label={words.screens.networks} opens="networks" onOpen={() => desk.open('networks')} />
        ) : null}
        <LinkRow label={words.screens.join} opens="join" onOpen={() => desk.open('join')} />
        <LinkRow
          label={words.screens.diagnostics}
          opens="diagnostics"
          onOpen={() => desk.open('diagnostics')}
        />
        <LinkRow label={words.screens.help} opens="help" onOpen={() => desk.open('help')} />
        <LinkRow label={words.screens.about} opens="about" onOpen={() => desk.open('about')} />
      </div>
    </>
  );
}

function AppChoices({ desk }: ScreenProps): VNode | null {
  const { settings } = desk.words;
  const choices = desk.view.snapshot?.app.choices;
  if (choices === undefined || !desk.can('set-choice')) return null;
  const send = (choice: Choice): void => void desk.send('set-choice', choice);
  return (
    <section class="card">
      <h2>{settings.app}</h2>
      {choices.startAtLogin === undefined ? null : (
        <Check
          label={settings.startAtLogin}
          isOn={choices.startAtLogin}
          onChange={(value) => send({ name: 'startAtLogin', value })}
        />
      )}
      {choices.notifications === undefined ? null : (
        <Check
          label={settings.notifications}
          isOn={choices.notifications}
          onChange={(value) => send({ name: 'notifications', value })}
        />
      )}
      {choices.theme === undefined ? null : (
        <Pick
          legend={settings.theme}
          value={choices.theme}
          options={(['system', 'light', 'dark'] as const).map((value) => ({
            value,
            label: settings.themes[value],
          }))}
          onChange={(value) => send({ name: 'theme', value })}
        />
      )}
      {choices.language === undefined ? null : (
        <Pick
          legend={settings.language}
          value={choices.language}
          options={[
            { value: 'system' as const, label: settings.systemLanguage },
            { value: 'en' as const, label: languageName('en') },
            { value: 'de' as const, label: languageName('de') },
          ]}
          onChange={(value) => send({ name: 'language', value })}
        />
      )}
    </section>
  );
}

interface SettingProps extends ScreenProps {
  readonly entry: SettingEntry;
  readonly set: (name: string, value: SettingValue | null) => Promise<boolean>;
}

function Setting({ desk, entry, set }: SettingProps): VNode {
  const label = labelOf(desk, entry);
  const choices = desk.words.settings.choices[entry.name];
  if (choices !== undefined) {
    return (
      <Pick
        legend={label}
        value={String(entry.value)}
        options={Object.entries(choices).map(([value, text]) => ({ value, label: text }))}
        onChange={(value) => void set(entry.name, value)}
      />
    );
  }
  if (typeof entry.value !== 'boolean') return <TextSetting desk={desk} entry={entry} set={set} />;
  return <Check label={label} isOn={entry.value} onChange={(on) => void set(entry.name, on)} />;
}

function TextSetting({ desk, entry, set }: SettingProps): VNode {
  const { settings } = desk.words;
  const shown = String(entry.value);
  const [text, setText] = useState(shown);
  const [isSaved, setSaved] = useState(false);
  const id = useId();
  useEffect(() => setText(shown), [shown]);
  const save = async (value: SettingValue | null): Promise<void> => setSaved(await set(entry.name, value));
  return (
    <form
      class="row row-wrap"
      onSubmit={(event) => {
        event.preventDefault();
        void save(typeof entry.value === 'number' ? Number(text) : text);
      }}
    >
      <label class="row-text" for={id}>
        {labelOf(desk, entry)}
      </label>
      <input
        id={id}
        value={text}
        maxLength={longestValue}
        spellcheck={false}
        dir="ltr"
        onInput={(event) => {
          setText(event.currentTarget.value);
          setSaved(false);
        }}
      />
      {text === shown ? null : (
        <button type="submit" class="small">
          {settings.save}
        </button>
      )}
      {entry.value === entry.default ? null : (
        <button type="button" class="small" onClick={() => void save(null)}>
          {settings.reset}
        </button>
      )}
      <span role="status" class="hint">
        {isSaved ? settings.saved : ''}
      </span>
    </form>
  );
}

function labelOf({ words }: Desk, entry: SettingEntry): string {
  return words.settings.names[entry.name] ?? `${entry.name}: ${(words.respell ?? String)(entry.text)}`;
}

function groupOf(name: string): Group | undefined {
  if (elsewhere.includes(name)) return undefined;
  if (simple.includes(name)) return 'general';
  if (simpleDns.includes(name)) return 'dns';
  return name.startsWith('proxy.') ? 'proxy' : 'advanced';
}

/** A language in its own words. */
function languageName(tag: string): string {
  return new Intl.DisplayNames(tag, { type: 'language' }).of(tag) ?? tag;
}
