// Asks once before a closed network is opened while protection is broken. The safe answer is the one that Enter gives.
import type { VNode } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Catalogue } from '../texts/catalogue.ts';

export interface LeavingProps {
  readonly words: Catalogue;
  readonly network: string | undefined;
  readonly onKeep: () => void;
  readonly onLeave: () => void;
}

export function Leaving({ words, network, onKeep, onLeave }: LeavingProps): VNode {
  const dialog = useRef<HTMLDialogElement>(null);
  const { leaving } = words;
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby="leaving" onCancel={onKeep}>
      <h2 id="leaving">{leaving.heading}</h2>
      <p>{leaving.sentence(network ?? leaving.thisNetwork)}</p>
      <button type="button" class="main" onClick={onKeep} autofocus>
        {leaving.keep}
      </button>
      <button type="button" class="quiet" onClick={onLeave}>
        {leaving.leave}
      </button>
    </dialog>
  );
}
