// AmneziaWG's parameters in files and in the configuration protocol.
import { describe, expect, test } from 'vitest';
import {
  formatSet,
  formatStatus,
  joinDisguise,
  parseRequest,
} from '../../../../../shared/core/uapi/codec.ts';
import {
  applyChange,
  diffDevice,
  emptyStatus,
  toDeviceChange,
} from '../../../../../shared/core/uapi/device-change.ts';
import { parseReply } from '../../../../../shared/core/uapi/reply.ts';
import { parseWgConfig, type WgConfig } from '../../../../../shared/core/uapi/wg-config.ts';
import { printWgConfig, stripWgConfig } from '../../../../../shared/core/uapi/wg-config-print.ts';
import { plainRules } from '../../../../../shared/core/wire/disguise-rules.ts';
import { firstVersionFields, fullFields, rulesOf } from '../../../../support/disguises.ts';

const head = `[Interface]\nPrivateKey = ${Buffer.alloc(32, 7).toString('base64')}\nAddress = 10.8.1.2/32\n`;
const asWritten = [
  'Jc = 3',
  'Jmin = 50',
  'Jmax = 1000',
  'S1 = 86',
  'S2 = 57',
  'H1 = 1376979037',
  'H2 = 1283620850',
  'H3 = 917053776',
  'H4 = 1696394334',
].join('\n');

function configOf(text: string): WgConfig {
  const parsed = parseWgConfig(text);
  if (parsed.kind === 'faults') throw new Error(parsed.faults.map((fault) => fault.text).join(' '));
  return parsed.config;
}

function faultsOf(text: string): readonly string[] {
  const parsed = parseWgConfig(text);
  return parsed.kind === 'faults' ? parsed.faults.map(({ line, text: what }) => `${line}: ${what}`) : [];
}

describe('a file of AmneziaWG', () => {
  test('is understood as its apps write it', () => {
    expect(configOf(`${head}${asWritten}\n`).interface.disguise).toEqual(rulesOf(firstVersionFields));
  });

  test('may have ranges and all prefixes', () => {
    const lines = Object.entries(fullFields).map(([key, value]) => `${key.toUpperCase()} = ${value}`);

    expect(configOf(head + lines.join('\n')).interface.disguise).toEqual(rulesOf(fullFields));
  });

  test('is plain where all parameters say what WireGuard does', () => {
    const { interface: own } = configOf(`${head}Jc = 0\nS1 = 0\nH1 = 1\nH2 = 2\nH3 = 3\nH4 = 4\n`);

    expect(own).not.toHaveProperty('disguise');
  });

  test('keeps what it says through printing, in what `wg setconf` takes too', () => {
    const config = configOf(head + asWritten);

    expect(printWgConfig(config)).toContain(asWritten);
    expect(stripWgConfig(config)).toContain(asWritten);
    expect(configOf(printWgConfig(config))).toEqual(config);
  });

  test('has its faults named, each with its line', () => {
    expect(faultsOf(`${head}S1 = 5000\nH1 = 2\nH2 = 9-8\n`)).toEqual([
      '4: The value of S1 is wrong.',
      '5: The value of H1 is wrong.',
      '6: The value of H2 is wrong.',
    ]);
    expect(faultsOf(`${head}S2 = 66\nS1 = 10\n`)).toEqual([
      '4: S1 and S2 make two kinds of messages equally long (158 bytes).',
    ]);
    expect(faultsOf(`${head}MTU = 1280\nJc = 4\n`)).toEqual([
      '5: Jc asks for junk packets, and nothing says how large.',
    ]);
    expect(faultsOf(`${head}Jc = 4\nJc = 5\n`)).toContain('5: Jc is there twice in this section.');
  });

  test('has its decoys listed as ignored: the other end never looks at them', () => {
    const config = configOf(`${head}I1 = <b 0xf6ab><r 16>\nJ1 = <r 5>\nItime = 120\n`);

    expect(config.ignored.map(({ key }) => key)).toEqual(['I1', 'J1', 'Itime']);
  });

  test('with a protection of headers, which we do not speak, is refused', () => {
    expect(faultsOf(`${head}HeaderProtectionKey = x\n`)).toEqual([
      "4: 'headerprotectionkey' is no known setting.",
    ]);
  });
});

