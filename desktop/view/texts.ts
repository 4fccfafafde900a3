// The sentences that only the window needs, in English: its buttons, and what it says when the daemon says nothing.
// The words for a state come with the status, from the catalogue that command line and desktop share.
import type { TextKey, Words } from '../../shared/core/control/texts.ts';

/** What a person can do in a state. One main button at most; where there is one, the big switch is hidden. */
export interface Buttons {
  readonly main?: string;
  /** A smaller way out beside it. */
  readonly link?: string;
}

const onlyTheSwitch: Buttons = {};

export const buttons: Readonly<Record<TextKey, Buttons>> = {
  off: onlyTheSwitch,
  enrolling: onlyTheSwitch,
  connecting: onlyTheSwitch,
  connected: onlyTheSwitch,
  'connected-proxy': onlyTheSwitch,
  'connected-split': onlyTheSwitch,
  dns: onlyTheSwitch,
  portal: { main: 'Open the sign-in page', link: 'Turn off protection' },
  waiting: { link: 'Use internet without protection' },
  blocked: { link: 'Use internet without protection' },
  disconnecting: onlyTheSwitch,
};

export type WindowState = 'no-service' | 'no-permission' | 'update-needed' | 'first-run';

/** States of the window itself. Nothing here may say that the internet is private: the window does not know. */
export const windowTexts: Readonly<Record<WindowState, Words & Buttons>> = {
  'no-service': {
    heading: 'Culvert is not running',
    sentence: 'The part that protects you has stopped. We do not know if your internet is private.',
    main: 'Start it again',
  },
  'no-permission': {
    heading: 'Your account cannot change this yet',
    sentence: 'Your account needs permission first. You are asked for it once.',
    main: 'Allow my account',
  },
  'update-needed': {
    heading: 'Restart to finish the update',
    sentence: 'Protection keeps working until then.',
    main: 'Later',
  },
  'first-run': {
    heading: 'Add this device',
    sentence: 'Open your invitation link, or paste it here.',
    main: 'Continue',
  },
};

/** Said once in the first run, and in Help. */
export const honestLine =
  'Whoever runs your edge can see what an internet provider could see. Sites you sign in to still know you.';
