// What each call becomes: one route of the control API, or one thing of the system, or a refusal with its code.
import { describe, expect, test } from 'vitest';
import type { CommandName } from '../../../../desktop/bridge/ipc.ts';
import {
  type DaemonCalls,
  Desk,
  type Hands,
  signInAddress,
  unsupportedWith,
} from '../../../../desktop/main/commands.ts';
import { CulvertError } from '../../../../shared/core/control/codes.ts';
import { invitationLink } from '../../../support/invitations.ts';

const answers: Readonly<Record<string, unknown>> = {
  enroll: { edge: { name: 'home' } },
  diagnosis: { text: 'all of it' },
  sendFeedback: { id: 'f1' },
  paths: { edge: 'home', paths: [], chosen: 'auto' },
  usePath: { edge: 'home', paths: [], chosen: 'fra' },
  openPortal: { detection: true, ignored: false, portal: { url: 'http://probe.example/' } },
};

function desk(hands: Hands = {}, fail?: Error): { desk: Desk; called: unknown[][] } {
  const called: unknown[][] = [];
  const daemon: DaemonCalls = {
    call: async (...words) => {
      called.push(words.filter((word) => word !== undefined));
      if (fail !== undefined) throw fail;
      return (answers[words[0]] ?? {}) as never;
    },
  };
  return { desk: new Desk(daemon, hands), called };
}

const link = invitationLink('edge.example', 443);

describe('the desk', () => {
  test.each<[CommandName, object, unknown[], unknown]>([
    ['connect', {}, ['connect', {}], undefined],
    ['disconnect', {}, ['disconnect'], undefined],
    ['pause', { forMs: 1000 }, ['pause', { forMs: 1000 }], undefined],
    ['set-mode', { mode: 'doh' }, ['changeSettings', { mode: 'doh' }], undefined],
    ['set-families', { families: 'full' }, ['changeSettings', { 'dns.families': 'full' }], undefined],
    ['set-setting', { name: 'edge', value: null }, ['changeSettings', { edge: null }], {}],
    ['settings', {}, ['settings'], {}],
    ['modes', {}, ['modes'], {}],
    ['paths', {}, ['paths'], answers['paths']],
    ['use-path', { path: 'fra' }, ['usePath', { path: 'fra' }], answers['usePath']],
    ['not-a-portal', {}, ['ignorePortal'], undefined],
    ['diagnostics', {}, ['diagnosis'], { text: 'all of it' }],
    ['send-feedback', { words: 'Hi' }, ['sendFeedback', { words: 'Hi' }], { id: 'f1' }],
    ['enroll', { link }, ['enroll', { link }], { edge: 'home' }],
  ])('makes of %s %j the call %j', async (name, fields, call, result) => {
    const { desk: taken, called } = desk();

    expect(await taken.take(name, fields)).toEqual({ ok: true, result });
    expect(called).toEqual([call]);
  });

  test('gives back the code, the sentence and the remedy of the daemon', async () => {
    const { desk: taken } = desk({}, new CulvertError('no-edge'));

    expect(await taken.take('connect', {})).toEqual({
      ok: false,
      code: 'no-edge',
      text: 'No edge is known yet.',
      remedy: expect.stringContaining('culvert enroll'),
    });
  });

  test('calls whatever else goes wrong a bug, and does not throw', async () => {
    const { desk: taken } = desk({}, new TypeError('x is not y'));

    expect(await taken.take('connect', {})).toMatchObject({ ok: false, code: 'internal' });
  });

  test('does nothing for a call that does not fit', async () => {
    const { desk: taken, called } = desk();

    expect(await taken.take('use-path', { path: '../..' })).toMatchObject({ ok: false, code: 'bad-request' });
    expect(called).toEqual([]);
  });

  test('reads an invitation without using it', async () => {
    const { desk: taken, called } = desk();

    expect(await taken.take('read-invitation', { link })).toEqual({
      ok: true,
      result: { server: 'edge.example:443', link },
    });
    expect(called).toEqual([]);
  });

  test('lets a text that is no invitation go nowhere', async () => {
    const { desk: taken, called } = desk();

    expect(await taken.take('enroll', { link: 'https://edge.example/join' })).toMatchObject({
      ok: false,
      code: 'bad-invite',
    });
    expect(called).toEqual([]);
  });

  test('answers what the system cannot do, and says so beforehand', async () => {
    const { desk: taken } = desk();

    expect(await taken.take('start-daemon', {})).toEqual({ ok: false, code: 'unsupported' });
    expect(unsupportedWith({ startDaemon: async () => undefined, hideWindow: () => undefined })).toEqual([
      'set-choice',
      'save-diagnostics',
      'allow-account',
      'open-sign-in',
    ]);
  });

  test('opens the sign-in page that the daemon names, once the way to it is open', async () => {
    const opened: string[] = [];
    const { desk: taken, called } = desk({
      openSignIn: async (address) => void opened.push(address),
      wentToSignIn: () => void opened.push('went'),
    });

    await taken.take('open-sign-in', {});

    expect(called).toEqual([['openPortal']]);
    expect(opened).toEqual(['http://probe.example/', 'went']);
  });

  test('leads nobody to a sign-in page that cannot be opened', async () => {
    let went = 0;
    const openSignIn = async (): Promise<void> => {
      throw new Error('no browser');
    };
    const { desk: taken } = desk({ openSignIn, wentToSignIn: () => void went++ });

    expect(await taken.take('open-sign-in', {})).toMatchObject({ ok: false });
    expect(went).toBe(0);
  });

  test.each([
    'https://portal.example/',
    'file:///etc/passwd',
    'http://user:word@portal.example/',
    'steam://run',
    'x',
  ])('opens no %s', (address) => {
    expect(signInAddress(address)).toBeUndefined();
  });
});
