// About: versions, what stays when the window is closed, and where to read on.
import type { VNode } from 'preact';
import type { ScreenProps } from '../desk.ts';
import { LinkRow } from '../parts/fields.tsx';

export function About({ desk }: ScreenProps): VNode {
  const { words, view } = desk;
  const { snapshot } = view;
  const daemon = snapshot?.daemon === 'answers' ? snapshot.status.version : words.home.unknown;
  return (
    <>
      <dl class="card facts">
        <div>
          <dt>{words.about.app}</dt>
          <dd>{snapshot?.app.version ?? words.home.unknown}</dd>
        </div>
        <div>
          <dt>{words.about.background}</dt>
          <dd>{daemon}</dd>
        </div>
      </dl>
      <p>{words.about.stays}</p>
      <p>{words.join.honest}</p>
      <div class="card">
        <LinkRow label={words.screens.help} opens="help" onOpen={() => desk.open('help')} />
      </div>
    </>
  );
}
