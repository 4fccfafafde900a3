// Who gets into `culvert ui`: one token, one use, one browser, one page.
import { describe, expect, test } from 'vitest';
import { Entrance, type Headers } from '../../../../desktop/browser/entrance.ts';
import { openerHere } from '../../../../desktop/browser/open.ts';

const port = 4321;
const host = `127.0.0.1:${port}`;
const origin = `http://${host}`;

function entrance(): { entrance: Entrance; token: string } {
  let count = 0;
  const made = new Entrance(port, (bytes) => new Uint8Array(bytes).fill(++count));
  return { entrance: made, token: new URL(made.address ?? '').searchParams.get('token') ?? '' };
}

describe('the entrance', () => {
  test('opens once', () => {
    const { entrance: door, token } = entrance();

    expect(door.open(null)).toBeUndefined();
    expect(door.open('')).toBeUndefined();
    expect(door.open(`${token}x`)).toBeUndefined();
    expect(door.open(token)).toBeDefined();
    expect(door.open(token)).toBeUndefined();
    expect(door.address).toBeUndefined();
  });

  test('gives three secrets that differ, each of 256 bits', () => {
    const { entrance: door, token } = entrance();
    const { session, key } = door.open(token) ?? { session: '', key: '' };

    expect(new Set([token, session, key]).size).toBe(3);
    for (const secret of [token, session, key]) expect(Buffer.from(secret, 'base64url')).toHaveLength(32);
  });

  test.each<[string, Headers, boolean]>([
    ['GET', { host }, true],
    ['GET', { host, origin }, true],
    ['GET', { host: 'evil.example' }, false],
    ['GET', { host: `localhost:${port}` }, false],
    ['GET', { host: '127.0.0.1' }, false],
    ['GET', {}, false],
    ['GET', { host, origin: 'null' }, false],
    ['GET', { host, origin: 'https://evil.example' }, false],
    ['POST', { host, origin }, true],
    ['POST', { host }, false],
    ['POST', { host, origin, 'sec-fetch-site': 'same-origin' }, true],
    ['POST', { host, origin, 'sec-fetch-site': 'cross-site' }, false],
  ])('judges %s with %j: %s', (method, headers, fine) => {
    expect(entrance().entrance.isMeantForUs(method, headers)).toBe(fine);
  });

  test('lets calls in only with cookie and key together', () => {
    const { entrance: door, token } = entrance();
    const opening = door.open(token) ?? { session: '', key: '' };
    const cookie = (door.cookieFor(opening).split(';')[0] ?? '').trim();
    const key = { 'x-culvert-key': opening.key };

    expect(door.mayCall({ cookie, ...key })).toBe(true);
    expect(door.mayCall({ cookie: `other=1; ${cookie}`, ...key })).toBe(true);
    expect(door.mayCall({ cookie })).toBe(false);
    expect(door.mayCall(key)).toBe(false);
    expect(door.mayCall({ cookie: `x${cookie}`, ...key })).toBe(false);
    expect(door.mayCall({ cookie, 'x-culvert-key': opening.session })).toBe(false);
    expect(door.mayCall({ cookie, ...key, 'sec-fetch-site': 'same-site' })).toBe(false);
  });

  test('hides its cookie from scripts and from other sites', () => {
    const { entrance: door, token } = entrance();
    const opening = door.open(token) ?? { session: '', key: '' };

    expect(door.cookieFor(opening)).toMatch(/^culvert-ui-4321=.+; HttpOnly; SameSite=Strict; Path=\/$/);
  });
});

test('a browser is opened only where there is a screen', () => {
  expect(openerHere({}, 'linux')).toBeUndefined();
  expect(openerHere({ DISPLAY: '' }, 'linux')).toBeUndefined();
  expect(openerHere({ WAYLAND_DISPLAY: 'wayland-0' }, 'linux')).toEqual(['xdg-open']);
  expect(openerHere({}, 'darwin')).toEqual(['open']);
});
