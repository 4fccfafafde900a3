// Switches, choices, rows and notes. They hold no state: what they show is what they are given.
import type { ComponentChildren, VNode } from 'preact';
import { useId } from 'preact/hooks';
import type { ScreenName } from '../texts/catalogue.ts';

export interface BigSwitchProps {
  readonly label: string;
  readonly isOn: boolean;
  /** What is wished is so. Only then it has the colour of what is private. */
  readonly isTrue: boolean;
  readonly onChange: (on: boolean) => void;
}

/** The one control of the home screen: `isOn` is the wish; whether it is true says the heading above. */
export function BigSwitch({ label, isOn, isTrue, onChange }: BigSwitchProps): VNode {
  return (
    <button
      type="button"
      role="switch"
      class={isTrue ? 'big-switch true' : 'big-switch'}
      aria-checked={isOn}
      aria-label={label}
      onClick={() => onChange(!isOn)}
    >
      <span class="knob" />
    </button>
  );
}

export interface CheckProps {
  readonly label: string;
  readonly hint?: string;
  readonly isOn: boolean;
  readonly isDisabled?: boolean;
  readonly onChange: (on: boolean) => void;
}

/** A row with a small switch at its end. */
export function Check({ label, hint, isOn, isDisabled = false, onChange }: CheckProps): VNode {
  const id = useId();
  return (
    <label class="row" for={id}>
      <span class="row-text">
        <span>{label}</span>
        {hint === undefined ? null : (
          <span class="hint" id={`${id}h`}>
            {hint}
          </span>
        )}
      </span>
      <input
        id={id}
        type="checkbox"
        role="switch"
        class="check"
        checked={isOn}
        disabled={isDisabled}
        {...(hint === undefined ? {} : { 'aria-describedby': `${id}h` })}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
    </label>
  );
}

export interface Option<Value extends string> {
  readonly value: Value;
  readonly label: string;
  readonly hint?: string;
  readonly isDisabled?: boolean;
}

export interface ChoicesProps<Value extends string> {
  readonly legend: string;
  readonly options: readonly Option<Value>[];
  readonly value: Value | undefined;
  readonly onChange: (value: Value) => void;
}

/** One of a few, all of them seen. Arrow keys move as in every group of radio buttons. */
export function Choices<Value extends string>(props: ChoicesProps<Value>): VNode {
  const id = useId();
  return (
    <fieldset class="card choices">
      <legend>{props.legend}</legend>
      {props.options.map(({ value, label, hint, isDisabled = false }) => (
        <label class="row" key={value} for={`${id}${value}`}>
          <input
            type="radio"
            name={id}
            id={`${id}${value}`}
            value={value}
            checked={value === props.value}
            disabled={isDisabled}
            onChange={() => props.onChange(value)}
          />
          <span class="row-text">
            <span>{label}</span>
            {hint === undefined ? null : <span class="hint">{hint}</span>}
          </span>
        </label>
      ))}
    </fieldset>
  );
}

/** One of a few, the others folded away. */
export function Pick<Value extends string>(props: ChoicesProps<Value>): VNode {
  const id = useId();
  return (
    <label class="row row-wrap" for={id}>
      <span class="row-text">{props.legend}</span>
      <select
        id={id}
        value={props.value}
        onChange={(event) => {
          const chosen = props.options.find(({ value }) => value === event.currentTarget.value);
          if (chosen !== undefined) props.onChange(chosen.value);
        }}
      >
        {props.options.map(({ value, label }) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </label>
  );
}

export interface EntryProps {
  readonly label: string;
  readonly hint?: string;
  /** What its button says; with `onAct`, or neither. */
  readonly action?: string;
  readonly onAct?: () => void;
}

/** A line of a list, with a button at its end where something can be done about it. */
export function Entry({ label, hint, action, onAct }: EntryProps): VNode {
  return (
    <div class="row row-wrap">
      <span class="row-text">
        <span dir="auto">{label}</span>
        {hint === undefined ? null : <span class="hint">{hint}</span>}
      </span>
      {action === undefined ? null : (
        <button type="button" class="small" aria-label={`${action}: ${label}`} onClick={onAct}>
          {action}
        </button>
      )}
    </div>
  );
}

export interface LinkRowProps {
  readonly label: string;
  readonly value?: string;
  /** The screen it leads to: coming back from there, the keyboard is here again. */
  readonly opens?: ScreenName;
  readonly onOpen: () => void;
}

/** A row that leads to another screen. */
export function LinkRow({ label, value, opens, onOpen }: LinkRowProps): VNode {
  return (
    <button type="button" class="row row-link" data-opens={opens} onClick={onOpen}>
      <span class="row-text">
        <span>{label}</span>
        {value === undefined ? null : <span class="hint">{value}</span>}
      </span>
      <svg class="chevron" viewBox="0 0 24 24" aria-hidden="true">
        <path d="M9 5l7 7-7 7" />
      </svg>
    </button>
  );
}

export interface NoteProps {
  readonly severity: 'notice' | 'warning' | 'error';
  readonly text: string;
  readonly remedy: string;
  readonly children?: ComponentChildren;
}

/** What is the matter, and what to do. Its mark has another shape for each weight. */
export function Note({ severity, text, remedy, children }: NoteProps): VNode {
  const mark = {
    notice: 'M12 7v.5M12 11v6',
    warning: 'M12 4 21 20H3zM12 10v5M12 17v.5',
    error: 'M6 6l12 12M18 6 6 18',
  };
  return (
    <div class={`note note-${severity}`}>
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <path d={mark[severity]} />
      </svg>
      <p>
        <strong>{text}</strong> {remedy}
        {children}
      </p>
    </div>
  );
}
