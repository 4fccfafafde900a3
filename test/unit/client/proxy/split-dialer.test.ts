// Where the proxy dials: by name or address, as programs say it, before anybody looks it up.
import { createServer, type Server } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { goesAround, SplitDialer } from '../../../../client/proxy/split-dialer.ts';
import { parseRules, type SplitRule } from '../../../../client/split/rules.ts';
import { DirectDialer } from '../../../support/direct-dialer.ts';

function rules(text: string): readonly SplitRule[] {
  const read = parseRules(text);
  if ('problems' in read) throw new Error('bad rules');
  return read;
}

let server: Server | undefined;
afterEach(() => server?.close());

function listen(): Promise<number> {
  const made = createServer((socket) => void socket.on('error', () => undefined).end('hello'));
  server = made;
  return new Promise((resolve) => {
    made.listen(0, '127.0.0.1', () => resolve((made.address() as { port: number }).port));
  });
}

describe('the list, for the proxy', () => {
  test.each([
    ['', 'a.example', false],
    ['exclude host a.example', 'a.example', true],
    ['exclude host a.example', 'b.a.example', false],
    ['exclude host *.a.example', 'b.a.example', true],
    ['exclude ip 10.0.0.0/8', '10.1.1.1', true],
    ['exclude ip 10.0.0.0/8', '11.1.1.1', false],
    ['exclude ip fd00::/8', 'fd00::1', true],
    ['include host a.example', 'a.example', false],
    ['include host a.example', 'b.example', true],
    ['include ip 10.0.0.0/8', '10.1.1.1', false],
    ['include ip 10.0.0.0/8', '8.8.8.8', true],
    ['include ip 10.0.0.0/8\nexclude ip 10.1.0.0/16', '10.1.1.1', true],
  ])("'%s' sends %s around the tunnel: %s", (text, host, wanted) => {
    expect(goesAround(rules(text), host)).toBe(wanted);
  });

  test('leads what it excludes around the tunnel and everything else into it', async () => {
    const port = await listen();
    const inside = new DirectDialer({ 'a.example': '127.0.0.1' });
    const dialer = new SplitDialer(inside);
    const { signal } = new AbortController();
    dialer.setRules(rules('exclude ip 127.0.0.0/8'));

    const outside = await dialer.dialTcp({ host: '127.0.0.1', port, signal });
    const through = await dialer.dialTcp({ host: 'a.example', port, signal });

    expect(inside.dialled).toEqual([{ host: 'a.example', port }]);
    outside.destroy();
    through.destroy();
  });

  test('says why it cannot go around, and gives up when asked', async () => {
    const port = await listen();
    await new Promise((resolve) => server?.close(resolve));
    const dialer = new SplitDialer(new DirectDialer());
    dialer.setRules(rules('exclude ip 127.0.0.0/8'));
    const { signal } = new AbortController();

    await expect(dialer.dialTcp({ host: '127.0.0.1', port, signal })).rejects.toMatchObject({
      failure: 'refused',
    });
    const gone = AbortSignal.abort(new Error('enough'));
    await expect(dialer.dialTcp({ host: '127.0.0.1', port, signal: gone })).rejects.toThrow('enough');
  });
});
