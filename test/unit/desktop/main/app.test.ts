// The app's main process on the stand-in for Electron, without a browser: how it starts, what it refuses, what it lets
// in, and that nothing gets out of its page.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { channels } from '../../../../desktop/bridge/channels.ts';
import { type App, type AppOptions, startApp } from '../../../../desktop/main/app.ts';
import { quietFlag } from '../../../../desktop/main/autostart.ts';
import type { Control } from '../../../../desktop/main/daemon-link.ts';
import { contentSecurityPolicy, pageOrigin, windowFlags } from '../../../../desktop/main/security.ts';
import { CulvertError } from '../../../../shared/core/control/codes.ts';
import { type Harness, type StandInOptions, standInElectron } from '../../../support/electron-stand-in.ts';
import { invitationLink } from '../../../support/invitations.ts';
import { statusOf } from '../../../support/statuses.ts';

const link = invitationLink('edge.example', 443);
const ends: (() => void)[] = [];

afterEach(() => {
  for (const end of ends.splice(0)) end();
});

interface Started {
  readonly harness: Harness;
  readonly app: App | undefined;
  readonly folder: string;
  readonly called: unknown[][];
  send(name: string, fields: object): Promise<unknown>;
}

async function start(
  wish: Partial<AppOptions> = {},
  standIn: Partial<StandInOptions> = {},
): Promise<Started> {
  const folder = mkdtempSync(join(tmpdir(), 'culvert-main-'));
  mkdirSync(join(folder, 'view'));
  for (const name of ['page.html', 'view.js', 'view.css', 'qr.js'])
    writeFileSync(join(folder, 'view', name), name);
  const called: unknown[][] = [];
  const control: Control = {
    call: async (...words) => {
      called.push(words.filter((word) => word !== undefined));
      return (
        words[0] === 'status' ? statusOf('off', { edge: { name: 'home', transport: 'udp' } }) : {}
      ) as never;
    },
    events: async function* (signal) {
      yield statusOf('off', { edge: { name: 'home', transport: 'udp' } });
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    },
  };
  const harness = standInElectron({ userData: join(folder, 'user'), ...standIn });
  const app = await startApp({
    electron: harness.electron,
    facts: {
      platform: 'linux',
      env: { XDG_CONFIG_HOME: join(folder, 'config') },
      home: folder,
      ownWords: ['/opt/culvert/culvert-desktop'],
      account: 'somebody',
      launcher: undefined,
      socket: '/run/none/control.sock',
    },
    words: [],
    isRoot: false,
    pageFolder: join(folder, 'view'),
    preload: '/opt/culvert/preload.cjs',
    version: '1.2.3',
    link: {
      places: [{ control: 'c', status: 's' }],
      connect: () => control,
      wait: (_ms, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())),
    },
    now: () => 0,
    ...wish,
  });
  ends.push(() => {
    app?.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const send = (name: string, fields: object): Promise<unknown> =>
    harness.invokeFrom({ contentsId: 1, origin: pageOrigin }, channels.send, name, fields);
  return { harness, app, folder, called, send };
}

describe('the start', () => {
  test('is refused to root, and says why', async () => {
    const { harness, app } = await start({ isRoot: true });

    expect(app).toBeUndefined();
    expect(harness.boxes).toEqual(['Culvert does not run as root']);
    expect(harness.exits).toEqual([1]);
    expect(harness.windows).toEqual([]);
  });

  test('leaves the window to the first of two', async () => {
    const { harness, app } = await start({}, { isFirst: false });

    expect(app).toBeUndefined();
    expect(harness.windows).toEqual([]);
  });

  test('puts every page into a sandbox, before anything is shown', async () => {
    const { harness } = await start();
    const [window] = harness.windows;

    expect(harness.isSandboxed).toBe(true);
    expect(harness.privileged).toMatchObject([
      { scheme: 'app', privileges: { standard: true, secure: true } },
    ]);
    expect(window?.wish.webPreferences).toMatchObject({
      ...windowFlags,
      preload: '/opt/culvert/preload.cjs',
    });
    expect(window?.url).toBe(`${pageOrigin}/page.html`);
  });

  test('opens no window where the session starts it', async () => {
    expect((await start({ words: [quietFlag] })).harness.windows).toEqual([]);
    expect((await start({ words: [quietFlag, link] })).harness.windows).toHaveLength(1);
  });
});

describe('the page', () => {
  test('comes with the policy, from a list of files, by GET alone', async () => {
    const { harness } = await start();
    const page = await harness.request('GET', `${pageOrigin}/page.html`);

    expect(page?.status).toBe(200);
    expect(page?.headers.get('content-security-policy')).toBe(contentSecurityPolicy);
    expect((await harness.request('GET', `${pageOrigin}/view.js`))?.headers.get('content-type')).toMatch(
      /javascript/,
    );
    expect((await harness.request('GET', `${pageOrigin}/../user/choices.json`))?.status).toBe(404);
    expect((await harness.request('GET', `${pageOrigin}/`))?.status).toBe(404);
    expect((await harness.request('POST', `${pageOrigin}/page.html`))?.status).toBe(404);
  });

  test.each([
    'https://example.com/',
    'http://127.0.0.1/',
    'file:///etc/passwd',
    'app://culvert.evil/page.html',
    'data:,x',
  ])('reaches no %s', async (url) => {
    expect(await (await start()).harness.request('GET', url)).toBeUndefined();
  });

  test.each(['media', 'geolocation', 'notifications', 'clipboard-read', 'openExternal', 'usb'])(
    'gets no permission for %s',
    async (name) => {
      expect(await (await start()).harness.mayUse(name)).toBe(false);
    },
  );

  test('goes nowhere, opens nothing and holds no web view', async () => {
    const [window] = (await start()).harness.windows;

    expect(window?.windowOpen).toBe('deny');
    for (const name of ['will-navigate', 'will-redirect', 'will-frame-navigate', 'will-attach-webview']) {
      const event = { preventDefault: vi.fn() };
      window?.contentEvents.emit(name, event);
      expect(event.preventDefault, name).toHaveBeenCalledOnce();
    }
  });
});

describe('the bridge', () => {
  test('answers the main frame of our own window alone', async () => {
    const { harness, called } = await start();
    called.length = 0;
    const ours = { contentsId: 1, origin: pageOrigin };
    const foreign = [
      { ...ours, origin: 'https://evil.example' },
      { ...ours, origin: 'null' },
      { ...ours, isChildFrame: true },
      { ...ours, isGone: true },
      { ...ours, contentsId: 2 },
    ];

    for (const sender of foreign) {
      for (const channel of [channels.get, channels.send]) {
        await expect(harness.invokeFrom(sender, channel, 'connect', {})).rejects.toThrow(/untrusted sender/);
      }
    }
    expect(called.filter(([name]) => name === 'connect')).toEqual([]);
    expect(await harness.invokeFrom(ours, channels.get)).toMatchObject({ app: { version: '1.2.3' } });
  });

  test('tells the window each new snapshot, by itself', async () => {
    const { harness } = await start();

    await vi.waitFor(() =>
      expect(harness.windows[0]?.sent.at(-1)).toMatchObject({
        channel: channels.snapshot,
        words: [{ daemon: 'answers', key: 'off' }],
      }),
    );
  });

  test('writes details only where a person said, and exactly what was shown', async () => {
    const { harness, send, folder } = await start();

    expect(await send('save-diagnostics', { text: 'shown' })).toEqual({ ok: true, result: { saved: false } });
    harness.saveTo = join(folder, 'details.txt');
    expect(await send('save-diagnostics', { text: 'shown' })).toEqual({ ok: true, result: { saved: true } });
    expect(readFileSync(harness.saveTo, 'utf8')).toBe('shown');
  });

  test('keeps choices, and starts with the session where that was wished', async () => {
    const { harness, send, folder, app } = await start();
    const file = join(folder, 'config', 'autostart', 'culvert.desktop');

    await send('set-choice', { name: 'theme', value: 'dark' });
    await send('set-choice', { name: 'startAtLogin', value: true });

    expect(readFileSync(file, 'utf8')).toMatch(/^Exec="\/opt\/culvert\/culvert-desktop" "--quiet"$/m);
    expect(JSON.parse(readFileSync(join(folder, 'user', 'choices.json'), 'utf8'))).toMatchObject({
      theme: 'dark',
    });
    expect(app?.snapshot.app.choices).toMatchObject({ theme: 'dark', startAtLogin: true });
    await send('set-choice', { name: 'startAtLogin', value: false });
    expect(() => readFileSync(file)).toThrow(/ENOENT/);
    expect(harness.exits).toEqual([]);
  });
});

describe('a link from outside', () => {
  test.each<[string, (harness: Harness) => void]>([
    ['a second start', (harness) => harness.startAgain(['/opt/culvert/culvert-desktop', link])],
    ['the system', (harness) => harness.openUrl(link)],
  ])('waits for an answer when it comes from %s', async (_from, give) => {
    const { harness, app, called } = await start();
    give(harness);

    expect(app?.snapshot.app.invitation).toEqual({ server: 'edge.example:443', link });
    expect(called.map(([name]) => name)).not.toContain('enroll');
  });

  test.each([
    ['no invitation', ['culvert://edge.example/evil']],
    ['two of them', [link, invitationLink('other.example', 443)]],
    ['another kind of link', ['https://edge.example/join']],
  ])('is ignored where it is %s', async (_what, words) => {
    const { harness, app } = await start();
    harness.startAgain(words);

    expect(app?.snapshot.app.invitation).toBeUndefined();
  });

  test('is dropped when a person says no', async () => {
    const { app, send } = await start({ words: [link] });
    expect(app?.snapshot.app.invitation).toBeDefined();

    await send('drop-invitation', {});

    expect(app?.snapshot.app.invitation).toBeUndefined();
  });
});

describe('joining with an invitation that has expired', () => {
  test('tells it to a person who looks elsewhere by then', async () => {
    const untilEnd = (signal: AbortSignal): Promise<void> =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
    const control: Control = {
      call: async (name) => {
        if (name === 'enroll') throw new CulvertError('invite-expired');
        return statusOf('off') as never;
      },
      events: async function* (signal) {
        yield statusOf('off');
        await untilEnd(signal);
      },
    };
    const wait = (_ms: number, signal: AbortSignal): Promise<void> => untilEnd(signal);
    const { harness, app, send } = await start({
      link: { places: [{ control: 'c', status: 's' }], connect: () => control, wait },
    });
    await vi.waitFor(() => expect(app?.snapshot.daemon).toBe('answers'));
    const [window] = harness.windows;
    if (window === undefined) throw new Error('no window');

    window.isLookedAt = true;
    expect(await send('enroll', { link })).toMatchObject({ ok: false, code: 'invite-expired' });
    expect(harness.notifications).toEqual([]);
    window.isLookedAt = false;
    await send('enroll', { link });

    expect(harness.notifications).toMatchObject([{ title: 'This invitation has expired.' }]);
  });
});

describe('the tray', () => {
  test('turns on by the same call as the window', async () => {
    const { harness, called } = await start();
    await vi.waitFor(() => expect(harness.tray?.labels).toContain('Turn on'));

    harness.tray?.click('Turn on');

    await vi.waitFor(() => expect(called).toContainEqual(['connect', {}]));
    expect(harness.tray?.iconBytes).toBe(44 * 44 * 4);
  });

  test('brings the window back after it was closed', async () => {
    const { harness } = await start();
    harness.windows[0]?.close();

    harness.tray?.click('Open Culvert');

    expect(harness.windows).toHaveLength(2);
    expect(harness.windows[1]?.wish).toMatchObject({ x: 10, y: 20, width: 400, height: 600 });
  });
});
