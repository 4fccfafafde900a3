import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RequestFramer } from '../../../../../shared/node/uapi/request-framer.ts';

function all(framer: RequestFramer): string[] {
  const found: string[] = [];
  for (let next = framer.next(); next !== undefined; next = framer.next()) found.push(next);
  return found;
}

describe('RequestFramer', () => {
  test('gives a request once its empty line is there', () => {
    const framer = new RequestFramer(100);

    framer.push(Buffer.from('get=1\n'));
    expect(framer.next()).toBeUndefined();
    framer.push(Buffer.from('\nset'));

    expect(framer.next()).toBe('get=1\n\n');
    expect(framer.next()).toBeUndefined();
  });

  test('finds the same requests however the bytes are cut', () => {
    const text = 'get=1\n\nset=1\nlisten_port=1\n\n\nset=1\n\nget=1\n\n';
    const expected = ['get=1\n\n', 'set=1\nlisten_port=1\n\n', '\n', 'set=1\n\n', 'get=1\n\n'];
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 60, maxLength: 60 }), (sizes) => {
        const framer = new RequestFramer(1000);
        const found: string[] = [];
        let at = 0;
        for (const size of sizes) {
          expect(framer.push(Buffer.from(text.slice(at, at + size)))).toBe('ok');
          found.push(...all(framer));
          at += size;
        }
        expect(found).toEqual(expected);
      }),
      { seed: 7, numRuns: 200 },
    );
  });

  test('tells the first line before the request is whole', () => {
    const framer = new RequestFramer(100);

    framer.push(Buffer.from('hel'));
    expect(framer.firstLine()).toBeUndefined();
    framer.push(Buffer.from('lo\nx'));

    expect(framer.firstLine()).toBe('hello');
  });

  test('holds no more than its limit', () => {
    const framer = new RequestFramer(10);

    expect(framer.push(Buffer.alloc(10, 'x'))).toBe('ok');
    expect(framer.push(Buffer.alloc(1, 'x'))).toBe('too-long');
  });

  test('has room again after a request was taken', () => {
    const framer = new RequestFramer(10);

    for (let i = 0; i < 5; i++) {
      expect(framer.push(Buffer.from('get=1\n\nget'))).toBe('ok');
      expect(all(framer)).toEqual(['get=1\n\n']);
      framer.push(Buffer.from('=1\n\n'));
      expect(all(framer)).toEqual(['get=1\n\n']);
    }
  });
});
