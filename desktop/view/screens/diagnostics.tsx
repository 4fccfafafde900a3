// Help and details: what is the matter, the text for people who help, and words to whoever runs the server. Nothing
// leaves before the exact text was shown and a person pressed the button under it.
import type { VNode } from 'preact';
import { useId, useState } from 'preact/hooks';
import type { ScreenProps } from '../desk.ts';
import { Failure } from '../parts/failure.tsx';
import { LinkRow, Note } from '../parts/fields.tsx';
import { healthWords } from '../texts/language.ts';

/** As the daemon takes it. */
const longestWords = 4096;

export function Diagnostics({ desk }: ScreenProps): VNode {
  const { words, view } = desk;
  const [text, setText] = useState<string | undefined>(undefined);
  const answer = view.snapshot?.daemon === 'answers' ? view.snapshot : undefined;
  const health = answer?.status.health ?? [];
  return (
    <>
      <Failure desk={desk} />
      <section class="card">
        <h2>{words.diagnostics.health}</h2>
        {answer === undefined ? <p>{desk.face.words.sentence}</p> : null}
        {answer !== undefined && health.length === 0 ? <p>{words.diagnostics.fine}</p> : null}
        {health.map((item) => {
          const [what, remedy] = healthWords(words, item);
          return <Note key={item.code} severity={item.severity} text={what} remedy={remedy} />;
        })}
      </section>
      {desk.can('diagnostics') ? <Collect desk={desk} text={text} onText={setText} /> : null}
      {desk.can('send-feedback') && answer?.hasEdge === true ? <Feedback desk={desk} text={text} /> : null}
      <div class="card">
        <LinkRow label={words.screens.help} opens="help" onOpen={() => desk.open('help')} />
      </div>
    </>
  );
}

interface CollectProps extends ScreenProps {
  readonly text: string | undefined;
  readonly onText: (text: string) => void;
}

function Collect({ desk, text, onText }: CollectProps): VNode {
  const { diagnostics } = desk.words;
  const [isSaved, setSaved] = useState(false);
  const id = useId();
  const collect = async (): Promise<void> => {
    setSaved(false);
    const outcome = await desk.send('diagnostics', {});
    if (outcome.ok) onText(outcome.result.text);
  };
  return (
    <section class="card question">
      <p class="hint">{diagnostics.collectHint}</p>
      <button type="button" class="main" onClick={() => void collect()}>
        {diagnostics.collect}
      </button>
      {text === undefined ? null : (
        <>
          <label for={id}>{diagnostics.shown}</label>
          <textarea id={id} class="exact" readOnly rows={10} dir="ltr" value={text} />
          {desk.can('save-diagnostics') ? (
            <button
              type="button"
              class="quiet"
              onClick={() =>
                void desk
                  .send('save-diagnostics', { text })
                  .then((outcome) => setSaved(outcome.ok && outcome.result.saved))
              }
            >
              {diagnostics.save}
            </button>
          ) : null}
        </>
      )}
      <p role="status" class="hint">
        {isSaved ? diagnostics.saved : ''}
      </p>
    </section>
  );
}

function Feedback({ desk, text }: ScreenProps & { readonly text: string | undefined }): VNode {
  const { diagnostics } = desk.words;
  const [words, setWords] = useState('');
  const [isAttached, setAttached] = useState(false);
  const [sent, setSent] = useState<string | undefined>(undefined);
  const id = useId();
  const attached = isAttached && text !== undefined;
  const send = async (): Promise<void> => {
    const outcome = await desk.send('send-feedback', attached ? { words, diagnostics: text } : { words });
    if (!outcome.ok) return;
    setSent(outcome.result.id);
    setWords('');
  };
  return (
    <form
      class="card question"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <h2>{diagnostics.feedback}</h2>
      <p class="hint">{diagnostics.feedbackHint}</p>
      <label for={id}>{diagnostics.words}</label>
      <textarea
        id={id}
        rows={3}
        maxLength={longestWords}
        value={words}
        onInput={(event) => setWords(event.currentTarget.value)}
      />
      {text === undefined ? null : (
        <label class="attach">
          <input
            type="checkbox"
            checked={isAttached}
            onChange={(event) => setAttached(event.currentTarget.checked)}
          />
          {diagnostics.attach}
        </label>
      )}
      <p>{diagnostics.consent(attached)}</p>
      <button type="submit" class="main" disabled={words.trim() === ''}>
        {diagnostics.send}
      </button>
      <p role="status" class="hint">
        {sent === undefined ? '' : diagnostics.sent(sent)}
      </p>
    </form>
  );
}