describe('the configuration protocol', () => {
  function joined(text: string, current = plainRules): unknown {
    const request = parseRequest(text);
    return request.kind === 'set' ? joinDisguise(request, current) : request;
  }

  test('takes the keys of AmneziaWG, and leaves the others as they were', () => {
    expect(joined('set=1\njc=3\njmin=50\njmax=1000\ns1=86\ns2=57\n')).toMatchObject({
      kind: 'change',
      change: { disguise: { junk: { count: 3, min: 50, max: 1000 }, types: plainRules.types } },
    });
    expect(joined('set=1\nh1=5\n', rulesOf(fullFields))).toMatchObject({
      change: {
        disguise: {
          ...rulesOf(fullFields),
          types: { ...rulesOf(fullFields).types, initiation: { from: 5, to: 5 } },
        },
      },
    });
  });

  test('says nothing of a disguise where the request does not', () => {
    expect(joined('set=1\nlisten_port=1\n', rulesOf(fullFields))).toEqual({
      kind: 'change',
      change: { listenPort: 1, peers: [] },
    });
  });

  test.each([
    ['no number', 'jc=x', 2],
    ['a negative number', 's1=-1', 2],
    ['more than there may be', 'jc=999', 1],
    ['what does not fit what is there', 's2=89', 1],
    ['a disguise of a peer', `public_key=${'07'.repeat(32)}\njc=1`, 3],
  ])('refuses %s wholly', (_what, line, at) => {
    expect(joined(`set=1\n${line}`, rulesOf(fullFields))).toMatchObject({
      kind: 'error',
      errno: -22,
      line: at,
    });
  });

  test('prints nothing of it for a plain device, and what others understand for a disguised one', () => {
    expect(formatStatus(emptyStatus())).toBe('errno=0\n\n');
    const text = formatStatus({ ...emptyStatus(), disguise: rulesOf(firstVersionFields) });
    expect(text).toBe(
      'jc=3\njmin=50\njmax=1000\ns1=86\ns2=57\nh1=1376979037\nh2=1283620850\nh3=917053776\nh4=1696394334\nerrno=0\n\n',
    );
    expect(parseReply(text)).toMatchObject({ status: { disguise: rulesOf(firstVersionFields) } });
  });

  test('carries a change to the other side of a socket', () => {
    for (const disguise of [rulesOf(fullFields), plainRules]) {
      expect(joined(formatSet({ disguise, peers: [] }), rulesOf(firstVersionFields))).toEqual({
        kind: 'change',
        change: { disguise, peers: [] },
      });
    }
  });

  test('reads the parameters of a program that allows itself more as none', () => {
    expect(parseReply('jc=1\njmin=9\njmax=1\nerrno=0\n\n')).toMatchObject({ kind: 'status' });
  });
});

describe('a change of a device', () => {
  const config = configOf(head + asWritten);
  const disguise = rulesOf(firstVersionFields);

  test('has the disguise of its file', () => {
    expect(toDeviceChange(config, new Map()).disguise).toEqual(disguise);
    expect(toDeviceChange(configOf(head), new Map())).not.toHaveProperty('disguise');
  });

  test('sets, keeps and takes off a disguise', () => {
    const dressed = applyChange(emptyStatus(), { disguise, peers: [] });

    expect(dressed.disguise).toEqual(disguise);
    expect(applyChange(dressed, { peers: [] }).disguise).toEqual(disguise);
    expect(applyChange(dressed, { disguise: plainRules, peers: [] })).not.toHaveProperty('disguise');
  });

  test('names a disguise only where it is another one', () => {
    const dressed = applyChange(emptyStatus(), { disguise, peers: [] });

    expect(diffDevice(emptyStatus(), { disguise, peers: [] }).disguise).toEqual(disguise);
    expect(diffDevice(dressed, { disguise, peers: [] })).not.toHaveProperty('disguise');
    expect(diffDevice(dressed, { disguise: plainRules, peers: [] }).disguise).toEqual(plainRules);
    expect(diffDevice(emptyStatus(), { disguise: plainRules, peers: [] })).not.toHaveProperty('disguise');
  });
});
