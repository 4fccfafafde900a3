// First run, and joining a server: a link or the picture of its code. Nothing is joined before a person was shown whose
// server it is and said yes.
import type { VNode } from 'preact';
import { useEffect, useId, useState } from 'preact/hooks';
import type { Invitation } from '../../bridge/ipc.ts';
import type { ScreenProps } from '../desk.ts';
import { Failure } from '../parts/failure.tsx';

export function Join({ desk }: ScreenProps): VNode {
  const { words, view } = desk;
  const fromOutside = view.snapshot?.app.invitation;
  const [invitation, setInvitation] = useState<Invitation | undefined>(fromOutside);
  const [isBusy, setBusy] = useState(false);
  useEffect(() => {
    if (fromOutside !== undefined) setInvitation(fromOutside);
  }, [fromOutside?.link]);
  const drop = (): void => {
    setInvitation(undefined);
    if (fromOutside !== undefined) void desk.send('drop-invitation', {});
  };
  const join = async (link: string): Promise<void> => {
    setBusy(true);
    const outcome = await desk.send('enroll', { link });
    setBusy(false);
    if (outcome.ok) desk.open('home');
    else setInvitation(undefined);
  };
  return (
    <>
      {invitation === undefined ? (
        <Ask desk={desk} onRead={setInvitation} />
      ) : (
        <section class="card question">
          <h2>{words.join.ask}</h2>
          <p class="server">
            <bdi>{invitation.server}</bdi>
          </p>
          <p>{words.join.trust}</p>
          <button
            type="button"
            class="main"
            disabled={isBusy}
            aria-busy={isBusy}
            onClick={() => void join(invitation.link)}
          >
            {words.join.yes}
          </button>
          <button type="button" class="quiet" disabled={isBusy} onClick={drop}>
            {words.join.no}
          </button>
        </section>
      )}
      <Failure desk={desk} />
      <p class="hint">{words.join.honest}</p>
    </>
  );
}

interface AskProps extends ScreenProps {
  readonly onRead: (invitation: Invitation) => void;
}

function Ask({ desk, onRead }: AskProps): VNode {
  const { words } = desk;
  const [link, setLink] = useState('');
  const [isUnreadable, setUnreadable] = useState(false);
  const id = useId();
  const read = async (text: string): Promise<void> => {
    const outcome = await desk.send('read-invitation', { link: text.trim() });
    if (outcome.ok) onRead(outcome.result);
  };
  const picture = async (file: File | undefined): Promise<void> => {
    if (file === undefined) return;
    const { textInPicture } = await import('../qr.ts');
    const text = await textInPicture(file);
    setUnreadable(text === undefined);
    if (text !== undefined) await read(text);
  };
  return (
    <>
      <p>{words.join.what}</p>
      <form
        class="card question"
        onSubmit={(event) => {
          event.preventDefault();
          void read(link);
        }}
      >
        <label for={id}>{words.join.link}</label>
        <input
          id={id}
          class="code"
          value={link}
          placeholder="culvert://"
          autocomplete="off"
          spellcheck={false}
          dir="ltr"
          aria-describedby={`${id}h`}
          onInput={(event) => setLink(event.currentTarget.value)}
        />
        <p class="hint" id={`${id}h`}>
          {words.join.hint}
        </p>
        <button type="submit" class="main" disabled={link.trim() === ''}>
          {words.join.next}
        </button>
        <label class="picture quiet">
          {words.join.image}
          <input
            class="for-ears"
            type="file"
            accept="image/*"
            onChange={(event) => void picture(event.currentTarget.files?.[0])}
          />
        </label>
        {isUnreadable ? <p role="alert">{words.join.noCode}</p> : null}
      </form>
      <Without desk={desk} />
    </>
  );
}

/** The way on for somebody without an invitation: private look-ups need no server. */
function Without({ desk }: ScreenProps): VNode | null {
  const { snapshot } = desk.view;
  if (snapshot?.daemon !== 'answers' || snapshot.hasEdge || !desk.can('set-mode')) return null;
  if (snapshot.status.mode === 'doh' || snapshot.status.mode === 'dot') return null;
  const goOn = async (): Promise<void> => {
    const outcome = await desk.send('set-mode', { mode: 'doh' });
    if (outcome.ok) desk.open('home');
  };
  return (
    <button type="button" class="quiet" onClick={() => void goOn()}>
      {desk.words.join.without}
    </button>
  );
}
