// Help: how it works, and every message with what to do. All of it is in the catalogue: nothing is fetched.
import type { VNode } from 'preact';
import type { ScreenProps } from '../desk.ts';
import type { Pair } from '../texts/catalogue.ts';

export function Help({ desk }: ScreenProps): VNode {
  const { help, health, errors } = desk.words;
  const messages = Object.entries({ ...errors, ...health } as Readonly<Record<string, Pair>>);
  return (
    <>
      <section class="card">
        {help.topics.map(([question, answer]) => (
          <details class="topic" key={question}>
            <summary>{question}</summary>
            <p>{answer}</p>
          </details>
        ))}
      </section>
      <section class="card">
        <details class="topic">
          <summary>{help.messages}</summary>
          <p class="hint">{help.messagesHint}</p>
          <dl class="messages">
            {messages.map(([code, [what, remedy]]) => (
              <div key={code}>
                <dt>{what}</dt>
                <dd>{remedy}</dd>
                <dd class="hint">
                  <code dir="ltr">{code}</code>
                </dd>
              </div>
            ))}
          </dl>
        </details>
      </section>
    </>
  );
}
