import { describe, expect, test } from 'vitest';
import type { Run } from '../../../../../shared/node/run.ts';
import { WgTool } from '../../../../../shared/node/wgtools/wg.ts';

const privateText = 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=';

function tool(stdout: string) {
  const ran: string[][] = [];
  const stdins: (string | undefined)[] = [];
  const run: Run = async (program, parameters, options = {}) => {
    ran.push([program, ...parameters]);
    stdins.push(options.stdin);
    return { exitCode: 0, stdout, stderr: '' };
  };
  return { wg: new WgTool(run), ran, stdins };
}

describe('WgTool', () => {
  test('tells the version', async () => {
    const { wg } = tool('wireguard-tools v1.0.20210914 - https://git.zx2c4.com/wireguard-tools/\n');

    expect(await wg.version()).toBe('1.0.20210914');
  });

  test('lists interfaces', async () => {
    expect(await tool('wg0 wg1\n').wg.interfaces()).toEqual(['wg0', 'wg1']);
    expect(await tool('\n').wg.interfaces()).toEqual([]);
  });

  test('says so where a dump is not understood', async () => {
    await expect(tool('what?').wg.dump('wg0')).rejects.toMatchObject({ code: 'command-failed' });
    await expect(tool('what?').wg.dumpAll()).rejects.toMatchObject({ code: 'command-failed' });
  });

  test('gives a configuration on the input, so that no key is among the arguments', async () => {
    const { wg, ran, stdins } = tool('');

    await wg.configure('setconf', 'wg0', {
      interface: {
        privateKey: new Uint8Array(32).fill(1),
        addresses: ['10.0.0.1/32'],
        dns: [],
        searchDomains: [],
      },
      peers: [],
      ignored: [],
    });

    expect(ran).toEqual([['wg', 'setconf', 'wg0', '/dev/stdin']]);
    expect(stdins).toEqual([`[Interface]\nPrivateKey = ${privateText}\n`]);
  });

  test('removes a peer', async () => {
    const { wg, ran } = tool('');

    await wg.removePeer('wg0', new Uint8Array(32).fill(1));

    expect(ran).toEqual([['wg', 'set', 'wg0', 'peer', privateText, 'remove']]);
  });
});
