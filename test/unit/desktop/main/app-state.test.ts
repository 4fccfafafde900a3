// The snapshot and its listeners: what the app itself remembers of a sign-in, and for how long.
import { expect, test } from 'vitest';
import { AppState } from '../../../../desktop/main/app-state.ts';
import { defaultChoices } from '../../../../desktop/main/choices.ts';
import { viewOf } from '../../../../desktop/main/daemon-view.ts';
import type { StateName } from '../../../../shared/core/control/status.ts';
import { statusOf } from '../../../support/statuses.ts';

test('remembers that a person went to sign in, until the network wants no sign-in any more', () => {
  const app = new AppState({ version: '1', choices: defaultChoices, unsupported: [] });
  const seen: (boolean | undefined)[] = [];
  app.onChange((snapshot) => seen.push(snapshot.app.wentToSignIn));
  const enter = (state: StateName): void =>
    app.setDaemon(viewOf({ answer: statusOf(state), mayChange: true }));

  enter('portal');
  app.setWentToSignIn();
  enter('portal');
  app.setDaemon({ daemon: 'absent' });
  enter('portal');
  enter('connecting');
  enter('portal');

  expect(seen).toEqual([undefined, true, true, true, true, undefined, undefined]);
});
