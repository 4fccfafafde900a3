// The card that says, in plain rows, what others on this network can see now.
import type { VNode } from 'preact';
import type { Desk } from '../desk.ts';
import { sightsOf } from '../sights.ts';
import type { Seen, Sight } from '../texts/catalogue.ts';

const order: readonly Sight[] = ['names', 'addresses', 'content', 'amount'];
/** An eye, open or struck through; half for a part, a question mark for the unknown. */
const marks: Readonly<Record<Seen, string>> = {
  visible: 'M3 12q9-11 18 0-9 11-18 0zM12 9.5a2.5 2.5 0 1 0 .01 0',
  hidden: 'M3 12q9-11 18 0-9 11-18 0zM4 20 20 4',
  partly: 'M3 12q9-11 18 0M12 9.5a2.5 2.5 0 1 0 .01 0',
  unknown: 'M9 9a3 3 0 1 1 4 3c-.8.5-1 1-1 2M12 17v.5',
};

export function Sights({ desk }: { readonly desk: Desk }): VNode {
  const { sees, leaving } = desk.words;
  const { snapshot } = desk.view;
  const network = (snapshot?.daemon === 'answers' ? snapshot.network : undefined) ?? leaving.thisNetwork;
  const sights = sightsOf(snapshot);
  return (
    <details class="card sights">
      <summary>{sees.heading}</summary>
      <p class="hint">{sees.who(network)}</p>
      <ul>
        {order.map((sight) => (
          <li key={sight} class={`sight sight-${sights[sight]}`}>
            <svg viewBox="0 0 24 24" aria-hidden="true">
              <path d={marks[sights[sight]]} />
            </svg>
            <span class="row-text">{sees.sights[sight]}</span>
            <strong>{sees.seen[sights[sight]]}</strong>
          </li>
        ))}
      </ul>
      <p class="hint">{sees.always}</p>
    </details>
  );
}
