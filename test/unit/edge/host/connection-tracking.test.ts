// Forgetting the connections of devices, with a kernel that the test plays.

import { describe, expect, test } from 'vitest';
import { ConnectionTracking } from '../../../../edge/host/connection-tracking.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

const v4Line =
  'ipv4     2 tcp      6 431999 ESTABLISHED src=10.83.0.2 dst=192.0.2.7 sport=4 dport=443 src=192.0.2.7 dst=198.51.100.1 sport=443 dport=4 [ASSURED] mark=0 zone=0 use=2';
const v6Line =
  'ipv6     10 udp      17 29 src=fd7c:1f2e:9a40:0000:0000:0000:0000:0003 dst=2001:0db8:0000:0000:0000:0000:0000:0001 sport=4 dport=53 src=2001:0db8:0000:0000:0000:0000:0000:0001 dst=2001:0db8:0000:0000:0000:0000:0000:0002 sport=53 dport=4 mark=0 zone=0 use=2';

interface Kernel {
  count?: number;
  lines?: readonly string[];
  isSecret?: boolean;
}

function world({ count, lines = [], isSecret = false }: Kernel) {
  const asked: string[] = [];
  let reads = 0;
  let during: (() => void) | undefined;
  const tracking = new ConnectionTracking({
    log: silentLog,
    run: async (program, words) => {
      asked.push([program, ...words].join(' '));
      during?.();
      during = undefined;
      return { exitCode: 1, stdout: '', stderr: '' };
    },
    read: async (path) => {
      if (path.endsWith('_count')) return `${count ?? lines.length}\n`;
      reads++;
      if (isSecret) throw new Error('EACCES');
      return lines.join('\n');
    },
  });
  return {
    tracking,
    asked,
    reads: () => reads,
    onFirst: (act: () => void) => {
      during = act;
    },
  };
}

describe('forgetting connections', () => {
  test('starts no program where the kernel has no connection at all', async () => {
    const { tracking, asked, reads } = world({});

    await tracking.forget(['10.83.0.2', 'fd7c:1f2e:9a40::3']);

    expect(asked).toEqual([]);
    expect(reads()).toBe(0);
  });

  test('asks for the addresses that have one, however they are written, and for no other', async () => {
    const { tracking, asked } = world({ lines: [v4Line, v6Line] });

    await tracking.forget(['10.83.0.2', '10.83.0.22', 'fd7c:1f2e:9a40::3', 'fd7c:1f2e:9a40::4']);

    expect(asked).toEqual([
      'conntrack -D -f ipv4 -s 10.83.0.2',
      'conntrack -D -f ipv4 -d 10.83.0.2',
      'conntrack -D -f ipv6 -s fd7c:1f2e:9a40::3',
      'conntrack -D -f ipv6 -d fd7c:1f2e:9a40::3',
    ]);
  });

  test.each([
    ['that are too many to list', { count: 100_000 }],
    ['that we may not list', { count: 3, isSecret: true }],
  ])('asks for each address where there are connections %s', async (_why, kernel) => {
    const { tracking, asked } = world(kernel);

    await tracking.forget(['10.83.0.2']);

    expect(asked).toEqual(['conntrack -D -f ipv4 -s 10.83.0.2', 'conntrack -D -f ipv4 -d 10.83.0.2']);
  });

  test('looks once for all addresses that came while others were forgotten', async () => {
    const { tracking, asked, reads, onFirst } = world({ lines: [v4Line] });
    onFirst(() => {
      for (let i = 3; i < 50; i++) void tracking.forget([`10.83.0.${i}`]);
    });

    await tracking.forget(['10.83.0.2']);

    expect(reads()).toBe(2);
    expect(asked).toHaveLength(2);
  });

  test('does not mind that the program is missing', async () => {
    const tracking = new ConnectionTracking({
      log: silentLog,
      run: () => Promise.reject(new Error('missing')),
      read: () => Promise.reject(new Error('missing')),
    });

    await expect(tracking.forget(['10.83.0.2'])).resolves.toBeUndefined();
  });
});
