import { describe, expect, test } from 'vitest';
import {
  createLog,
  type LogOptions,
  parseLogLevel,
  programLog,
  redact,
} from '../../../../shared/node/log.ts';

const key = 'yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=';

function capture(options: Pick<LogOptions, 'level' | 'format'>): {
  lines: string[];
  log: ReturnType<typeof createLog>;
} {
  const lines: string[] = [];
  return { lines, log: createLog({ ...options, part: 'part', write: (line) => lines.push(line) }) };
}

describe('the log', () => {
  test('JSON lines carry level, part, text and fields', () => {
    const { lines, log } = capture({ level: 'info', format: 'json' });

    log.warn('something', { count: 3, gone: undefined });

    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({ level: 'warn', part: 'part', msg: 'something', count: 3 });
    expect(lines[0]).toMatch(/\n$/);
  });

  test('plain lines are words', () => {
    const { lines, log } = capture({ level: 'debug', format: 'plain' });

    log.info('up', { mtu: 1420 });
    log.error('down');

    expect(lines).toEqual(['part: up mtu=1420\n', 'part: error: down\n']);
  });

  test('levels below the threshold are silent', () => {
    for (const format of ['json', 'plain'] as const) {
      const { lines, log } = capture({ level: 'warn', format });

      log.debug('a');
      log.info('b');
      log.warn('c');
      log.error('d');

      expect(lines).toHaveLength(2);
    }
  });

  test('keys never appear, addresses only at debug', () => {
    for (const format of ['json', 'plain'] as const) {
      const { lines, log } = capture({ level: 'debug', format });

      log.info(`peer ${key} at 192.0.2.7:51820`, { endpoint: '[2001:db8::1]:51820', hex: 'ab'.repeat(32) });
      log.debug(`peer ${key} at 192.0.2.7:51820`);

      expect(lines.join('')).not.toContain(key);
      expect(lines.join('')).not.toContain('abab');
      expect(lines[0]).not.toContain('192.0.2.7');
      expect(lines[0]).not.toContain('2001:db8');
      expect(lines[1]).toContain('192.0.2.7');
    }
  });

  test.each([
    ['fd00::1 and ::1 and ::', '[address] and [address] and [address]'],
    ['2001:db8:1:2:3:4:5:6/64', '[address]/64'],
    ['fe80::1%eth0', '[address]'],
    ['at 12:30:05', 'at 12:30:05'],
    ['version 1.2.3', 'version 1.2.3'],
    ['10.0.0.1', '[address]'],
    ['::ffff:10.0.0.1', '[address]'],
    ['std::vector', 'std::vector'],
  ])('%j above debug is %j', (text, expected) => {
    expect(redact(text, false)).toBe(expected);
  });

  test('level names, with the word of WireGuard for debug', () => {
    expect(parseLogLevel('verbose')).toBe('debug');
    expect(parseLogLevel('error')).toBe('error');
    expect(parseLogLevel('toString')).toBeUndefined();
    expect(parseLogLevel(undefined)).toBeUndefined();
  });

  test('a program with an unknown level still works', () => {
    expect(() => programLog({ name: 'x', level: 'nonsense' }).info('not shown')).not.toThrow();
  });
});
