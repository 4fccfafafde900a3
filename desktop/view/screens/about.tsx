// About: versions, what stays when the window is closed, and where to read on.
import type { VNode } from 'preact';
import type { Topic } from '../../bridge/ipc.ts';
import type { ScreenProps } from '../desk.ts';
import { LinkRow } from '../parts/fields.tsx';

const topics: readonly Topic[] = ['help', 'privacy', 'own-edge', 'licences'];

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
      {desk.can('open-topic') ? (
        <div class="card">
          {topics.map((topic) => (
            <LinkRow
              key={topic}
              label={words.about.topics[topic]}
              onOpen={() => void desk.send('open-topic', { topic })}
            />
          ))}
        </div>
      ) : null}
    </>
  );
}
