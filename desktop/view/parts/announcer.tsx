// Says a new state to screen readers, after it has lasted half a second. Numbers are never said.
import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Face } from '../face.ts';

const settleMs = 500;

export function Announcer({ face }: { readonly face: Face }): VNode {
  const [said, setSaid] = useState<{ readonly text: string; readonly isAlarm: boolean } | undefined>(
    undefined,
  );
  const text = `${face.words.heading}. ${face.words.sentence}`;
  useEffect(() => {
    if (document.hidden) return;
    const timer = setTimeout(() => setSaid({ text, isAlarm: face.isAlarm }), settleMs);
    return () => clearTimeout(timer);
  }, [face.kind]);
  return (
    <div class="for-ears">
      <p role="status">{said?.isAlarm === false ? said.text : ''}</p>
      <p role="alert">{said?.isAlarm === true ? said.text : ''}</p>
    </div>
  );
}
