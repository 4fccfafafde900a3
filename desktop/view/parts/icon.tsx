// The big round picture of a state. Each meaning has a shape of its own, so that colour is never the only difference.
import type { VNode } from 'preact';
import type { Icon, Tone } from '../face.ts';

/** Outlines on a grid of 24, drawn with a stroke. */
const lines: Readonly<Record<Icon, readonly string[]>> = {
  'lock-open': ['M6 11h12v9H6z', 'M9 11V7a3.5 3.5 0 0 1 6.8-1.2', 'M12 14.5v2'],
  'lock-dotted': ['M6 11h12v9H6z', 'M8.5 11V7.5a3.5 3.5 0 0 1 7 0V11'],
  'lock-closed': ['M6 11h12v9H6z', 'M8.5 11V7.5a3.5 3.5 0 0 1 7 0V11', 'M9.5 15.5l2 2 3.5-3.5'],
  'lock-part': ['M6 11h12v9H6z', 'M8.5 11V7.5a3.5 3.5 0 0 1 7 0V11', 'M12 11v9', 'M8 14h2M8 17h2'],
  names: ['M4 12a8 8 0 1 0 16 0 8 8 0 1 0-16 0', 'M4.5 9.5h15M4.5 14.5h15', 'M8.5 12l2.5 2.5 5-5.5'],
  clock: ['M4 12a8 8 0 1 0 16 0 8 8 0 1 0-16 0', 'M12 7v5l3.5 2'],
  house: ['M4 11.5 12 5l8 6.5', 'M6.5 10v9h11v-9', 'M10.5 19v-5h3v5'],
  bars: ['M5 5h14v14H5z', 'M9 5v14M12 5v14M15 5v14'],
  door: ['M7 20V4.5h10V20', 'M4.5 20h15', 'M14 12v1.5'],
  pause: ['M12 3.5l7 2.5v5.5c0 4.3-2.9 7.4-7 9-4.1-1.6-7-4.7-7-9V6z', 'M10 9v6M14 9v6'],
  broken: ['M12 4 21 20H3z', 'M12 10v4.5M12 17v.5'],
  'no-signal': ['M4 9.5a12 12 0 0 1 16 0', 'M7.5 13.5a7 7 0 0 1 9 0', 'M12 18v.5', 'M4.5 4.5l15 15'],
  question: [
    'M4 12a8 8 0 1 0 16 0 8 8 0 1 0-16 0',
    'M9.7 9.6a2.4 2.4 0 1 1 3.4 2.4c-.8.5-1.1 1-1.1 1.8',
    'M12 16.4v.4',
  ],
  key: ['M4.5 15a3.5 3.5 0 1 0 7 0 3.5 3.5 0 1 0-7 0', 'M10.5 12.5 18 5M15 8l2.5 2.5'],
  arrows: ['M19 11a7 7 0 0 0-12.5-3.5', 'M6 4v4h4', 'M5 13a7 7 0 0 0 12.5 3.5', 'M18 20v-4h-4'],
};

export function StateIcon({ icon, tone }: { readonly icon: Icon; readonly tone: Tone }): VNode {
  return (
    <div class={`halo halo-${tone}`} data-icon={icon} aria-hidden="true">
      <svg viewBox="0 0 24 24" class={icon === 'lock-dotted' ? 'line dotted' : 'line'}>
        {lines[icon].map((path) => (
          <path key={path} d={path} />
        ))}
      </svg>
    </div>
  );
}
