// The pages of help that the window may ask for. The window names a topic; the address stands here and nowhere else.
// Pure.
import type { Topic } from '../bridge/ipc.ts';

const pages: Readonly<Record<Topic, string>> = {
  help: 'help',
  privacy: 'privacy',
  'own-edge': 'own-edge',
  licences: 'licences',
};

/**
 * The address of a topic below the project's home page (`homepage` in package.json). Undefined where the project names
 * none, or not an https one: then the window offers no help pages.
 */
export function topicAddress(topic: Topic, homepage: string | undefined): string | undefined {
  if (homepage === undefined || !/^https:\/\/[^/\s]+/.test(homepage)) return undefined;
  return `${homepage.replace(/\/+$/, '')}/${pages[topic]}`;
}
