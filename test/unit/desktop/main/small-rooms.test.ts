// The small pure parts of the app: where the window opens, what is kept of choices, how the session starts it, what the
// application menu holds, which daemon it can start.
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { autostartFile, autostartPath } from '../../../../desktop/main/autostart.ts';
import { choicesIn, defaultChoices } from '../../../../desktop/main/choices.ts';
import { startWords } from '../../../../desktop/main/daemon-start.ts';
import { applicationMenu } from '../../../../desktop/main/menu.ts';
import { parsePlace, placeFor, usualSize } from '../../../../desktop/main/window-place.ts';

const screen = { x: 0, y: 0, width: 1920, height: 1080 };

describe('the place of the window', () => {
  test('is the last one, where a screen still shows its top', () => {
    const last = { x: 100, y: 50, width: 400, height: 700 };

    expect(placeFor(last, [screen])).toEqual(last);
    expect(placeFor({ ...last, x: 5000 }, [screen])).toEqual({ width: 400, height: 700 });
    expect(placeFor({ ...last, y: -40 }, [screen])).toEqual({ width: 400, height: 700 });
    expect(placeFor(undefined, [screen])).toEqual(usualSize);
  });

  test.each([
    '',
    '{}',
    'null',
    '[1,2,3,4]',
    '{"x":1,"y":2,"width":"3","height":4}',
    '{"x":1e9,"y":0,"width":1,"height":1}',
  ])('is forgotten where the file says %j', (text) => {
    expect(parsePlace(text)).toBeUndefined();
  });

  test('is never smaller than the window can be', () => {
    expect(parsePlace('{"x":1,"y":2,"width":3,"height":4}')).toEqual({ x: 1, y: 2, width: 320, height: 480 });
  });
});

describe('choices', () => {
  test('keep what fits and lose what does not', () => {
    expect(choicesIn('{"theme":"dark","language":"fr","notifications":false,"evil":1}')).toEqual({
      ...defaultChoices,
      theme: 'dark',
      notifications: false,
    });
  });

  test.each(['', '{', 'null', '7', '[]'])('are the defaults where the file says %j', (text) => {
    expect(choicesIn(text)).toEqual(defaultChoices);
  });
});

describe('the start with the session', () => {
  test('is a file where the specification wants it', () => {
    expect(autostartPath({ XDG_CONFIG_HOME: '/c' }, '/home/a')).toBe(
      join('/c', 'autostart', 'culvert.desktop'),
    );
    expect(autostartPath({}, '/home/a')).toBe(join('/home/a', '.config', 'autostart', 'culvert.desktop'));
  });

  test('starts exactly the words it was given', () => {
    const exec = autostartFile(['/opt/my "app" $x%/run', 'a\\b'])
      .split('\n')
      .find((line) => line.startsWith('Exec='));

    expect(exec).toBe(String.raw`Exec="/opt/my \\"app\\" \\$x%%/run" "a\\\\b" "--quiet"`);
  });
});

describe('the daemon that can be started', () => {
  const exists = (path: string): boolean => path === '/opt/bin/culvert';

  test('is the launcher of a checkout, else the first in PATH', () => {
    const env = { PATH: 'relative:/usr/bin:/opt/bin' };

    expect(startWords({ env, launcher: undefined, socket: '/s' }, exists)).toEqual([
      '/opt/bin/culvert',
      'daemon',
      '--socket',
      '/s',
    ]);
    expect(startWords({ env, launcher: '/w/culvert', socket: '/s' }, () => true)?.[0]).toBe('/w/culvert');
    expect(startWords({ env: {}, launcher: undefined, socket: '/s' }, exists)).toBeUndefined();
  });
});

test('the application menu is for macOS alone', () => {
  expect(applicationMenu('linux')).toBeUndefined();
  expect(applicationMenu('darwin')).toHaveLength(3);
});
