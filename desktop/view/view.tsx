// The entry of the page: joins the app to the bridge that the preload script put on the window, and to the browser.
import { render } from 'preact';
import type { Bridge } from '../bridge/ipc.ts';
import { App } from './app.tsx';
import type { Page } from './feed.ts';

const page: Page = {
  isHidden: () => document.hidden,
  onVisibility: (changed) => {
    document.addEventListener('visibilitychange', changed);
    return () => document.removeEventListener('visibilitychange', changed);
  },
  now: () => performance.now(),
  wall: () => Date.now(),
  every: (ms, tick) => {
    const timer = setInterval(tick, ms);
    return () => clearInterval(timer);
  },
};

const { culvert } = globalThis as unknown as { readonly culvert: Bridge };
const root = document.querySelector('#app');
if (root !== null) {
  render(<App bridge={culvert} page={page} systemLanguage={navigator.language} />, root);
}
