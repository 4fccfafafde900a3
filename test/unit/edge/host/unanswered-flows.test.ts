// Which connections of a dead path the kernel is told to forget, and in which words.
import { describe, expect, test } from 'vitest';
import { deleteRequest, unansweredFlows } from '../../../../edge/host/unanswered-flows.ts';

const mark = (slot: number): number => slot * 0x0100_0000;
const list = `ipv4     2 tcp      6 118 SYN_SENT src=10.83.0.2 dst=203.0.113.10 sport=40000 dport=8080 [UNREPLIED] src=203.0.113.10 dst=198.18.5.1 sport=8080 dport=40000 mark=${mark(3) + 5} zone=0 use=2
ipv4     2 tcp      6 431999 ESTABLISHED src=10.83.0.2 dst=203.0.113.10 sport=40001 dport=8080 src=203.0.113.10 dst=198.18.5.1 sport=8080 dport=40001 [ASSURED] mark=${mark(3)} zone=0 use=2
ipv4     2 tcp      6 118 SYN_SENT src=10.83.0.2 dst=203.0.113.10 sport=40002 dport=8080 [UNREPLIED] src=203.0.113.10 dst=198.18.5.1 sport=8080 dport=40002 mark=${mark(4)} zone=0 use=2
ipv4     2 tcp      6 118 SYN_SENT src=192.0.2.9 dst=203.0.113.10 sport=40003 dport=8080 [UNREPLIED] src=203.0.113.10 dst=192.0.2.9 sport=8080 dport=40003 mark=0 zone=0 use=2
ipv6     10 udp      17 28 src=fd7c:0001:0002:0003:0000:0000:0000:0002 dst=2001:0db8:0005:0000:0000:0000:0000:0010 sport=5000 dport=53 [UNREPLIED] src=2001:0db8:0005:0000:0000:0000:0000:0010 dst=2001:0db8:000c:0000:0000:0000:0000:0001 sport=53 dport=5000 mark=${mark(3)} use=2
ipv4     2 icmp     1 29 src=10.83.0.2 dst=203.0.113.10 type=8 code=0 id=7 [UNREPLIED] src=203.0.113.10 dst=198.18.5.1 type=0 code=0 id=7 mark=${mark(3)} use=2
`;

describe('flows that nobody answered', () => {
  test('are those of the path alone, as the device began them', () => {
    expect(unansweredFlows(list, 3)).toEqual([
      {
        protocol: 6,
        source: Uint8Array.of(10, 83, 0, 2),
        destination: Uint8Array.of(203, 0, 113, 10),
        sourcePort: 40_000,
        destinationPort: 8080,
      },
      {
        protocol: 17,
        source: Uint8Array.of(0xfd, 0x7c, 0, 1, 0, 2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2),
        destination: Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10),
        sourcePort: 5000,
        destinationPort: 53,
      },
    ]);
    expect(unansweredFlows(list, 4)).toHaveLength(1);
    expect(unansweredFlows('', 3)).toEqual([]);
  });

  test('are never more than a thousand at once', () => {
    const first = list.split('\n')[0] ?? '';

    expect(unansweredFlows(`${first}\n`.repeat(3000), 3)).toHaveLength(1024);
  });

  test('are named in the kernel by their original direction', () => {
    const [four, six] = unansweredFlows(list, 3).map(deleteRequest);

    const tuple = [
      '3400 0180', // 52 bytes, CTA_TUPLE_ORIG
      '1400 0180 0800 0100 0a530002 0800 0200 cb00710a',
      '1c00 0280 0500 0100 06000000 0600 0200 9c400000 0600 0300 1f900000',
    ];
    const head = '48000000 0201 0100 00000000 00000000 02000000';
    expect(Buffer.from(four ?? []).toString('hex')).toBe([head, ...tuple].join(' ').replace(/ /g, ''));
    expect(six).toHaveLength(72 + 24);
    expect(six?.[16]).toBe(10);
  });
});
